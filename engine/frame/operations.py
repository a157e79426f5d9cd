"""What a frame is made of: operations on named buffers, as plain values that any device can run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from keeprt.kernels.frame import FrameFormat


@dataclass(frozen=True)
class View:
    """A C-contiguous part of a buffer of the frame: `shape`, from the element `offset` on."""

    buffer: str
    shape: tuple[int, ...]
    offset: int = 0


@dataclass(frozen=True)
class Outside:
    """Memory that the frame's caller owns: row `row` of a list of arrays given with each frame.

    With `count`, the part [first, first + count) of that array's leading axis.
    """

    buffer: str
    row: int = 0
    first: int = 0
    count: int | None = None


Operand = View | Outside
Bindings = tuple[tuple[str, View], ...]


@dataclass(frozen=True)
class Infer:
    """One run of a subgraph: its tensors by name, and where each lies."""

    subgraph: str
    inputs: Bindings
    outputs: Bindings


@dataclass(frozen=True)
class Copy:
    """Elements from one place to another of as many; the two never overlap."""

    source: Operand
    target: Operand


@dataclass(frozen=True)
class Put:
    """The given values, as the buffer's type, repeated over the view."""

    target: View
    values: tuple[int, ...]


@dataclass(frozen=True)
class Warp:
    """`keeprt.kernels.warp_by_flow` on the views."""

    previous: View
    flow: View
    mask: View
    warped: View


@dataclass(frozen=True)
class TakePicture:
    """A caller's RGB picture, uint8 (S, S, 3), as planar values in [-1, 1]."""

    source: Outside
    target: View


@dataclass(frozen=True)
class GivePicture:
    """Planar values as an RGB picture for the caller, clamped and rounded half to even."""

    source: View
    target: Outside


@dataclass(frozen=True)
class Crop:
    """`keeprt.kernels.crop_align`: aligned faces out of a video frame.

    `frame` holds the planes one after the other, `placements` a record for each face.
    """

    format: FrameFormat
    frame: View
    placements: View
    faces: View


@dataclass(frozen=True)
class Paste:
    """`keeprt.kernels.paste_back`: what changed between a crop and its restored face into the
    frame, which is changed in place."""

    format: FrameFormat
    frame: View
    placement: View
    restored: View
    crop: View


Work = Infer | Copy | Put | Warp | TakePicture | GivePicture | Crop | Paste
STAGES = {Warp: "warp", Crop: "crop", Paste: "paste"}


@dataclass(frozen=True)
class Operation:
    """Work that is done in order and scheduled as one; `also_reads` is read by the caller after."""

    name: str
    work: tuple[Work, ...]
    also_reads: tuple[str, ...] = ()

    @property
    def reads(self) -> frozenset[str]:
        """Buffers whose content it needs; what it wrote itself before is none of them."""
        needed, written = set(self.also_reads), list[Operand]()
        for work in self.work:
            needed |= {o.buffer for o in sources_of(work) if not _is_within(o, written)}
            written += targets_of(work)
        return frozenset(needed)

    @property
    def writes(self) -> frozenset[str]:
        """Buffers whose content it changes."""
        return frozenset(operand.buffer for work in self.work for operand in targets_of(work))

    @property
    def stage(self) -> str | None:
        """Name under which its time is counted: a subgraph's, one of `STAGES`, or none."""
        for work in self.work:
            name = work.subgraph if isinstance(work, Infer) else STAGES.get(type(work))
            if name:
                return name
        return None


def _is_within(operand: Operand, written: Iterable[Operand]) -> bool:
    """Whether all elements of a view are among those of the others."""
    if isinstance(operand, Outside):
        return False
    reached, end = operand.offset, operand.offset + math.prod(operand.shape)
    same = (v for v in written if isinstance(v, View) and v.buffer == operand.buffer)
    for view in sorted(same, key=lambda view: view.offset):
        if view.offset <= reached:
            reached = max(reached, view.offset + math.prod(view.shape))
    return reached >= end


def sources_of(work: Work) -> Iterable[Operand]:
    """Where the work reads."""
    match work:
        case Infer():
            return [view for _, view in work.inputs]
        case Warp():
            return [work.previous, work.flow, work.mask]
        case Crop():
            return [work.frame, work.placements]
        case Paste():
            return [work.frame, work.placement, work.restored, work.crop]
        case Put():
            return []
        case _:
            return [work.source]


def targets_of(work: Work) -> Iterable[Operand]:
    """Where the work writes."""
    match work:
        case Infer():
            return [view for _, view in work.outputs]
        case Warp():
            return [work.warped]
        case Crop():
            return [work.faces]
        case Paste():
            return [work.frame]
        case _:
            return [work.target]
