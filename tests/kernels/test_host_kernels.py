"""The CUDA sources, run on the host, against their NumPy twins: random and adversarial inputs."""

import ctypes
from typing import Any

import numpy as np
import pytest
from frames import (
    ALL_FORMATS,
    changed_face,
    damaged_placements,
    face_over,
    placement_of,
    random_planes,
)
from host_kernels import library, needs_compiler, run
from numpy.typing import NDArray

from keeprt.kernels import launch
from keeprt.kernels.crop_align import crop_align
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.paste_back import paste_back
from keeprt.kernels.placement import no_face, place_face
from keeprt.kernels.warp_by_flow import warp_by_flow

pytestmark = needs_compiler

SIZES = [(1, 1), (2, 3), (7, 5), (33, 18), (64, 47)]


def address(array: NDArray[Any]) -> int:
    return int(array.ctypes.data)


def host_warp(previous: Any, flow: Any, mask: Any) -> Any:
    out = np.full_like(previous, 77)
    batch, _, height, width = previous.shape
    pointers = (address(array) for array in (previous, flow, mask, out))
    run("warp_by_flow", launch.warp_by_flow(*pointers, batch, height, width))
    return out


def host_crop(planes: Any, format: FrameFormat, faces: Any, size: int, dtype: Any) -> Any:
    out = np.full((len(faces), 3, size, size), 77, dtype)
    half = dtype == np.float16
    pointers = tuple(address(plane) for plane in planes)
    run(
        "crop_align",
        launch.crop_align(pointers, format, address(faces), address(out), len(faces), size, half),
    )
    return out


def host_paste(
    planes: Any, format: FrameFormat, placement: Any, face: Any, crop: Any, dither: bool = False
) -> None:
    half, size = crop.dtype == np.float16, face.shape[-1]
    pointers = tuple(address(plane) for plane in planes)
    given = (address(placement), address(face), address(crop))
    run("paste_back", launch.paste_back(pointers, format, *given, size, half, dither))


def closer_face(format: FrameFormat, size: int, share: float) -> Any:
    """Larger than its frame, so that the crop is smoothed."""
    halved = (format.layout.halved_x, format.layout.halved_y)
    matrix = face_over(format, size, share, -110.0)
    return place_face(matrix, format.width, format.height, size, halved=halved)


