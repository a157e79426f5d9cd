"""Compositing in native planes, against the same change made in RGB."""

import numpy as np
import pytest
from helpers_faces import landmarks_at, textured

from keeprt.engine.errors import FaceError
from keeprt.engine.faces.alignment import crop_face, estimate_transform
from keeprt.engine.faces.painting.compositing import Patch, composite_rgb
from keeprt.engine.faces.painting.planes import YuvFormat, chroma_transform, composite_planes
from tests.engine.masks import frame_mask

HEIGHT, WIDTH = 301, 402  # odd on purpose
FORMATS = [
    YuvFormat(8, 2, 2),
    YuvFormat(8, 2, 1),
    YuvFormat(8, 1, 1, "bt601", full_range=True),
    YuvFormat(8, 2, 2, "bt601", chroma="center"),
    YuvFormat(10, 2, 2, "bt2020", chroma="topleft"),
    YuvFormat(10, 2, 1),
    YuvFormat(10, 1, 1),
]


def planes_of(form: YuvFormat, seed: int = 0):
    rng = np.random.RandomState(seed)
    kind = np.uint8 if form.depth == 8 else np.uint16
    chroma = (-(-HEIGHT // form.step_y), -(-WIDTH // form.step_x))
    return tuple(
        rng.randint(0, 1 << form.depth, shape).astype(kind)
        for shape in ((HEIGHT, WIDTH), chroma, chroma)
    )


def flat_planes(form: YuvFormat):
    return tuple(np.full_like(p, 1 << (form.depth - 1)) for p in planes_of(form))


def patch_at(x, y, eyes, change=None, seed=0):
    frame = textured(HEIGHT, WIDTH, seed, blur=8.0)
    affine = estimate_transform(landmarks_at(x, y, eyes, degrees=5))
    crop = crop_face(frame, affine)
    return Patch(crop if change is None else change(crop), crop, affine)


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_an_unchanged_face_changes_no_code_value(form):
    planes = planes_of(form)
    before = [p.copy() for p in planes]
    composite_planes(planes, form, patch_at(200, 150, 60))
    assert all(np.array_equal(p, q) for p, q in zip(planes, before, strict=True))


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("eyes", [12, 70])
def test_no_code_value_changes_outside_of_the_mask(form, eyes):
    planes = planes_of(form)
    before = [p.copy() for p in planes]
    patch = patch_at(390, 20, eyes, lambda crop: 255 - crop)
    composite_planes(planes, form, patch)
    affines = [patch.affine] + [chroma_transform(patch.affine, form)] * 2
    for plane, old, affine in zip(planes, before, affines, strict=True):
        mask = frame_mask(affine, plane.shape)
        assert np.array_equal(plane[mask == 0], old[mask == 0])
        assert (plane != old).any()
        assert plane.max() < 1 << form.depth


def weights(form):
    return {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}[
        form.matrix
    ]


def to_yuv(rgb, form):
    """RGB differences 0..255 to code value differences, written out for the test."""
    kr, kb = weights(form)
    r, g, b = (rgb[..., i] for i in range(3))
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)
    whole = (1 << form.depth) - 1
    step = 1 << (form.depth - 8)
    sy, sc = (whole, whole) if form.full_range else (219 * step, 224 * step)
    return y * sy / 255, cb * sc / 255, cr * sc / 255


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_is_the_change_of_rgb_at_the_place_of_each_sample(form):
    patch = patch_at(200, 150, 60, lambda crop: crop // 2 + np.uint8([70, 20, 40]))
    rgb = textured(HEIGHT, WIDTH, 0, blur=8.0)
    changed = rgb.copy()
    composite_rgb(changed, patch)
    want = to_yuv(changed.astype(float) - rgb, form)
    planes = flat_planes(form)
    flat = 1 << (form.depth - 1)
    composite_planes(planes, form, patch)
    rows = np.arange(planes[1].shape[0]) * form.step_y
    columns = np.arange(planes[1].shape[1]) * form.step_x
    step = 1 << (form.depth - 8)
    assert np.abs(planes[0].astype(float) - flat - want[0]).max() <= 1.6 * step
    for plane, full in zip(planes[1:], want[1:], strict=True):
        padded = np.pad(full, ((0, form.step_y), (0, form.step_x)), mode="edge")
        dy = 0 if form.chroma == "topleft" or form.step_y == 1 else 1
        dx = 1 if form.chroma == "center" and form.step_x == 2 else 0
        samples = (
            padded[rows][:, columns]
            + padded[rows + dy][:, columns]
            + padded[rows][:, columns + dx]
            + padded[rows + dy][:, columns + dx]
        ) / 4
        assert np.abs(plane.astype(float) - flat - samples).max() <= 1.6 * step


def test_grey_video_has_luma_alone():
    form = YuvFormat(8)
    patch = patch_at(200, 150, 60, lambda crop: 255 - crop)
    alone, whole = (flat_planes(form)[0],), flat_planes(form)
    composite_planes(alone, form, patch)
    composite_planes(whole, form, patch, grey=True)
    assert (alone[0] != 128).any()
    assert np.array_equal(alone[0], whole[0])
    assert (whole[1] == 128).all() and (whole[2] == 128).all()


def test_padded_rows_are_written_in_place():
    form = YuvFormat(8, 2, 2)
    stores = [np.full((p.shape[0], p.shape[1] + 30), 128, np.uint8) for p in planes_of(form)]
    views = tuple(s[:, : s.shape[1] - 30] for s in stores)
    composite_planes(views, form, patch_at(200, 150, 60, lambda crop: 255 - crop))
    assert all((view != 128).any() for view in views)
    assert all((store[:, -30:] == 128).all() for store in stores)


def test_planes_that_do_not_fit_are_refused():
    patch = patch_at(200, 150, 60)
    with pytest.raises(FaceError, match="uint16"):
        composite_planes(planes_of(YuvFormat(8)), YuvFormat(10), patch)
    with pytest.raises(FaceError, match="do not fit"):
        composite_planes(planes_of(YuvFormat(8, 2, 1)), YuvFormat(8, 2, 2), patch)
    with pytest.raises(FaceError, match="depths"):
        YuvFormat(7)
    with pytest.raises(FaceError, match="matrix"):
        YuvFormat(8, matrix="ycgco")  # type: ignore[arg-type]
