"""Whether the buffers of a frame agree in type where bytes are moved: a card converts nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from keeprt.engine.bundle.specs import type_name
from keeprt.engine.errors import BundleError
from keeprt.engine.frame.buffers import BufferSpec
from keeprt.engine.frame.operations import (
    Copy,
    Crop,
    GivePicture,
    Operand,
    Operation,
    Paste,
    TakePicture,
    View,
    Warp,
    Work,
)

FLOAT32, BYTES = np.dtype(np.float32), np.dtype(np.uint8)
HALF_TOO = (FLOAT32, np.dtype(np.float16))
# What lies outside the frame's buffers; states are float32 on every device.
OUTSIDE_BYTES = ("video", "placements", "result")


def check_types(frame: Sequence[Operation], specs: Mapping[str, BufferSpec]) -> None:
    """Raises BundleError, naming operation and buffers, for a copy between two types, and for a
    type that a kernel does not take."""
    for operation in frame:
        for work in operation.work:
            for buffer, allowed, why in _demands(work, specs):
                found = specs[buffer].dtype
                if found not in allowed:
                    names = " or ".join(map(type_name, allowed))
                    raise BundleError(
                        f"{operation.name}: {buffer!r} is {type_name(found)}, but {why} {names}; "
                        "export again with float32 borders"
                    )


def _demands(
    work: Work, specs: Mapping[str, BufferSpec]
) -> Iterator[tuple[str, tuple[np.dtype[Any], ...], str]]:
    match work:
        case Copy(source, target):
            for one, other in ((source, target), (target, source)):
                if isinstance(one, View):
                    name, dtype = _outer(other, specs)
                    yield one.buffer, (dtype,), f"{name!r}, which it is copied to or from, is"
        case Warp():
            for view in (work.previous, work.flow, work.mask, work.warped):
                yield view.buffer, (FLOAT32,), "the warp takes"
        case TakePicture():
            yield work.target.buffer, HALF_TOO, "pictures become"
        case GivePicture():
            yield work.source.buffer, (FLOAT32,), "pictures are made of"
        case Crop():
            yield work.faces.buffer, HALF_TOO, "crops become"
        case Paste():
            yield work.restored.buffer, (FLOAT32,), "faces are pasted from"
            yield work.crop.buffer, HALF_TOO, "changes are taken from"


def _outer(operand: Operand, specs: Mapping[str, BufferSpec]) -> tuple[str, np.dtype[Any]]:
    if isinstance(operand, View):
        return operand.buffer, specs[operand.buffer].dtype
    return operand.buffer, BYTES if operand.buffer in OUTSIDE_BYTES else FLOAT32
