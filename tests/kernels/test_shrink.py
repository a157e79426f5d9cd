"""Small pictures of frames: the twin against OpenCV and its meaning, the host build against it."""

from typing import Any

import cv2
import numpy as np
import pytest
from frames import ALL_FORMATS, random_planes
from host_kernels import needs_compiler, run
from hypothesis import given
from hypothesis import strategies as st

from keeprt.kernels import launch
from keeprt.kernels.errors import UsageError
from keeprt.kernels.frame import FrameFormat, components
from keeprt.kernels.shrink import shrink


def host_build(planes: Any, format: FrameFormat, width: int, height: int) -> Any:
    picture = np.full((height, width, 3), 77, np.uint8)
    where = tuple(plane.ctypes.data for plane in planes)
    run("shrink", launch.shrink(where, format, picture.ctypes.data, width, height))
    return picture


@pytest.mark.parametrize("size", [(40, 30), (64, 36), (37, 11), (128, 72), (1, 1)])
def test_of_rgb_it_is_opencvs_area(size: tuple[int, int]) -> None:
    format = FrameFormat("rgb24", 128, 72)
    (plane,) = random_planes(format)
    ours = shrink([plane], format, *size)
    image = plane.reshape(72, 128, 3).astype(np.float32)
    theirs = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    assert np.abs(ours - theirs).max() < 0.501


@needs_compiler
@pytest.mark.parametrize("siting", ["left", "topleft", "center", "top"])
@pytest.mark.parametrize("name", ALL_FORMATS)
def test_the_host_build_says_what_the_twin_says(name: str, siting: str) -> None:
    for width, height, to in (
        (97, 55, (32, 18)),
        (33, 18, (33, 5)),
        (7, 5, (3, 4)),
        (1, 1, (1, 1)),
    ):
        tight = FrameFormat(name, width, height, siting=siting)
        pitches = tuple(pitch + 3 for _, pitch in tight.plane_shapes())
        format = FrameFormat(name, width, height, siting=siting, pitches=pitches)
        planes = random_planes(format)
        np.testing.assert_array_equal(
            host_build(planes, format, *to), shrink(planes, format, *to), f"{width} x {height}"
        )


@needs_compiler
@given(st.data())
def test_any_size_to_any_smaller_one(data: Any) -> None:
    width, height = data.draw(st.integers(1, 80)), data.draw(st.integers(1, 60))
    to = data.draw(st.integers(1, width)), data.draw(st.integers(1, height))
    format = FrameFormat(data.draw(st.sampled_from(ALL_FORMATS)), width, height)
    planes = random_planes(format, seed=width * height)
    small = shrink(planes, format, *to)
    np.testing.assert_array_equal(host_build(planes, format, *to), small)


@pytest.mark.parametrize("name", ALL_FORMATS)
def test_one_colour_stays_that_colour_at_every_size(name: str) -> None:
    """The shares of a pixel's samples add up, at the borders too."""
    format = FrameFormat(name, 61, 43)
    planes = random_planes(format)
    for k, words in enumerate(components(planes, format)):
        words[:] = (60, 90, 150)[k] << (format.layout.bits - 8 + format.layout.shift[k])
    for to in ((61, 43), (60, 40), (20, 14), (7, 3), (1, 1)):
        small = shrink(planes, format, *to).reshape(-1, 3)
        assert (small == small[0]).all()


@pytest.mark.parametrize("siting", ["left", "topleft", "center", "top"])
@pytest.mark.parametrize("name", ["nv12", "yuv422p"])
def test_chroma_is_averaged_where_it_lies(name: str, siting: str) -> None:
    """A ramp of chroma over the picture: small pixels show its value at their own middle."""
    format = FrameFormat(name, 32, 24, siting=siting)
    planes = random_planes(format)
    words = components(planes, format)
    row, column = np.indices(words[1].shape)
    on_column, on_row = siting in ("left", "topleft"), siting in ("top", "topleft")
    x = 2 * column + (0 if on_column else 0.5)
    y = 2 * row + (0 if on_row else 0.5) if format.layout.halved_y else row
    words[0][:], words[1][:], words[2][:] = 128, 128 + 2 * (x - 16), 128 + 2 * (y - 12)
    small = shrink(planes, format, 8, 6).astype(float)
    # H.273, BT.709 and limited range: B grows with Cb, R with Cr.
    cb = (small[..., 2] - 130.4) / (1.8556 * 255 / 224)
    cr = (small[..., 0] - 130.4) / (1.5748 * 255 / 224)
    for seen, pixels, middle in ((cb, 8, 16), (cr.T, 6, 12)):
        there = 2 * (np.arange(pixels) * 4 + 1.5 - middle)
        assert np.abs(seen - there)[:, 1:-1].max() < 0.35


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (9, 4), (4, 7), (-1, 2)])
def test_a_picture_that_is_no_smaller_is_refused(size: tuple[int, int]) -> None:
    format = FrameFormat("nv12", 8, 6)
    with pytest.raises(UsageError, match="is no smaller one of 8x6"):
        shrink(random_planes(format), format, *size)
    with pytest.raises(UsageError, match="is no smaller one"):
        launch.shrink((0, 0), format, 0, *size)
