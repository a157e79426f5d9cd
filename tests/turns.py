"""Tests in real time have the machine for themselves, also where others run in parallel.

Every test holds one lock together with the others while it runs; one marked `realtime` alone. Who
waits to be alone lets nobody else begin: all come through the same gate.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def turn(folder: Path, alone: bool) -> Iterator[None]:
    """Until it is this test's turn. `folder`: one that all workers of this run share."""
    import fcntl

    with (folder / "gate.lock").open("w") as gate, (folder / "machine.lock").open("w") as machine:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