@pytest.mark.parametrize("rows, columns", [(1, 1), (1, 33), (3, 5), (5, 64), (2, 65)])
@pytest.mark.parametrize("reach", [0.1, 2.0, 50.0])
def test_warp_runs_as_its_twin(rows: int, columns: int, reach: float) -> None:
    rng = np.random.default_rng(rows * columns)
    previous = rng.standard_normal((2, 3, rows * 8, columns * 8)).astype(np.float32)
    flow = (rng.standard_normal((2, 2, rows, columns)) * reach).astype(np.float32)
    mask = (rng.standard_normal((2, 576, rows, columns)) * 3).astype(np.float32)
    expected = warp_by_flow(previous, flow, mask)
    # exp differs in its last bit, and so does the flow; a coordinate has steps of width * 6e-8;
    # the slope between two pixels of this noise is up to 8.
    atol = 8 * (8 * columns * 6e-8 + 8e-6 * reach)
    np.testing.assert_allclose(host_warp(previous, flow, mask), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("damage", [np.nan, np.inf, -np.inf, 1e30, -1e30, 4e8, -4e8])
@pytest.mark.parametrize("where", ["flow", "mask"])
def test_warp_of_damaged_inputs_runs_as_its_twin(damage: float, where: str) -> None:
    rng = np.random.default_rng(5)
    previous = rng.standard_normal((1, 3, 24, 40)).astype(np.float32)
    arrays = {
        "flow": rng.standard_normal((1, 2, 3, 5)).astype(np.float32),
        "mask": rng.standard_normal((1, 576, 3, 5)).astype(np.float32),
    }
    arrays[where].reshape(-1)[:: arrays[where].size // 7] = damage
    expected = warp_by_flow(previous, **arrays)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(host_warp(previous, **arrays), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("name", ALL_FORMATS)
def test_crop_runs_as_its_twin_bit_for_bit(name: str, dtype: Any) -> None:
    for seed, (width, height) in enumerate(SIZES):
        siting = ("left", "topleft", "center")[seed % 3]
        format = FrameFormat(name, width, height, full_range=bool(seed % 2), siting=siting)
        planes = random_planes(format, seed)
        size = 19
        faces = np.stack(
            [
                place_face(face_over(format, size, 0.7, 33.0), width, height, size),
                *(closer_face(format, size, share) for share in (3.0, 9.0)),
                no_face(),
                *damaged_placements(format),
            ]
        )
        expected = crop_align(planes, format, faces, size, dtype)
        np.testing.assert_array_equal(host_crop(planes, format, faces, size, dtype), expected)


@pytest.mark.parametrize("dither", [False, True])
@pytest.mark.parametrize("name", ALL_FORMATS)
def test_paste_runs_as_its_twin_bit_for_bit(name: str, dither: bool) -> None:
    for seed, (width, height) in enumerate(SIZES):
        format = FrameFormat(name, width, height, siting=("left", "topleft", "center")[seed % 3])
        size, halved = 23, (format.layout.halved_x, format.layout.halved_y)
        how = {"halved": halved, "strength": 0.7, "grey": bool(seed % 2)}
        matrices = [face_over(format, size, share, 17.0) for share in (0.6, 1.5, 0.3, 0.05)]
        faces = [place_face(matrix, width, height, size, **how) for matrix in matrices]
        for number, placement in enumerate((*faces, *damaged_placements(format))):
            face, crop = changed_face(size, (np.float32, np.float16)[seed % 2], number)
            ours = random_planes(format, seed)
            twin = [plane.copy() for plane in ours]
            host_paste(ours, format, placement, face, crop, dither)
            paste_back(twin, format, placement, face, crop, dither)
            for plane, expected in zip(ours, twin, strict=True):
                np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize("size", [1, 2])
def test_faces_of_one_pixel_run_as_their_twins(size: int) -> None:
    format = FrameFormat("nv12", 9, 9)
    placement = place_face(np.array([[1.0, 0, -4], [0, 1, -4]]), 9, 9, size)
    face = np.ones((3, size, size), np.float32)
    ours, twin = random_planes(format), random_planes(format)
    host_paste(ours, format, placement, face, -face)
    paste_back(twin, format, placement, face, -face)
    for plane, expected in zip(ours, twin, strict=True):
        np.testing.assert_array_equal(plane, expected)
    expected_crop = crop_align(ours, format, placement[None], size)
    np.testing.assert_array_equal(
        host_crop(ours, format, placement[None], size, np.float32), expected_crop
    )


def test_rows_with_padding_are_addressed_by_their_pitch() -> None:
    tight = FrameFormat("yuv420p10le", 33, 17)
    loose = FrameFormat("yuv420p10le", 33, 17, pitches=(64, 31, 29))
    planes = random_planes(tight)
    padded = [np.full(shape, 12345, np.uint16) for shape in loose.plane_shapes()]
    for plane, wide in zip(planes, padded, strict=True):
        wide[:, : plane.shape[1]] = plane
    placement = place_face(face_over(tight, 21), 33, 17, 21)
    face = np.random.default_rng(0).uniform(-1, 1, (3, 21, 21)).astype(np.float32)
    np.testing.assert_array_equal(
        host_crop(padded, loose, placement[None], 21, np.float32),
        host_crop(planes, tight, placement[None], 21, np.float32),
    )
    host_paste(planes, tight, placement, face, -face)
    host_paste(padded, loose, placement, face, -face)
    for plane, wide in zip(planes, padded, strict=True):
        np.testing.assert_array_equal(wide[:, : plane.shape[1]], plane)
        assert (wide[:, plane.shape[1] :] == 12345).all()


@pytest.mark.parametrize("name", ["nv12", "x2rgb10le", "yuv422p10le"])
def test_nothing_is_written_beyond_the_planes(name: str) -> None:
    format = FrameFormat(name, 31, 15)
    guard, planes = 64, []
    for plane in random_planes(format):
        memory = np.full(plane.size + 2 * guard, 99, plane.dtype)
        memory[guard:-guard] = plane.reshape(-1)
        planes.append(memory)
    inner = [
        memory[guard:-guard].reshape(shape)
        for memory, shape in zip(planes, format.plane_shapes(), strict=True)
    ]
    everywhere = {
        "left": -99,
        "top": -99,
        "right": 9999,
        "bottom": 9999,
        "strength": 1,
    }
    placement = placement_of({**everywhere, "to_crop": np.eye(2, 3) * 0.2 + [[0, 0, 3], [0, 0, 3]]})
    face = np.ones((3, 16, 16), np.float32)
    host_paste(inner, format, placement, face, -face)
    for memory in planes:
        assert (memory[:guard] == 99).all() and (memory[-guard:] == 99).all()


def test_half_conversion_rounds_as_numpy_does() -> None:
    """Through a one-pixel crop: every code of a 16-bit RGB frame, stored as half."""
    format = FrameFormat("rgb48le", 256, 256)
    planes = [np.arange(3 * 65536, dtype=np.uint32).reshape(256, -1).astype(np.uint16)]
    unit = placement_of({"to_frame": [[1, 0, 0], [0, 1, 0]]})[None]
    expected = crop_align(planes, format, unit, 256, np.float32).astype(np.float16)
    np.testing.assert_array_equal(host_crop(planes, format, unit, 256, np.float16), expected)


def test_host_library_offers_every_kernel_by_name() -> None:
    for source in ("warp_by_flow", "crop_align", "paste_back"):
        assert isinstance(library(source), ctypes.CDLL)
    for name in ALL_FORMATS:
        for half in (False, True):
            format = FrameFormat(name, 8, 8)
            planes = tuple(range(len(format.plane_shapes())))
            crop = launch.crop_align(planes, format, 0, 0, 1, 8, half)
            paste = launch.paste_back(planes, format, 0, 0, 0, 8, half)
            assert hasattr(library("crop_align"), crop.kernel)
            assert hasattr(library("paste_back"), paste.kernel)
