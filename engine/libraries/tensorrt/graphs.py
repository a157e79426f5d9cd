"""What a plan is made of: graphs whose borders are known, and the sizes of their free axes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from keeprt.engine.bundle.specs import FREE_AXES, SubgraphSpec
from keeprt.engine.errors import UsageError

Sizes = tuple[int, int, int]  # smallest, usual, largest


class Graphs(Protocol):
    """ONNX graphs by name; a bundle is such."""

    @property
    def path(self) -> Path:
        """The bundle's folder; the plans lie in it."""

    @property
    def precision(self) -> str:
        """The manifest's word for what the graphs compute in."""

    @property
    def subgraphs(self) -> Mapping[str, SubgraphSpec]:
        """The borders of each graph, and the hash of its file."""

    def graph(self, name: str) -> bytes:
        """The graph, serialised. Raises BackendError where it is not what the hash says."""


class GraphProfile(Protocol):
    """The sizes that plans are built for."""

    def axes(self) -> Mapping[str, Sizes]:
        """Sizes of each free axis, those of outputs too; plans are fastest at the usual one."""


def own_axes(profile: GraphProfile, spec: SubgraphSpec) -> dict[str, Sizes]:
    """The part of a profile that a graph's inputs have axes for."""
    used = {axis for tensor in spec.inputs for axis in tensor.shape if isinstance(axis, str)}
    return {axis: sizes for axis, sizes in profile.axes().items() if axis in used}


def check_sizes(
    name: str, spec: SubgraphSpec, profile: GraphProfile, axes: Mapping[str, int]
) -> None:
    """Raises UsageError for sizes of the free axes that a plan was not built for."""
    for axis, (low, _, high) in own_axes(profile, spec).items():
        if not low <= axes[axis] <= high:
            remedy = f"; build with a larger --{axis}" if axis in FREE_AXES else ""
            raise UsageError(
                f"{name} was built for {low} to {high} {axis}, not {axes[axis]}{remedy}"
            )
