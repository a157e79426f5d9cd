"""A stand-in for the card, in host memory: what is put on a stream happens at once.

It shows that addresses, slots, captures and waits are put together rightly. It is no GPU: nothing
runs beside anything, and no kernel of ours is compiled.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keeprt.engine.backends.onnxruntime import OnnxRuntimeBackend, numpy_dtype
from keeprt.engine.bundle import Bundle
from keeprt.engine.pixels import normalise
from keeprt.kernels.crop_align import crop_align
from keeprt.kernels.frame import FRAME_DTYPE, FrameFormat
from keeprt.kernels.launch import Launch
from keeprt.kernels.paste_back import paste_back
from keeprt.kernels.placement import PLACEMENT_DTYPE
from keeprt.kernels.warp_by_flow import CELL, warp_by_flow


def array_at(address: int, shape: tuple[int, ...], dtype: Any) -> Any:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = (ctypes.c_ubyte * size).from_address(address)
    return np.frombuffer(memory, dtype).reshape(shape)


class HostBuffer:
    def __init__(self, handle: int, size: int, owner: Any = None) -> None:
        self.handle, self.size, self.owner = handle, size, owner

    @classmethod
    def allocated(cls, size: int) -> HostBuffer:
        memory = np.full(size + 256, 0xAA, np.uint8)
        return cls(memory.ctypes.data + -memory.ctypes.data % 256, size, memory)

    @classmethod
    def from_handle(cls, handle: int, size: int, owner: Any = None) -> HostBuffer:
        return cls(handle, size, owner)

    def copy_to(self, target: HostBuffer, *, stream: Any) -> None:
        assert self.size == target.size
        stream.put(lambda: ctypes.memmove(target.handle, self.handle, self.size))
        if not isinstance(stream, HostCapture):
            stream.card.copied.append(self.size)

    def fill(self, value: int, *, stream: Any) -> None:
        stream.put(lambda: ctypes.memset(self.handle, value, self.size))


class HostPinned:
    def allocate(self, size: int) -> HostBuffer:
        return HostBuffer.allocated(size)


class HostStream:
    def __init__(self, card: HostCard, given: object = None) -> None:
        self.card, self.handle, self.name = card, len(card.streams) + 10, given or "ours"
        card.streams[self.handle] = self

    def put(self, work: Callable[[], Any]) -> None:
        self.card.submitted += 1
        work()

    def sync(self) -> None:
        self.card.synchronised += 1

    def wait(self, other: Any) -> None:
        self.card.waits += 1
        if isinstance(other, HostStream):
            self.card.waited.append((self.name, other.name))
        else:
            self.card.waited.append((self.name, "an event"))

    def record(self, event: Any) -> None:
        pass

    def create_graph_builder(self) -> HostCapture:
        return HostCapture(self.card)

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.handle


class HostCapture(HostStream):
    """Keeps what is put on it, and runs it when it is launched."""

    def __init__(self, card: HostCard) -> None:
        super().__init__(card)
        self.nodes: list[Callable[[], Any]] = []

    def begin_building(self) -> None:
        self.card.captures += 1

    def put(self, work: Callable[[], Any]) -> None:
        self.nodes.append(work)

    def end_building(self) -> HostCapture:
        return self

    def complete(self) -> HostCapture:
        return self

    def launch(self, stream: HostStream) -> None:
        self.card.launches += 1
        for node in self.nodes:
            node()


class HostEvent:
    def sync(self) -> None:
        pass


class HostCard:
    def __init__(self) -> None:
        self.streams: dict[int, HostStream] = {}
        self.submitted = self.launches = self.captures = self.waits = self.synchronised = 0
        self.allocations = 0
        self.copied: list[int] = []
        self.waited: list[tuple[object, object]] = []

    def allocate(self, size: int, *, stream: Any) -> HostBuffer:
        self.allocations += 1
        return HostBuffer.allocated(size)

    def create_event(self) -> HostEvent:
        return HostEvent()

    def submit(self, kernels: Any, queue: HostStream, what: Launch) -> None:
        kernel = what.kernel.partition("_u")[0].rstrip("0124")
        runs = {"warp_by_flow": warp, "crop_align": crop, "paste_back_": paste}
        queue.put(lambda: runs[kernel](what))


def warp(what: Launch) -> None:
    previous, flow, mask, out, rows, columns = map(int, what.arguments)
    batch = what.grid[2]
    picture = (batch, 3, rows * CELL, columns * CELL)
    warp_by_flow(
        array_at(previous, picture, "f4"),
        array_at(flow, (batch, 2, rows, columns), "f4"),
        array_at(mask, (batch, 576, rows, columns), "f4"),
        out=array_at(out, picture, "f4"),
    )


def crop(what: Launch) -> None:
    """Any frame whose planes are tight; of a picture as it is, what `normalise` says, where
    `crop_align` rounds apart."""
    *components, record, placements, out, size = map(int, what.arguments)
    faces = array_at(out, (what.grid[2], 3, size, size), "f4")
    places = array_at(placements, (len(faces),), PLACEMENT_DTYPE)
    format = format_of(array_at(record, (1,), FRAME_DTYPE)[0])
    planes = planes_at(components, format)
    if format.pixel_format == "rgb24" and (format.width, format.height) == (size, size):
        normalise(planes[0].reshape(size, size, 3), faces[0])
    else:
        faces[:] = crop_align(planes, format, places, size)


def paste(what: Launch) -> None:
    *components, record, placement, face, size, _ = map(int, what.arguments)
    format = format_of(array_at(record, (1,), FRAME_DTYPE)[0])
    place = array_at(placement, (1,), PLACEMENT_DTYPE)[0]
    paste_back(planes_at(components, format), format, place, array_at(face, (3, size, size), "f4"))


def format_of(record: Any) -> FrameFormat:
    """The format whose record it is, of those that tests use."""
    for name in ("rgb24", "nv12", "yuv420p", "yuv420p10le"):
        format = FrameFormat(name, int(record["width"]), int(record["height"]))
        if format.record() == record:
            return format
    raise AssertionError("no such format")


def planes_at(components: list[int], format: FrameFormat) -> list[Any]:
    of_plane = zip(format.layout.plane, components, strict=True)
    starts = dict(sorted(of_plane, reverse=True))
    return [
        array_at(starts[plane], shape, format.layout.dtype)
        for plane, shape in enumerate(format.plane_shapes())
    ]


class HostEngines:
    """Sessions of ONNX Runtime on the addresses that they are given."""

    def __init__(self, bundle: Bundle, card: HostCard) -> None:
        self.bundle, self.card = bundle, card
        self.sessions = OnnxRuntimeBackend(bundle, threads=1)
        self.captures = True
        self.streams: Mapping[str, int] = {}

    def join(self, streams: Mapping[str, int]) -> None:
        self.streams = streams

    def bind(
        self, subgraph: str, addresses: Mapping[str, int], axes: Mapping[str, int]
    ) -> Callable[[int], None]:
        spec = self.bundle.subgraphs[subgraph]
        inputs, outputs = (
            {
                t.name: array_at(addresses[t.name], t.sized(**axes), numpy_dtype(t.dtype))
                for t in tensors
            }
            for tensors in (spec.inputs, spec.outputs)
        )
        bound = self.sessions.bind(subgraph, inputs, outputs)

        def run(stream: int) -> None:
            capture = isinstance(self.card.streams[stream], HostCapture)
            assert self.captures if capture else stream == self.streams[subgraph]
            self.card.streams[stream].put(bound)

        return run


class OnCard:
    """A picture of another program, in the stand-in's memory."""

    def __init__(self, picture: Any) -> None:
        self.picture = picture.copy()

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        data = (self.picture.ctypes.data, False)
        return {"shape": self.picture.shape, "typestr": "|u1", "data": data, "version": 3}
