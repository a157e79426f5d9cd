"""Pixel formats against FFmpeg's own conversion, and the records against the C structures."""

import shutil
import subprocess

import av
import numpy as np
import pytest
from frames import ALL_FORMATS, random_planes
from host_kernels import SOURCES

from keeprt.engine.errors import FaceError, UsageError
from keeprt.kernels.frame import FRAME_DTYPE, FrameFormat, codes_of, components, rgb_to_codes
from keeprt.kernels.placement import PLACEMENT_DTYPE, no_face, place_face

# (R, G, B) of 255, and the limited-range codes of BT.601 and BT.709 for it at 8 bits, by H.273.
PRIMARIES = {
    (255, 255, 255): ((235, 128, 128), (235, 128, 128)),
    (0, 0, 0): ((16, 128, 128), (16, 128, 128)),
    (255, 0, 0): ((81, 90, 240), (63, 102, 240)),
    (0, 255, 0): ((145, 54, 34), (173, 42, 26)),
    (0, 0, 255): ((41, 240, 110), (32, 240, 118)),
}


def codes(rgb: tuple[int, ...], format: FrameFormat) -> list[int]:
    point = np.array([*(2 * v / 255 - 1 for v in rgb), 1])
    return [round(value) for value in rgb_to_codes(format) @ point]


@pytest.mark.parametrize("rgb", PRIMARIES)
def test_codes_of_the_primaries(rgb: tuple[int, ...]) -> None:
    for matrix, expected in zip(("bt601", "bt709"), PRIMARIES[rgb], strict=True):
        assert codes(rgb, FrameFormat("yuv420p", 8, 8, matrix)) == list(expected)
        ten_bits = codes(rgb, FrameFormat("p010le", 8, 8, matrix))
        # 4 times the exact value, which is within half a code of the 8-bit one
        assert all(abs(c10 - 4 * c8) <= 2 for c10, c8 in zip(ten_bits, expected, strict=True))


def test_codes_of_bt2020_and_full_range() -> None:
    assert codes((255, 0, 0), FrameFormat("yuv420p10le", 8, 8, "bt2020")) == [294, 387, 960]
    full = FrameFormat("yuv420p", 8, 8, "bt601", full_range=True)
    assert codes((255, 255, 255), full) == [255, 128, 128]
    assert codes((255, 0, 0), full) == [76, 85, 256]  # H.273 says 255.5: cut to 255 when written
    assert codes((255, 128, 0), FrameFormat("rgb24", 8, 8)) == [255, 128, 0]
    assert codes((255, 0, 0), FrameFormat("x2rgb10le", 8, 8)) == [1023, 0, 0]


@pytest.mark.parametrize("name", ALL_FORMATS)
def test_maps_to_and_from_rgb_are_inverse(name: str) -> None:
    record = FrameFormat(name, 8, 8, "bt2020").record()
    there, back = (np.vstack([record[k], [0, 0, 0, 1]]) for k in ("from_rgb", "to_rgb"))
    np.testing.assert_allclose(back @ there, np.eye(4), atol=1e-4)


@pytest.mark.parametrize("name", [n for n in ALL_FORMATS if n != "x2rgb10le"])
def test_components_lie_where_ffmpeg_puts_them(name: str) -> None:
    """A frame of FFmpeg's with one colour per quarter, each component read back by quarters."""
    colours = np.array([[[200, 30, 60], [20, 180, 90]], [[10, 40, 220], [128, 128, 128]]], np.uint8)
    picture = colours.repeat(16, axis=0).repeat(24, axis=1)
    # With threads, swscale's vector code for 10 bits may write past the last row of one slice over
    # the beginning of the next, which another thread has done already.
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
        format=name, dst_colorspace="ITU601", dst_color_range="MPEG", threads=1
    )
    planes, pitches = [], []
    format = FrameFormat(name, 48, 32, "bt601")
    for plane in frame.planes:
        words = np.frombuffer(bytes(plane), format.layout.dtype).reshape(plane.height, -1)
        planes.append(words)
        pitches.append(words.shape[1])
    format = FrameFormat(name, 48, 32, "bt601", pitches=tuple(pitches))
    for k, component in enumerate(components(planes, format)):
        values = codes_of(component, format, k)
        height, width = values.shape
        for row in range(2):
            for column in range(2):
                quarter = values[
                    row * height // 2 + 2 : (row + 1) * height // 2 - 2,
                    column * width // 2 + 3 : (column + 1) * width // 2 - 3,
                ]
                point = np.append(colours[row, column] / 255 * 2 - 1, 1)
                expected = rgb_to_codes(format)[k] @ point
                tolerance = 2 * max(1, 1 << (format.layout.bits - 8))
                assert np.abs(quarter - expected).max() <= tolerance, (k, row, column)


