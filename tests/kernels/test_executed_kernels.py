"""The PTX of the kernels, executed on the processor with the launches of `launch.py`.

It shows what the host build cannot: what NVRTC made of the sources, every access within its arrays,
no byte that two threads share, barriers where they have to be. NVRTC has two front ends, one up to
sm_90 and one from sm_100: both are run.
"""

import mmap
from collections.abc import Iterator
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
from host_kernels import needs_compiler
from ptx.twins import Executed, executed
from test_loader import expected_kernels, needs_nvrtc

from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.placement import no_face, place_face
from tests.long import LONG

pytestmark = [needs_compiler, needs_nvrtc, pytest.mark.slow]

FEW = (
    "shrink_u8",
    "crop_align_u8_f16",
    "paste_back_420_u8_f16",
    "paste_back_444_u8_f32",
    "warp_by_flow",
)
FRONT_ENDS = ("sm_75", "sm_120")
SITINGS = ("left", "topleft", "center", "top")
DAMAGE = (np.nan, np.inf, -np.inf, 1e30, -3e38, 4e8, 1e-42, 88.0)


@pytest.fixture(scope="module", params=FRONT_ENDS)
def few(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Executed:
    """Four kernels, which are quick to compile."""
    return executed(request.param, tmp_path_factory.mktemp("ptx"), FEW)


@pytest.fixture(
    scope="module",
    params=[*FRONT_ENDS, *(pytest.param(arch, marks=LONG) for arch in ("sm_90", "sm_100"))],
)
def all_kernels(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Executed:
    return executed(request.param, tmp_path_factory.mktemp("ptx"))


def placements(format: FrameFormat, size: int) -> Iterator[Any]:
    width, height = format.width, format.height
    how: Any = {"halved": (format.layout.halved_x, format.layout.halved_y), "strength": 0.7}
    for share, degrees in ((0.7, 20.0), (3.0, -110.0), (0.3, 8.0), (0.05, 5.0), (40.0, 33.0)):
        yield place_face(face_over(format, size, share, degrees), width, height, size, **how)
    for x, y in ((0.5, 0.0), (-0.5, 0.1), (0.2, -0.6), (3.0, 100.0)):
        matrix = face_over(format, size, 0.8, 17.0)
        matrix[:, 2] -= matrix[:, :2] @ [x * width, y * height]
        yield place_face(matrix, width, height, size, grey=True)
    yield no_face()
    yield from damaged_placements(format)


def check_format(kernels: Executed, name: str, width: int, height: int, seed: int) -> None:
    """All kernels on one format, padded and tight, in both types of faces by turns."""
    dtype, size = (np.float32, np.float16)[seed % 2], (19, 1, 2, 33)[seed % 4]
    tight = FrameFormat(name, width, height, siting=SITINGS[seed % 4], full_range=seed % 3 == 0)
    padded = tuple(pitch + 5 + n for n, (_, pitch) in enumerate(tight.plane_shapes()))
    pitches = padded if seed % 2 else None
    format = FrameFormat(name, width, height, siting=SITINGS[seed % 4], pitches=pitches)
    planes, places = random_planes(format, seed), list(placements(format, size))
    kernels.crop(planes, format, np.stack(places), size, dtype)
    for n, place in enumerate(places):
        kernels.paste(planes, format, place, *changed_face(size, dtype, n), dither=bool(n % 2))
    for least in (1, 2, 3):
        kernels.shrink(planes, format, -(-width // least), -(-height * 2 // (3 * least)))


def warp_inputs(rows: int, columns: int, reach: float = 2.0, batch: int = 1) -> tuple[Any, ...]:
    rng = np.random.default_rng(rows * columns)
    picture = (batch, 3, rows * 8, columns * 8)
    shapes = (picture, (batch, 2, rows, columns), (batch, 576, rows, columns))
    previous, flow, mask = (rng.standard_normal(s).astype(np.float32) for s in shapes)
    return previous, flow * np.float32(reach), mask * np.float32(3)


def test_kernels_on_nv12(few: Executed) -> None:
    check_format(few, "nv12", 33, 18, seed=1)
    check_format(few, "nv12", 1, 7, seed=3)


def test_every_order_of_blocks_and_threads_gives_the_same(few: Executed) -> None:
    format = FrameFormat("nv12", 64, 47)
    places = [place_face(face_over(format, 33, s, 17), 64, 47, 33) for s in (0.6, 1.5)]
    few.crop(random_planes(format), format, np.stack(places), 33, np.float16, orders=True)
    given = changed_face(33, np.float16)
    few.paste(random_planes(format), format, places[1], *given, orders=True)
    few.warp(*warp_inputs(2, 5), orders=True)
    few.shrink(random_planes(format), format, 29, 21, orders=True)


def test_every_code_is_rounded_to_the_nearest_half(few: Executed) -> None:
    format = FrameFormat("rgb24", 16, 16)
    codes = np.arange(3 * 256, dtype=np.uint16).astype(np.uint8).reshape(16, 48)
    unit = placement_of({"to_frame": [[1, 0, 0], [0, 1, 0]]})[None]
    few.crop([codes], format, unit, 16, np.float16)


def test_a_region_of_more_sites_than_threads_is_pasted_whole(few: Executed) -> None:
    """512 blocks of 256 threads: from site 131,072 on, a thread comes round again."""
    format = FrameFormat("rgb24", 370, 360)
    unit = placement_of({"to_crop": np.eye(2, 3) / 10, "strength": 1, "right": 370, "bottom": 360})
    face = np.random.default_rng(0).uniform(-1, 1, (3, 40, 40)).astype(np.float32)
    few.paste(random_planes(format), format, unit, face, -face)


def test_rows_beyond_two_gigabytes_are_found(few: Executed) -> None:
    pitch, rows = 1 << 26, 36
    memory = mmap.mmap(-1, rows * pitch, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
    plane = np.frombuffer(memory, np.uint8).reshape(rows, pitch)
    plane[:, :24] = np.random.default_rng(0).integers(0, 256, (rows, 24))
    format = FrameFormat("rgb24", 8, rows, pitches=(pitch,))
    unit = placement_of({"to_frame": [[1, 0, 0], [0, 1, rows - 16]]})[None]
    few.crop([plane], format, unit, 16, np.float16, copies=False)
    few.shrink([plane], format, 4, 12, copies=False)


@pytest.mark.parametrize("rows, columns", [(1, 1), (3, 5), (1, 33)])
def test_warp(few: Executed, rows: int, columns: int) -> None:
    few.warp(*warp_inputs(rows, columns, batch=2))


@pytest.mark.parametrize("damage", DAMAGE[::3])
def test_warp_of_damaged_inputs(few: Executed, damage: float) -> None:
    check_damaged_warp(few, damage)


def check_damaged_warp(kernels: Executed, damage: float) -> None:
    for where in range(2):
        previous, *arrays = warp_inputs(3, 5)
        arrays[where].reshape(-1)[:: arrays[where].size // 7] = damage
        kernels.warp(previous, *arrays)


@pytest.mark.parametrize("name", ALL_FORMATS)
def test_every_format_in_every_front_end(all_kernels: Executed, name: str) -> None:
    assert all_kernels.module.kernels == expected_kernels()
    sizes = [(1, 1), (2, 3), (7, 5), (33, 18), (64, 47), (1, 40), (41, 1), (97, 55)]
    for seed, (width, height) in enumerate(sizes):
        check_format(all_kernels, name, width, height, seed)


def test_warps_in_every_front_end(all_kernels: Executed) -> None:
    for reach in (0.1, 2.0, 50.0):
        for rows, columns in ((2, 65), (5, 64), (16, 16)):
            all_kernels.warp(*warp_inputs(rows, columns, reach), orders=reach == 2.0)
    for damage in DAMAGE:
        check_damaged_warp(all_kernels, damage)


def test_every_half_and_every_code_of_16_bits(all_kernels: Executed) -> None:
    unit = np.eye(2, 3)
    values = {"to_frame": unit, "to_crop": unit, "strength": 1}
    place = placement_of({**values, "right": 256, "bottom": 256})
    format = FrameFormat("rgb48le", 256, 256)
    planes = [np.arange(3 * 65536, dtype=np.uint32).reshape(256, -1).astype(np.uint16)]
    halves = np.linspace(-1, 1, 3 * 65536).astype(np.float16).reshape(3, 256, 256)
    face = np.random.default_rng(0).uniform(-1, 1, halves.shape).astype(np.float32)
    all_kernels.crop(planes, format, place[None], 256, np.float16)
    all_kernels.paste(planes, format, place, face, halves, dither=True)


def test_a_face_of_512_in_a_frame_of_1080_lines_loads_what_it_did(all_kernels: Executed) -> None:
    """Loads of a warp of 32 threads, with a tenth to spare; by pointer to the format: 2.8 times."""
    format = FrameFormat("nv12", 1920, 1080)
    place = place_face(face_over(format, 512, 0.4, 8.0), 1920, 1080, 512)
    planes = random_planes(format)
    face = np.random.default_rng(0).uniform(-1, 1, (3, 512, 512)).astype(np.float32)
    given = face, (face / 2).astype(np.float16)
    crop = all_kernels.crop(planes, format, place[None], 512, np.float16, count=True)
    paste = all_kernels.paste(planes, format, place, *given, count=True)
    small = all_kernels.shrink(planes, format, 640, 360, count=True)
    print(crop, paste, small)
    assert crop is not None and crop.loads < 198_000
    assert paste is not None and paste.loads < 352_000
