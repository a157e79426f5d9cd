"""Contenders in processes of their own: what crosses, how one ends, whose memory is counted."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keeprt.benchmarks.bench.rivals.contenders import Case, ContenderError
from keeprt.benchmarks.bench.rivals.worker import (
    ContenderSpec,
    Remote,
    peak_memory_bytes,
)
from keeprt.engine.errors import BundleError, UsageError
from tests.networks import faces

CASE = Case("stream", faces=1, window=3, chunk=4, threads=1)


@dataclass(frozen=True)
class MadeSpec(ContenderSpec):
    """A contender that allocates, or fails in the way that it is named after."""

    def make(self) -> Any:
        return Made(self.name)


@dataclass
class Made:
    name: str
    kept: bytes = b""

    def load(self) -> None:
        if self.name == "holds 200 MB":
            self.kept = b"x" * 200_000_000

    def first(self, pictures: Sequence[Any]) -> dict[str, float]:
        return {"process": float(os.getpid())}

    def settle(self, pictures: Sequence[Any]) -> None:
        self.kept = b""

    def call(self, pictures: Sequence[Any]) -> dict[str, float]:
        if self.name == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.name == "finds no memory":
            raise MemoryError("cannot allocate\nand more lines")
        return {}


@pytest.fixture
def start() -> Iterator[Any]:
    remotes: list[Remote] = []

    def begin(name: str) -> Remote:
        remotes.append(Remote(MadeSpec(name, Path(), CASE)))
        return remotes[-1]

    yield begin
    for remote in remotes:
        remote.close()
        assert not remote._process.is_alive()


def test_peak_memory_is_the_processs_own_and_remembers_what_was_given_back(start: Any) -> None:
    small, large = start("is small"), start("holds 200 MB")
    assert small.load() >= 0 and large.load() >= 0
    processes = {one.first(faces(1)).stages["process"] for one in (small, large)}
    assert len(processes | {float(os.getpid())}) == 3
    large.settle(faces(1))
    assert large.peak_bytes() - small.peak_bytes() > 150_000_000
    assert peak_memory_bytes() > 0


@pytest.mark.parametrize(
    ("name", "said"),
    [("is killed", "killed: out of memory"), ("finds no memory", "MemoryError: cannot allocate$")],
)
def test_a_contender_that_dies_or_runs_out_of_memory_says_so_in_a_line(
    start: Any, name: str, said: str
) -> None:
    remote = start(name)
    remote.load()
    with pytest.raises(ContenderError, match=said):
        remote.round([faces(1)])


def test_errors_of_ours_come_back_as_themselves(tmp_path: Path) -> None:
    remote = Remote(ContenderSpec("keeprt", tmp_path, CASE))
    try:
        with pytest.raises(BundleError, match="is no bundle"):
            remote.load()
    finally:
        remote.close()


def test_unknown_contenders_are_refused_with_the_list() -> None:
    with pytest.raises(UsageError, match="unknown rival 'tvm'; choose among eager, compile"):
        ContenderSpec("tvm", Path(), CASE).make()
