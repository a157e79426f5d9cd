"""A frame whose planes a decoder left on a card, and its way into a frame with tight rows there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keeprt.engine.devices.cuda.arrays import LEGACY_STREAM
from keeprt.engine.devices.cuda.guest import handle_of
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.frame.video_list import plane_starts
from keeprt.kernels.frame import FrameFormat

if TYPE_CHECKING:
    from cuda.core import Buffer, Stream


@dataclass(frozen=True)
class CardPlanes:
    """The planes of a frame in device memory. They are read, never written: a decoder may predict
    from them.

    pixel_format: FFmpeg's name. addresses, pitches: of each plane, and its bytes from row to row.
    card: the number of the card. owner: what keeps the memory as long as it is held. stream: the
    CUstream that its producer works on, 1 the legacy one, as FFmpeg's decoders do.
    """

    pixel_format: str
    width: int
    height: int
    addresses: tuple[int, ...]
    pitches: tuple[int, ...]
    card: int
    owner: object
    stream: int = LEGACY_STREAM


class TightCopy:
    """Puts planes into a buffer one after the other, without what lies between their rows. It does
    not keep the planes."""

    def __init__(self, planes: CardPlanes, format: FrameFormat, card: int) -> None:
        """Raises UsageError for planes of another card, format or size."""
        word = np.dtype(format.layout.dtype).itemsize
        rows = [(count, word * samples) for count, samples in format.plane_shapes()]
        _check(planes, format, card, [width for _, width in rows])
        starts = plane_starts(format)
        self._rows = list(zip(planes.addresses, planes.pitches, starts, rows, strict=True))

    def copy_to(self, target: Buffer, *, stream: Stream) -> None:
        """As `Buffer.copy_to`."""
        from cuda.bindings import driver

        for source, pitch, start, (height, width) in self._rows:
            rows = driver.CUDA_MEMCPY2D()
            rows.srcMemoryType = rows.dstMemoryType = driver.CUmemorytype.CU_MEMORYTYPE_DEVICE
            rows.srcDevice, rows.srcPitch = source, pitch
            rows.dstDevice, rows.dstPitch = int(target.handle) + start, width
            rows.WidthInBytes, rows.Height = width, height
            (code,) = driver.cuMemcpy2DAsync(rows, handle_of(stream))
            if code:
                raise BackendError(f"the decoded frame cannot be copied: {code.name}")


def _check(planes: CardPlanes, format: FrameFormat, card: int, widths: list[int]) -> None:
    if planes.card != card:
        raise UsageError(
            f"the frame lies on GPU {planes.card}, the restorer works on GPU {card}: decode there"
        )
    given = (planes.pixel_format, planes.width, planes.height)
    if given != (format.pixel_format, format.width, format.height):
        raise UsageError(
            f"the frame is {given[0]} at {given[1]}x{given[2]}, the restorer is for "
            f"{format.pixel_format} at {format.width}x{format.height}"
        )
    if len(planes.addresses) != len(widths) or any(
        pitch < width for pitch, width in zip(planes.pitches, widths, strict=True)
    ):
        raise UsageError(f"the frame's pitches {planes.pitches} are shorter than rows of {widths}")
