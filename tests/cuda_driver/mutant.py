"""A mistake that a card would punish, put into the sources; a session's tests must see it."""

from __future__ import annotations

from dataclasses import dataclass

CUDA = "engine/devices/cuda"
TESTS = "tests/engine/devices/cuda"
FRAMES = f"{TESTS}/test_frames.py"


@dataclass(frozen=True)
class Mutant:
    """One mistake: in `file`, `right` becomes `wrong`; `tests` are those that must fail."""

    name: str
    file: str
    right: str
    wrong: str
    tests: str
    keyword: str
