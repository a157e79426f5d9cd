"""What runs subgraphs on a card, whichever library it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

Run = Callable[[int], None]  # takes a CUstream, which may be capturing


@runtime_checkable
class Engines(Protocol):
    """Subgraphs on device memory, put on streams."""

    @property
    def captures(self) -> bool:
        """Whether a run may be captured into a CUDA graph."""

    def join(self, streams: Mapping[str, int]) -> None:
        """Called once, at start-up: the CUstream that each subgraph will be put on."""

    def bind(self, subgraph: str, addresses: Mapping[str, int], axes: Mapping[str, int]) -> Run:
        """One subgraph on device memory, to be put on its stream as often as wanted.

        `addresses` by tensor, `axes` the sizes of the free axes.
        """

    def warmed(self) -> None:
        """Called once every size has run: what was compiled may be kept for the next start."""

    def close(self) -> None:
        """Called when no run is left and none will come: gives memory back."""
