"""Whole video frames: the list of a frame's operations from decoded frame to frame with faces."""

from __future__ import annotations

import math

import numpy as np

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.frame.buffers import Array, BufferTable
from keeprt.engine.frame.face_list import FaceList
from keeprt.engine.frame.operations import Copy, Crop, Operation, Outside, Paste, View
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.placement import PLACEMENT_DTYPE


class VideoList(FaceList):
    """Lists whose only transfers are the frame with its placements in, and the frame out."""

    def __init__(
        self, bundle: Bundle, table: BufferTable, window: int, format: FrameFormat, faces: int
    ) -> None:
        """Adds the frame and the placements of at most so many faces to the table."""
        super().__init__(bundle, table, window)
        self.format = format
        table.add_rows("frame", np.uint8, (frame_bytes(format),), 1)
        table.add_rows("placements", np.uint8, (PLACEMENT_DTYPE.itemsize,), faces)

    @property
    def frame(self) -> View:
        """The planes of the frame."""
        return self._table.row("frame", 0)

    def placements(self, faces: int) -> View:
        """The records of the first faces."""
        return self._table.rows("placements", 0, faces)

    def _take(self, faces: int) -> list[Operation]:
        frame, placements = self.frame, self.placements(faces)
        work = (Copy(Outside("video"), frame), Copy(Outside("placements"), placements))
        crop = Crop(self.format, frame, placements, self._table.rows("face", 0, faces))
        return [Operation("upload", work), Operation("crop", (crop,))]

    def _give(self, faces: int) -> list[Operation]:
        """Faces are pasted in the order of their rows."""
        row, pasted = self._table.row, ("placements", "restored", "face")
        pastes = (
            Paste(self.format, self.frame, *(row(name, face) for name in pasted))
            for face in range(faces)
        )
        download = Operation(
            "download", (Copy(self.frame, Outside("result")),), ("codes", "margin")
        )
        return [Operation("paste", tuple(pastes)), download]


def frame_bytes(format: FrameFormat) -> int:
    """Bytes of a frame's planes, one after the other."""
    word = np.dtype(format.layout.dtype).itemsize
    return word * sum(rows * samples for rows, samples in format.plane_shapes())


def placement_bytes(placements: Array) -> Array:
    """Records (faces,) PLACEMENT_DTYPE as rows of bytes."""
    records = np.ascontiguousarray(placements, PLACEMENT_DTYPE)
    return records.view(np.uint8).reshape(-1, PLACEMENT_DTYPE.itemsize)


def plane_starts(format: FrameFormat) -> list[int]:
    """The byte that each plane begins at."""
    word, starts = np.dtype(format.layout.dtype).itemsize, [0]
    for rows, samples in format.plane_shapes()[:-1]:
        starts.append(starts[-1] + word * rows * samples)
    return starts


def planes_in(packed: Array, format: FrameFormat) -> list[Array]:
    """Views (rows, samples) of the planes in a frame, uint8 (bytes,). Raises UsageError."""
    if packed.shape != (frame_bytes(format),) or packed.dtype != np.uint8:
        raise UsageError(
            f"a frame is {packed.dtype} {packed.shape}; {format.pixel_format} at {format.width}x"
            f"{format.height} needs uint8 ({frame_bytes(format)},)"
        )
    dtype = np.dtype(format.layout.dtype)
    return [
        packed[start : start + dtype.itemsize * math.prod(shape)].view(dtype).reshape(shape)
        for start, shape in zip(plane_starts(format), format.plane_shapes(), strict=True)
    ]
