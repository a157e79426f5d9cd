"""Pictures of faces on their way to the card and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keeprt.engine.backends.cuda_device import CudaDevice, Engines, Enqueue
from keeprt.engine.backends.cuda_memory import CudaMemory
from keeprt.engine.buffers import BufferSpec
from keeprt.engine.bundle import Bundle
from keeprt.engine.operations import GivePicture, TakePicture, View, Work
from keeprt.kernels import launch
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.placement import place_face

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cuda.core import Kernel


class PictureDevice(CudaDevice):
    """RGB uint8 (S, S, 3) in by a kernel of ours, float32 (3, S, S) out, both by pinned memory."""

    def __init__(
        self,
        memory: CudaMemory,
        engines: Engines,
        kernels: dict[str, Kernel],
        specs: Mapping[str, BufferSpec],
        bundle: Bundle,
        faces: int,
    ) -> None:
        """Takes fixed places for a frame's pictures, and pinned memory for two frames."""
        super().__init__(memory, engines, kernels, specs, bundle, faces)
        size, rows = bundle.face_size, range(faces)
        #: Where a row's picture lies on the card before it is converted.
        self.raw = [memory.take(size * size * 3) for _ in rows]
        self.sent = [[memory.pinned((size, size, 3), np.uint8) for _ in rows] for _ in range(2)]
        self.results = [
            [memory.pinned((3, size, size), np.float32) for _ in rows] for _ in range(2)
        ]
        self._format = FrameFormat("rgb24", size, size)
        self._record = memory.constant(np.atleast_1d(self._format.record()).view(np.uint8))
        whole = place_face(np.eye(2, 3), size, size, size)
        self._whole = memory.constant(np.atleast_1d(whole).view(np.uint8))

    def _of_pictures(self, work: Work, index: int) -> Enqueue:
        match work:
            case TakePicture(taken, target):
                return self._convert(taken.row, target, index)
            case GivePicture(source, given):
                result, _ = self.results[index % 2][given.row]
                return self._copy(self._memory.buffer(self._memory.view(source, index)), result)
            case _:
                return super()._of_pictures(work, index)

    def _convert(self, row: int, target: View, index: int) -> Enqueue:
        return self._submit(
            launch.crop_align(
                (int(self.raw[row].handle),),
                self._format,
                int(self._record.handle),
                int(self._whole.handle),
                self._memory.view(target, index).address,
                faces=1,
                size=self._format.width,
                half=self._half(target),
            )
        )
