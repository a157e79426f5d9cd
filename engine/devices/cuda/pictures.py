"""Pictures of faces on their way to the card and back."""

from __future__ import annotations

import numpy as np

from keeprt.engine.devices.cuda.device import CudaDevice, Equipment
from keeprt.engine.devices.cuda.lanes import Enqueue
from keeprt.engine.frame.operations import GivePicture, TakePicture, Work
from keeprt.kernels import launch


class PictureDevice(CudaDevice):
    """RGB uint8 (S, S, 3) in and out by pinned memory, converted by kernels of ours."""

    def __init__(self, given: Equipment) -> None:
        """Takes fixed places for a frame's pictures, and pinned memory for two frames."""
        super().__init__(given)
        memory, size, rows = given.memory, given.bundle.face_size, range(given.faces)
        picture = (size, size, 3)
        self._size = size
        #: Where a row's picture lies on the card before it is converted.
        self.raw = [memory.take(size * size * 3) for _ in rows]
        self._made = [memory.take(size * size * 3) for _ in rows]
        self.sent = [[memory.pinned(picture, np.uint8) for _ in rows] for _ in range(2)]
        self.results = [[memory.pinned(picture, np.uint8) for _ in rows] for _ in range(2)]

    def _bound(self, work: Work, index: int, faces: int) -> Enqueue | None:
        match work:
            case TakePicture(taken, target):
                raw, face = int(self.raw[taken.row].handle), self._memory.view(target, index)
                half = self._half(target)
                return self._submit(launch.face_from_picture(raw, face.address, self._size, half))
            case GivePicture(source, given):
                return self._give_picture(
                    self._memory.view(source, index).address, given.row, index
                )
            case _:
                return super()._bound(work, index, faces)

    def _give_picture(self, face: int, row: int, index: int) -> Enqueue:
        made, (result, _) = self._made[row], self.results[index % 2][row]
        convert = self._submit(launch.face_to_picture(face, int(made.handle), self._size))
        copy = self._copy(made, result)

        def enqueue(stream: object, slots: object) -> None:
            convert(stream, slots)  # type: ignore[arg-type]
            copy(stream, slots)  # type: ignore[arg-type]

        return enqueue
