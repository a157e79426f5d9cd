"""Several processes as `torchrun` starts them; one process is the ordinary case."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed


def world() -> int:
    """Number of processes."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def over_all(tensor: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    if world() > 1:
        distributed.all_reduce(tensor)
    return tensor


def from_first(tensor: Tensor) -> Tensor:
    """The first process's values in all of them, in place."""
    if world() > 1:
        distributed.broadcast(tensor, 0)
    return tensor


def wait_for_all() -> None:
    """Returns when every process has come so far."""
    if world() > 1:
        distributed.barrier()


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """The group that `torchrun` asks for, over NCCL on cards and Gloo on processors."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()
