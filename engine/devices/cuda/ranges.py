"""Operations by name on Nsight Systems' timeline, where KEEPRT_NVTX=1 asks for it."""

from __future__ import annotations

import os
from typing import Protocol

from keeprt.engine.errors import BackendError

SWITCH = "KEEPRT_NVTX"


class Ranges(Protocol):
    """Opens and closes named ranges in the calling thread."""

    def push(self, name: str) -> None:
        """Opens one."""

    def pop(self) -> None:
        """Closes the one that was opened last."""


class NvtxRanges:
    """Ranges of the package `nvtx`."""

    def __init__(self) -> None:
        """Raises BackendError where the package is missing."""
        try:
            import nvtx
        except ImportError:
            raise BackendError(f"{SWITCH}=1 needs the package nvtx: pip install nvtx") from None
        self._nvtx = nvtx

    def push(self, name: str) -> None:
        """Opens one."""
        self._nvtx.push_range(name, domain="keeprt")

    def pop(self) -> None:
        """Closes the one that was opened last."""
        self._nvtx.pop_range(domain="keeprt")


def open_ranges() -> Ranges | None:
    """Ranges where the environment asks for them. Raises BackendError where nvtx is missing."""
    return NvtxRanges() if os.environ.get(SWITCH) == "1" else None
