"""The NumPy twins of crop and paste against OpenCV, PyTorch and their own meaning."""

from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from frames import ALL_FORMATS, damaged_placements, face_over, random_planes, similarity
from numpy.typing import NDArray

from keeprt.engine.faces.alignment import crop_face
from keeprt.engine.faces.painting.compositing import Patch
from keeprt.engine.faces.painting.planes import YuvFormat, composite_planes
from keeprt.kernels.crop_align import crop_align
from keeprt.kernels.frame import BORDER_RGB, FrameFormat, codes_of, components
from keeprt.kernels.paste_back import paste_back, rounding_offset, soft_mask, soft_step
from keeprt.kernels.placement import place_face

SIZE = 64


def picture(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    small = np.random.default_rng(seed).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("degrees, share", [(0, 0.5), (20, 0.8), (-75, 1.3), (180, 1.4)])
def test_crop_of_rgb_is_opencvs_warp_affine(degrees: float, share: float) -> None:
    image = picture(120, 90)
    format = FrameFormat("rgb24", 120, 90)
    matrix = face_over(format, SIZE, share, degrees)
    placement = place_face(matrix, 120, 90, SIZE)
    ours = crop_align([image.reshape(90, -1)], format, placement[None], SIZE)[0]
    theirs = cv2.warpAffine(
        image.astype(np.float32),
        matrix,
        (SIZE, SIZE),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=BORDER_RGB,
    )
    difference = np.abs((ours.transpose(1, 2, 0) + 1) * 127.5 - theirs)
    # OpenCV may round coordinates to 1/32 pixel; what that costs goes with the picture's slope
    assert difference.max() < 2.5 and difference.mean() < 0.25


def test_crop_is_grid_sample_over_a_frame_with_border() -> None:
    format = FrameFormat("rgb48le", 40, 30)
    planes = random_planes(format)
    placement = place_face(face_over(format, SIZE, 1.5, 30), 40, 30, SIZE)
    ours = crop_align(planes, format, placement[None], SIZE)[0]
    border = np.array(BORDER_RGB).reshape(3, 1, 1) / 255 * 2 - 1
    image = planes[0].reshape(30, 40, 3).transpose(2, 0, 1) / 65535 * 2 - 1 - border
    row, column = np.indices((SIZE, SIZE))
    back = placement["to_frame"].astype(np.float64)
    x, y = (line[0] * column + line[1] * row + line[2] for line in back)
    grid = torch.from_numpy(np.stack([2 * x / 39 - 1, 2 * y / 29 - 1], -1)[None])
    sampled = F.grid_sample(torch.from_numpy(image[None]), grid, align_corners=True)[0].numpy()
    np.testing.assert_allclose(ours, sampled + border, atol=3e-5)


@pytest.mark.parametrize("siting", ["left", "center", "topleft", "top"])
@pytest.mark.parametrize("name", ["nv12", "yuv420p10le", "yuv422p"])
def test_chroma_is_read_where_its_siting_says(name: str, siting: str) -> None:
    """A ramp of luma and chroma over the picture: cropped, both must show the same place."""
    format = FrameFormat(name, 64, 48, siting=siting)
    on_column, on_row = siting in ("left", "topleft"), siting in ("top", "topleft")
    halved_y = format.layout.halved_y
    planes = random_planes(format)
    words = components(planes, format)
    chroma_row, chroma_column = np.indices(words[1].shape)
    x = 2 * chroma_column + (0 if on_column else 0.5)
    y = 2 * chroma_row + (0 if on_row else 0.5) if halved_y else chroma_row
    scale = 1 << (format.layout.bits - 8)
    words[0][:] = 128 * scale
    words[1][:] = (128 + 2 * (x - 32)) * scale
    words[2][:] = (128 + 2 * (y - 24)) * scale
    unit = place_face(np.array([[1.0, 0, 0], [0, 1, 0]]), 64, 48, 48)
    rgb = crop_align(planes, format, unit[None], 48)[0].reshape(3, -1).astype(np.float64)
    matrix = format.record()["from_rgb"].astype(np.float64)
    _, cb, cr = (matrix[:, :3] @ rgb + matrix[:, 3:]).reshape(3, 48, 48) / scale
    row, column = np.indices((48, 48))
    inside = np.s_[4:-4, 4:-4]
    assert np.abs(cb - (128 + 2 * (column - 32)))[inside].max() < 0.01
    assert np.abs(cr - (128 + 2 * (row - 24)))[inside].max() < 0.01


@pytest.mark.parametrize("degrees", [0.0, 25.0])
@pytest.mark.parametrize("scale", [0.8, 1.6])
def test_soft_mask_is_close_to_the_erosion_and_gaussian_of_the_reference(
    degrees: float, scale: float
) -> None:
    """docs/model.md, section 15.5, steps 3 to 6, by OpenCV, with an output scale of 1."""
    width = height = 900
    matrix = similarity(scale, degrees, 0, 0)
    matrix[:, 2] = 255.5 - matrix[:, :2] @ [450, 450]
    back = cv2.invertAffineTransform(matrix)
    ones = cv2.warpAffine(np.ones((512, 512), np.float32), back, (width, height))
    first = cv2.erode(ones, np.ones((2, 2), np.uint8))
    edge = int(first.sum() ** 0.5) // 20
    inner = cv2.erode(first, np.ones((2 * edge, 2 * edge), np.uint8))
    reference = cv2.GaussianBlur(inner, (2 * edge + 1, 2 * edge + 1), 0)
    ours = cv2.warpAffine(soft_mask(512), back, (width, height))
    # Boxes of even size shift the reference by up to 3 pixels, and a box erodes a turned edge by
    # more than e; but for that, the profiles agree to 0.06.
    turned = edge * (abs(np.cos(np.deg2rad(degrees))) + abs(np.sin(np.deg2rad(degrees))) - 1)
    reach = np.ones([2 * (3 + int(np.ceil(turned))) + 1] * 2, np.uint8)
    assert (ours > cv2.erode(reference, reach) - 0.06).all()
    assert (ours < cv2.dilate(reference, reach) + 0.06).all()


def test_soft_step_rises_from_nothing_to_one() -> None:
    t = np.linspace(-1, 2, 3001, dtype=np.float32)
    step = soft_step(t)
    assert (step[t <= 0] == 0).all() and (step[t >= 1] == 1).all()
    assert (np.diff(step) >= -2e-5).all()  # 35 - 84 + 70 - 20 cancels
    np.testing.assert_allclose(step + soft_step(1 - t), 1, atol=2e-5)
    assert np.isnan(soft_step(np.array([np.nan], np.float32))).sum() == 0


@pytest.mark.parametrize("name", ALL_FORMATS)
def test_paste_leaves_the_rest_untouched_and_keeps_unused_bits(name: str) -> None:
    format = FrameFormat(name, 80, 60)
    layout = format.layout
    halved = (layout.halved_x, layout.halved_y)
    placement = place_face(face_over(format, SIZE, 0.5, 15), 80, 60, SIZE, halved=halved)
    planes = random_planes(format)
    before = [plane.copy() for plane in planes]
    face = np.ones((3, SIZE, SIZE), np.float32) * np.array([[[1]], [[-0.9]], [[0.4]]], np.float32)
    paste_back(planes, format, placement, face, -face)
    used = ((1 << layout.bits) - 1) << layout.shift[0]
    if layout.dtype == np.uint32:
        used = (1 << 30) - 1
    for plane, old in zip(planes, before, strict=True):
        assert (plane != old).any()
        np.testing.assert_array_equal(
            plane & ~np.array(used, plane.dtype), old & ~np.array(used, plane.dtype)
        )
    left, top, right, bottom = (int(placement[n]) for n in ("left", "top", "right", "bottom"))
    for k, (now, old) in enumerate(
        zip(components(planes, format), components(before, format), strict=True)
    ):
        sx, sy = halved if k else (0, 0)
        far = np.ones(now.shape, bool)
        far[top >> sy : (bottom + sy) >> sy, left >> sx : (right + sx) >> sx] = False
        assert far.any()
        np.testing.assert_array_equal(codes_of(now, format, k)[far], codes_of(old, format, k)[far])


def smooth_change(size: int = SIZE) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A face and its crop, a gentle wave apart."""
    row, column = np.indices((size, size)) / size
    wave = np.stack([np.sin(7 * row), np.cos(5 * column), np.sin(4 * row + 3 * column)])
    crop = np.full((3, size, size), 0.1, np.float32)
    return (crop + 0.4 * wave).astype(np.float32), crop


@pytest.mark.parametrize("strength, grey", [(1.0, False), (0.6, False), (0.8, True)])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 1.6])
@pytest.mark.parametrize("name", ["nv12", "yuv422p10le", "yuv420p10le"])
def test_paste_is_what_the_pipeline_paints(
    name: str, share: float, strength: float, grey: bool
) -> None:
    """By OpenCV, for faces smaller and larger than their crop. Stated, in 8-bit levels: 0.4 as
    the mean, 3 at most, as OpenCV smooths by areas first and takes coordinates to 1/32 pixel."""
    format, size = FrameFormat(name, 192, 144), 128
    layout = format.layout
    matrix, (face, crop) = face_over(format, size, share, 12.0), smooth_change(size)
    planes = [np.full_like(plane, 0) for plane in random_planes(format)]
    for k, component in enumerate(components(planes, format)):
        component[:] = (110 + 10 * k) << (layout.bits - 8) << layout.shift[k]
    theirs = tuple(codes_of(c, format, k).astype(layout.dtype)
                   for k, c in enumerate(components(planes, format)))  # fmt: skip
    form = YuvFormat(layout.bits, 2, 1 + layout.halved_y)
    given = [((a.transpose(1, 2, 0) + 1) * 127.5).astype(np.float32) for a in (face, crop)]
    composite_planes(theirs, form, Patch(given[0], given[1], matrix, strength), grey)  # type: ignore[arg-type]
    halved = (1, layout.halved_y)
    how: Any = {"halved": halved, "strength": strength, "grey": grey}
    paste_back(planes, format, place_face(matrix, 192, 144, size, **how), face, crop)
    for k, (ours, right) in enumerate(zip(components(planes, format), theirs, strict=True)):
        before, unit = (110 + 10 * k) << (layout.bits - 8), 1 << (layout.bits - 8)
        apart = np.abs(codes_of(ours, format, k) - right)
        largest = np.abs(right.astype(int) - before).max()
        assert largest > 8 * unit or (grey and k and largest == 0)
        changed = right != before
        assert apart.max() <= 3 * unit
        assert not changed.any() or apart[changed].mean() < 0.4 * unit


@pytest.mark.parametrize("name", ALL_FORMATS)
@pytest.mark.parametrize("full_range", [False, True])
def test_paste_of_one_colour_writes_its_rounded_codes(name: str, full_range: bool) -> None:
    format = FrameFormat(name, 64, 64, "bt2020", full_range)
    planes = random_planes(format)
    placement = place_face(np.array([[1.0, 0, 0], [0, 1, 0]]), 64, 64, SIZE)
    rgb = np.array([0.31, -0.62, 0.11], np.float32)
    record = format.record()
    for k, component in enumerate(components(planes, format)):
        middle, shift = round(float(record["from_rgb"][k][3])), format.layout.shift[k]
        code = np.array(((1 << format.layout.bits) - 1) << shift, component.dtype)
        component[:] = (component & ~code) | np.array(middle << shift, component.dtype)
    face = np.ascontiguousarray(np.broadcast_to(rgb[:, None, None], (3, SIZE, SIZE)))
    paste_back(planes, format, placement, face, face * 0)
    expected = format.record()["from_rgb"].astype(np.float64) @ [*rgb.astype(np.float64), 1]
    for k, component in enumerate(components(planes, format)):
        middle = codes_of(component, format, k)
        middle = middle[
            middle.shape[0] // 3 : -(middle.shape[0] // 3),
            middle.shape[1] // 3 : -(middle.shape[1] // 3),
        ]
        assert np.abs(middle - expected[k]).max() <= 1 + 1e-3


def test_pasting_what_was_cropped_changes_nothing() -> None:
    format = FrameFormat("yuv422p10le", 96, 80)
    planes = random_planes(format)
    placement = place_face(face_over(format, 256, 0.8, 12), 96, 80, 256)
    face = crop_align(planes, format, placement[None], 256)[0]
    pasted = [plane.copy() for plane in planes]
    paste_back(pasted, format, placement, face, face)
    for now, old in zip(pasted, planes, strict=True):
        np.testing.assert_array_equal(now, old)


def test_dithering_keeps_fractions_on_average_and_rounding_does_not() -> None:
    format = FrameFormat("rgb24", 64, 64)
    placement = place_face(np.array([[1.0, 0, 0], [0, 1, 0]]), 64, 64, SIZE)
    face = np.full((3, SIZE, SIZE), 100.3 / 127.5 - 1, np.float32)
    black = np.full_like(face, -1)
    means = []
    for dither in (False, True):
        plane = np.zeros((64, 192), np.uint8)
        paste_back([plane], format, placement, face, black, dither)
        means.append(plane.reshape(64, 64, 3)[16:48, 16:48].mean())
    assert means[0] == 100
    assert means[1] == pytest.approx(100.3, abs=0.02)


def test_dither_thresholds_are_the_64_of_a_bayer_matrix() -> None:
    y, x = np.mgrid[0:8, 0:8]
    thresholds = rounding_offset(x, y, True)
    np.testing.assert_array_equal(np.sort(thresholds, axis=None), (np.arange(64) + 0.5) / 64)
    np.testing.assert_array_equal(rounding_offset(x + 8, y + 16, True), thresholds)


def test_damaged_placements_paste_nothing_or_something_finite() -> None:
    format = FrameFormat("nv12", 32, 32)
    for placement in damaged_placements(format)[:3]:
        planes = random_planes(format)
        before = [plane.copy() for plane in planes]
        face = np.ones((3, 16, 16), np.float32)
        paste_back(planes, format, placement, face, -face)
        for plane, old in zip(planes, before, strict=True):
            np.testing.assert_array_equal(plane, old)


@pytest.mark.parametrize("damage", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["nv12", "yuv422p10le", "rgb24", "x2rgb10le"])
def test_face_that_is_not_finite_leaves_the_picture_as_it_was(name: str, damage: float) -> None:
    format = FrameFormat(name, 64, 64)
    placement = place_face(np.array([[1.0, 0, 0], [0, 1, 0]]), 64, 64, SIZE)
    planes = random_planes(format)
    before = [plane.copy() for plane in planes]
    face = np.full((3, SIZE, SIZE), damage, np.float32)
    paste_back(planes, format, placement, face, np.zeros_like(face))
    for plane, old in zip(planes, before, strict=True):
        np.testing.assert_array_equal(plane, old)


def test_one_damaged_value_changes_nothing_where_it_lies() -> None:
    format = FrameFormat("rgb24", 64, 64)
    placement = place_face(np.array([[1.0, 0, 0], [0, 1, 0]]), 64, 64, SIZE)
    face = np.zeros((3, SIZE, SIZE), np.float32)
    clean: NDArray[Any] = np.full((64, 192), 200, np.uint8)
    plane = clean.copy()
    paste_back([clean], format, placement, face, face - 0.5)
    face[1, 30, 31] = np.nan
    paste_back([plane], format, placement, face, face * 0 - 0.5)
    now, without = (a.reshape(64, 64, 3) for a in (plane, clean))
    assert (now[30, 31] == 200).all() and (without[30, 31] > 200).all()
    now[30, 31] = without[30, 31]
    np.testing.assert_array_equal(now, without)


@pytest.mark.parametrize("share", [2.0, 3.0, 5.0])
def test_a_crop_of_a_face_larger_than_it_is_smoothed_as_the_pipeline_does(share: float) -> None:
    image = np.random.default_rng(1).integers(0, 256, (270, 360, 3)).astype(np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 1.0)
    format = FrameFormat("rgb24", 360, 270)
    matrix = face_over(format, SIZE, share, 10.0)
    theirs = crop_face(image, matrix, SIZE).astype(float)
    placement = place_face(matrix, 360, 270, SIZE)
    ours, rough = (np.zeros((3, SIZE, SIZE)) for _ in range(2))
    ours = crop_align([image.reshape(270, -1)], format, placement[None], SIZE)[0]
    placement["crop_width"] = 0
    rough = crop_align([image.reshape(270, -1)], format, placement[None], SIZE)[0]
    smooth, plain = (
        np.abs((crop.transpose(1, 2, 0) + 1) * 127.5 - theirs).mean() for crop in (ours, rough)
    )
    assert smooth < 1.5 and smooth < 0.3 * plain


def test_the_smoothing_of_a_crop_counts_chroma_in_its_own_samples() -> None:
    """Stripes of four pixels in luma and in chroma, under splines of as many pixels: as faint."""
    format = FrameFormat("yuv420p", 256, 256)
    planes = [np.full(shape, 128, np.uint8) for shape in format.plane_shapes()]
    planes[0][:] = np.where(np.arange(256) // 4 % 2, 148, 108)
    planes[2][:] = np.where(np.arange(128) // 2 % 2, 148, 108)
    matrix = np.array([[0.2, 0, -0.13], [0, 0.2, 0.11]])
    placement = place_face(matrix, 256, 256, 48, halved=(1, 1))
    rgb = crop_align(planes, format, placement[None], 48)[0].reshape(3, -1)
    codes = format.record()["from_rgb"].astype(np.float64) @ np.vstack([rgb, np.ones(48 * 48)])
    luma, _, red = codes.reshape(3, 48, 48)[:, 8:-8, 8:-8]
    assert 0.5 < np.ptp(red) / np.ptp(luma) < 2
