"""PyTorch on a card: whether it can, and times that the card itself takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from keeprt.benchmarks.bench.rivals.contenders import ContenderError, StageSeconds

Span = tuple[str, Any, Any]  # a stage, and the marks around it


def check_torch(device: str) -> None:
    """Raises ContenderError where this PyTorch does not compute on that device."""
    if device == "cpu":
        return
    number = int(device.partition(":")[2] or 0)
    if not torch.cuda.is_available():
        raise ContenderError(
            f"PyTorch {torch.__version__} finds no card: its wheel is of a processor, or of "
            "another CUDA than the driver's"
        )
    if number >= torch.cuda.device_count():
        raise ContenderError(f"PyTorch finds no card number {number}")


@contextmanager
def computing(device: str, half: bool) -> Iterator[None]:
    """Around calls of a network: without gradients, its card the current one, and where asked for
    in float16 by autocast."""
    kind = torch.device(device).type
    current = torch.cuda.device(device) if kind == "cuda" else nullcontext()
    cast = torch.autocast(kind, torch.float16) if half else nullcontext()
    with torch.inference_mode(), current, cast:
        yield


def mark(device: str) -> Any:
    """Now: on the host's clock, or an event in the card's current stream."""
    if device == "cpu":
        return time.perf_counter()
    make: Any = torch.cuda.Event  # torch leaves it untyped
    event = make(enable_timing=True)
    event.record()
    return event


def seconds_of(spans: Sequence[Span], stages: StageSeconds) -> StageSeconds:
    """The stages with the time between the marks of each added, once the card is done."""
    found = dict(stages)
    for stage, start, end in spans:
        took = end - start if isinstance(start, float) else start.elapsed_time(end) / 1e3
        found[stage] += took
    return found
