"""FFmpeg's own hardware frames on the driver in host memory, as NVDEC would leave them there."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Sequence
from typing import Any

import av
import numpy as np

from keeprt.engine.devices.cuda.arrays import LEGACY_STREAM
from keeprt.engine.devices.cuda.guest import visit_card
from tests.cuda_driver.engines import driver

# What the legacy stream may still have to read.
_UPLOADING: deque[Any] = deque(maxlen=256)


class Surface:
    """Planes (rows, samples) in one block of a card's memory, `gap` bytes between their rows, which
    the legacy stream is filling for `busy_s` seconds; given back once nobody holds it."""

    def __init__(
        self, planes: Sequence[Any], *, gap: int = 32, device: int = 0, busy_s: float = 0.0
    ) -> None:
        from cuda.core import LEGACY_DEFAULT_STREAM

        self.planes = [np.ascontiguousarray(plane) for plane in planes]
        _UPLOADING.append(self.planes)
        self.pitches = tuple(plane.strides[0] + gap for plane in self.planes)
        sizes = [len(plane) * pitch for plane, pitch in zip(self.planes, self.pitches, strict=True)]
        with visit_card(device) as card:
            self.buffer = card.allocate(sum(sizes), stream=LEGACY_DEFAULT_STREAM)
            starts = [sum(sizes[:index]) for index in range(len(sizes))]
            self.addresses = tuple(int(self.buffer.handle) + start for start in starts)
            self._fill(busy_s)

    def view(self, index: int) -> Any:
        """A plane for DLPack."""
        from cuda.core import Buffer
        from cuda.core.utils import StridedMemoryView

        plane, pitch = self.planes[index], self.pitches[index]
        part = Buffer.from_handle(self.addresses[index], len(plane) * pitch, owner=self.buffer)
        strides = (pitch // plane.itemsize, 1)
        return StridedMemoryView.from_buffer(part, plane.shape, strides, dtype=plane.dtype)

    def _fill(self, busy_s: float) -> None:
        """By the driver alone: FFmpeg waits for it with Python's lock held."""
        from cuda.bindings import driver as cuda

        driver().hostdriver_busy(ctypes.c_void_p(LEGACY_STREAM), int(busy_s * 1e6))
        for plane, address, pitch in zip(self.planes, self.addresses, self.pitches, strict=True):
            rows = cuda.CUDA_MEMCPY2D()
            rows.srcMemoryType = cuda.CUmemorytype.CU_MEMORYTYPE_HOST
            rows.srcHost, rows.srcPitch = plane.ctypes.data, plane.strides[0]
            rows.dstMemoryType = cuda.CUmemorytype.CU_MEMORYTYPE_DEVICE
            rows.dstDevice, rows.dstPitch = address, pitch
            rows.WidthInBytes, rows.Height = plane.strides[0], len(plane)
            (code,) = cuda.cuMemcpy2DAsync(rows, LEGACY_STREAM)
            assert code == 0, code


def hardware_frame(native: av.VideoFrame, **how: Any) -> av.VideoFrame:
    """A frame of format "cuda" with the samples, time and tags of an NV12 or P010 frame; `how` as
    `Surface` takes it."""
    word = np.uint8 if native.format.name == "nv12" else np.uint16
    planes = []
    for plane, rows in zip(native.planes, (native.height, native.height // 2), strict=True):
        words = np.frombuffer(memoryview(plane), word)
        planes.append(words.reshape(-1, plane.line_size // words.itemsize)[:rows, : native.width])
    surface = Surface(planes, **how)
    views = [surface.view(index) for index in range(2)]
    frame = av.VideoFrame.from_dlpack(views, format=native.format.name)
    frame.pts, frame.duration = native.pts, native.duration
    if native.time_base:
        frame.time_base = native.time_base
    frame.colorspace, frame.color_range = native.colorspace, native.color_range
    frame.color_primaries, frame.color_trc = native.color_primaries, native.color_trc
    return frame


def host_frame(packed: Any, pixel_format: str, width: int, height: int) -> av.VideoFrame:
    """An NV12 or P010 frame of packed planes, uint8 (bytes,)."""
    frame, start = av.VideoFrame(width, height, pixel_format), 0
    word = 1 if pixel_format == "nv12" else 2
    for plane, rows in zip(frame.planes, (height, height // 2), strict=True):
        target = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        size = rows * width * word
        target[:rows, : width * word] = packed[start : start + size].reshape(rows, -1)
        start += size
    return frame
