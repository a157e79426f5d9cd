"""The kernels on the device against their NumPy twins; needs a GPU."""

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from frames import ALL_FORMATS, changed_face, damaged_placements, face_over, random_planes

from keeprt.kernels import launch, loader
from keeprt.kernels.crop_align import crop_align
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.paste_back import paste_back
from keeprt.kernels.placement import no_face, place_face
from keeprt.kernels.warp_by_flow import warp_by_flow
from tests.gpu import NEEDS_GPU

pytestmark = NEEDS_GPU


class Card:
    """Device, stream and kernels, with copies between NumPy arrays and device buffers."""

    def __init__(self) -> None:
        from cuda.core import Device, LegacyPinnedMemoryResource

        self.kernels = loader.load_kernels()
        self.device = Device()
        self.stream = self.device.create_stream()
        self.pinned = LegacyPinnedMemoryResource()

    def put(self, array: Any) -> Any:
        staging = self.pinned.allocate(array.nbytes)
        bytes_of(staging)[:] = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        buffer = self.device.allocate(array.nbytes, stream=self.stream)
        staging.copy_to(buffer, stream=self.stream)
        self.stream.sync()
        staging.close()
        return buffer

    def get(self, buffer: Any, like: Any) -> Any:
        staging = self.pinned.allocate(like.nbytes)
        buffer.copy_to(staging, stream=self.stream)
        self.stream.sync()
        result = bytes_of(staging).copy().view(like.dtype).reshape(like.shape)
        staging.close()
        return result

    def submit(self, what: launch.Launch) -> None:
        loader.submit(self.kernels, self.stream, what)
        self.stream.sync()


def bytes_of(pinned: Any) -> Any:
    memory = (ctypes.c_ubyte * pinned.size).from_address(int(pinned.handle))
    return np.frombuffer(memory, np.uint8)


def at(buffer: Any) -> int:
    return int(buffer.handle)


@pytest.fixture(scope="module")
def card() -> Iterator[Card]:
    holder = Card()
    yield holder
    holder.stream.close()


def warp_case(rows: int, columns: int, batch: int = 2) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(rows)
    shapes = (
        (batch, 3, rows * 8, columns * 8),
        (batch, 2, rows, columns),
        (batch, 576, rows, columns),
    )
    previous, flow, mask = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return previous, flow, mask * np.float32(3)


@pytest.mark.parametrize("rows, columns", [(1, 1), (3, 5), (64, 64), (2, 65)])
def test_warp_on_the_device_is_its_twin(card: Card, rows: int, columns: int) -> None:
    previous, flow, mask = warp_case(rows, columns)
    flow.reshape(-1)[0], mask.reshape(-1)[-1] = np.nan, np.inf
    buffers = [card.put(array) for array in (previous, flow, mask, np.zeros_like(previous))]
    sizes = (2, rows * 8, columns * 8)
    card.submit(launch.warp_by_flow(*(at(buffer) for buffer in buffers), *sizes))
    expected = warp_by_flow(previous, flow, mask)
    atol = 8 * (8 * max(rows, columns) * 6e-8 + 2e-5)
    np.testing.assert_allclose(card.get(buffers[3], previous), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("name", ALL_FORMATS)
def test_crop_on_the_device_is_its_twin_bit_for_bit(card: Card, name: str, dtype: Any) -> None:
    format, size = FrameFormat(name, 97, 55), 37
    planes = random_planes(format)
    placed = place_face(face_over(format, size), 97, 55, size)
    faces = np.stack([placed, no_face(), *damaged_placements(format)])
    expected = crop_align(planes, format, faces, size, dtype)
    held = [card.put(plane) for plane in planes]
    placements, out = card.put(faces), card.put(expected * 0)
    pointers = tuple(at(buffer) for buffer in held)
    half = dtype == np.float16
    card.submit(
        launch.crop_align(pointers, format, at(placements), at(out), len(faces), size, half)
    )
    np.testing.assert_array_equal(card.get(out, expected), expected)


@pytest.mark.parametrize("dither", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("name", ALL_FORMATS)
def test_paste_on_the_device_is_its_twin_bit_for_bit(
    card: Card, name: str, dtype: Any, dither: bool
) -> None:
    format, size = FrameFormat(name, 97, 55), 37
    face, crop = changed_face(size, dtype)
    halved = (format.layout.halved_x, format.layout.halved_y)
    places = [place_face(face_over(format, size, s), 97, 55, size, halved=halved) for s in (0.3, 2)]
    for placement in (*places, *damaged_placements(format)):
        planes = random_planes(format)
        held = [card.put(plane) for plane in planes]
        pointers = tuple(at(buffer) for buffer in held)
        given = [card.put(array) for array in (placement, face, crop)]
        half = dtype == np.float16
        card.submit(launch.paste_back(pointers, format, *map(at, given), size, half, dither))
        paste_back(planes, format, placement, face, crop, dither)
        for buffer, expected in zip(held, planes, strict=True):
            np.testing.assert_array_equal(card.get(buffer, expected), expected)


def test_captured_launch_replays_with_the_new_placement(card: Card) -> None:
    format, size = FrameFormat("nv12", 64, 48), 16
    planes = random_planes(format)
    placements = [place_face(face_over(format, size, s), 64, 48, size)[None] for s in (0.5, 0.9)]
    held = [card.put(plane) for plane in planes]
    where = card.put(placements[0])
    expected = [crop_align(planes, format, placement, size) for placement in placements]
    out = card.put(expected[0] * 0)
    builder = card.stream.create_graph_builder()
    builder.begin_building()
    pointers = tuple(at(buffer) for buffer in held)
    crop = launch.crop_align(pointers, format, at(where), at(out), 1, size)
    loader.submit(card.kernels, builder, crop)
    graph = builder.end_building().complete()
    for placement, crops in zip(placements, expected, strict=True):
        fresh = card.put(placement)
        fresh.copy_to(where, stream=card.stream)
        graph.launch(card.stream)
        np.testing.assert_array_equal(card.get(out, crops), crops)


def test_registers_on_the_card_are_those_of_the_report(card: Card) -> None:
    for compiled in loader.compile_kernels([f"sm_{card.device.arch}"]):
        for report in compiled.reports:
            attributes = card.kernels[report.kernel].attributes
            assert attributes.num_regs == report.registers
            assert attributes.local_size_bytes == report.stack_bytes