def test_x2rgb10_word_holds_red_green_blue_from_the_top() -> None:
    format = FrameFormat("x2rgb10le", 1, 1)
    word = np.array([[3 << 30 | 1000 << 20 | 500 << 10 | 7]], np.uint32)
    values = [codes_of(c, format, k)[0, 0] for k, c in enumerate(components([word], format))]
    assert values == [1000, 500, 7]


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine")
def test_records_are_the_structures_of_the_kernels() -> None:
    checks = []
    for structure, dtype in (("FrameFormat", FRAME_DTYPE), ("FacePlacement", PLACEMENT_DTYPE)):
        checks.append(f"static_assert(sizeof({structure}) == {dtype.itemsize});")
        for name, (field, offset) in ((n, dtype.fields[n]) for n in dtype.names):
            checks.append(f"static_assert(offsetof({structure}, {name}) == {offset});")
            checks.append(f"static_assert(sizeof({structure}::{name}) == {field.itemsize});")
    text = '#include <cstddef>\n#include "frame.cuh"\n' + "\n".join(checks)
    command = ["g++", "-x", "c++", "-std=c++17", "-fsyntax-only", "-I", str(SOURCES), "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_wrong_formats_and_planes_are_named() -> None:
    with pytest.raises(UsageError, match="pixel format 'yuv9' is not supported; give one of nv12"):
        FrameFormat("yuv9", 8, 8)
    with pytest.raises(UsageError, match="matrix 'rec709' is not supported"):
        FrameFormat("nv12", 8, 8, matrix="rec709")
    with pytest.raises(UsageError, match="0x8 has no pixels"):
        FrameFormat("nv12", 0, 8)
    with pytest.raises(UsageError, match="shorter than the rows"):
        FrameFormat("nv12", 8, 8, pitches=(8, 6))
    format = FrameFormat("nv12", 7, 5)
    assert format.plane_shapes() == [(5, 7), (3, 8)]
    planes = random_planes(format)
    with pytest.raises(UsageError, match="has 2 planes, not 1"):
        components(planes[:1], format)
    with pytest.raises(UsageError, match="plane 1 is uint16"):
        components([planes[0], planes[1].astype(np.uint16)], format)


def test_placement_of_a_face() -> None:
    record = place_face(np.array([[2.0, 0, -20], [0, 2, -40]]), 640, 360)
    np.testing.assert_allclose(record["to_frame"], [[0.5, 0, 10], [0, 0.5, 20]])
    assert tuple(record[side] for side in ("left", "top", "right", "bottom")) == (8, 18, 269, 279)
    # A crop of half pixels skips nothing; two of its pixels per pixel of the frame are smoothed by
    # half a pixel, and linear interpolation's sixth.
    assert (record["crop_width"] == 0).all()
    assert (record["paste_width"] == np.float32(np.sqrt(3 * (0.5**2 + 1 / 6)))).all()
    assert (record["strength"] == 1).all()
    outside = place_face(np.array([[1.0, 0, 5000], [0, 1, 0]]), 640, 360)
    assert outside["left"] == outside["right"] == 0
    assert no_face()["right"] == 0


@pytest.mark.parametrize(
    "matrix", [np.zeros((2, 3)), np.full((2, 3), np.nan), [[1, 1, 0], [1, 1, 0]]]
)
def test_transform_without_inverse_is_refused(matrix: object) -> None:
    with pytest.raises(FaceError, match="has no inverse"):
        place_face(np.asarray(matrix, np.float64), 640, 360)
