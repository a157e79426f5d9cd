"""Parts of the pipeline: crops from regions, turned pictures, small pictures, states, upscaling."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.faces.alignment import crop_face, estimate_transform
from keeprt.engine.faces.painting.grey import chroma_variance, colour_variance, is_grey
from keeprt.engine.faces.painting.planes import YuvFormat
from keeprt.engine.media import Orientation, SourceFrame, open_source
from keeprt.engine.pipeline.aligning import crop_of
from keeprt.engine.pipeline.native import (
    planar,
    planes_of,
    stored_affine,
    yuv_format,
)
from keeprt.engine.pipeline.pictures import Pictures
from keeprt.engine.pipeline.restoring import face_restorer, restore
from keeprt.engine.pipeline.upscaler import TILE, Upscaler
from keeprt.engine.pipeline.work import AlignedFace, FrameWork, Summary
from keeprt.engine.restorer import Restorer
from tests.engine.pipeline_clips import astronaut_at, background, one_face, write_clip
from tests.networks import faces

FORMATS = ["yuv420p", "yuv422p10le", "yuv444p", "yuv411p", "gray", "gray10le", "nv12", "p010le"]


def first_frame(path: Path) -> SourceFrame:
    with open_source(path) as video:
        return next(iter(video))


def frame_of(tmp_path: Path, pixel_format: str, **how: Any) -> SourceFrame:
    """A decoded frame, its samples repacked where no file can hold the layout."""
    scene = background(300, 420)
    packed = pixel_format in ("nv12", "p010le", "yuv411p", "bgr24")
    source = write_clip(tmp_path / "in.mkv", [scene], "yuv444p" if packed else pixel_format, **how)
    frame = first_frame(source)
    if not packed:
        return frame
    native = frame.native.reformat(format=pixel_format)
    return SourceFrame(native, 0, 0.0, frame.info, frame.converter)


@pytest.mark.parametrize("rotation", [0, 90, 270])
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_a_crop_from_its_region_is_the_crop_from_the_frame(
    tmp_path: Path, pixel_format: str, rotation: int
) -> None:
    frame = frame_of(tmp_path, pixel_format, rotation_ccw=rotation)
    form, pictures = yuv_format(frame), Pictures()
    assert form is not None
    for left, top, side in ((150, 90, 140), (-50, 80, 140), (250, 160, 150), (-20, -20, 420)):
        affine = estimate_transform(astronaut_at(left, top, side).landmarks, 128)
        crop = crop_of(frame, form, affine, 128, pictures)
        whole = crop_face(frame.rgb(), affine, 128)
        # One level: a moved or turned warp rounds its steps of 1/32 pixel another way.
        assert np.abs(crop.astype(int) - whole).max() <= 1
    assert frame.info.upright_size == (420, 300)
    assert (frame.native.width == 300) == (rotation != 0)


@settings(max_examples=40, deadline=None)
@given(turned=st.booleans(), flip_x=st.booleans(), flip_y=st.booleans(), seed=st.integers(0, 99))
def test_stored_affine_follows_every_orientation(
    turned: bool, flip_x: bool, flip_y: bool, seed: int
) -> None:
    orientation = Orientation(turned, flip_x, flip_y)
    stored = np.zeros((20, 30, 3), np.uint8)
    row, column = np.random.RandomState(seed).randint(0, (20, 30))
    stored[row, column] = 255
    upright = orientation.upright(stored)
    y, x = np.argwhere(upright[..., 0])[0]
    affine = np.array([[1.5, 0.2, 3.0], [-0.2, 1.5, 7.0]])
    turned_affine = stored_affine(affine, orientation, (upright.shape[1], upright.shape[0]))
    np.testing.assert_allclose(turned_affine @ (column, row, 1), affine @ (x, y, 1))


@pytest.mark.parametrize("pixel_format", [*FORMATS, "bgr24"])
def test_the_small_picture_is_the_picture_made_smaller(tmp_path: Path, pixel_format: str) -> None:
    frame = frame_of(tmp_path, pixel_format)
    small = Pictures().small(frame, yuv_format(frame), 105)
    expected = cv2.resize(frame.rgb(), (105, 75), interpolation=cv2.INTER_AREA)
    assert small.shape == expected.shape
    assert np.abs(small.astype(int) - expected).mean() < 1.5
    assert Pictures().small(frame, yuv_format(frame), 2000).shape == frame.rgb().shape


def test_what_is_known_of_formats(tmp_path: Path) -> None:
    expected = {
        "yuv420p": YuvFormat(8, 2, 2, "bt601"),
        "yuv422p10le": YuvFormat(10, 2, 1, "bt601"),
        "nv12": YuvFormat(8, 2, 2, "bt601"),
        "p010le": YuvFormat(10, 2, 2, "bt601"),
        "bgr24": None,
    }
    for name, form in expected.items():
        assert yuv_format(frame_of(tmp_path, name)) == form
    tagged = frame_of(tmp_path, "yuv444p", colour=(9, 2, 9, 16))
    assert yuv_format(tagged) == YuvFormat(8, 1, 1, "bt2020", full_range=True)


def test_grey_is_told_from_colour_without_flicker() -> None:
    grey = np.repeat(background(90, 160)[..., :1], 3, 2)
    assert colour_variance(grey) == 0.0
    assert colour_variance(background(90, 160)) > 100
    noise = np.random.RandomState(0).standard_normal(grey.shape) * 2.5
    nearly = np.clip(grey + noise, 0, 255).astype(np.uint8)
    blue, green, red = (nearly[..., c].astype(float) for c in (2, 1, 0))
    differences = (blue - green, green - red, red - blue)
    authors = np.mean([difference.var() for difference in differences])
    assert colour_variance(nearly) == pytest.approx(authors, rel=1e-6)
    assert 10 < authors < 15
    assert not is_grey(authors) and is_grey(authors, was_grey=True)
    assert is_grey(9.9) and not is_grey(15.1, was_grey=True)


@pytest.mark.parametrize("colour", [(1, 1, 1, 1), (5, 2, 5, 5), (9, 1, 9, 16)])
@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv422p10le", "gray"])
def test_colour_is_told_from_chroma_samples(
    tmp_path: Path, pixel_format: str, colour: tuple[int, int, int, int]
) -> None:
    weak = (0.85 * background(300, 420)[..., :1] + 0.15 * background(300, 420)).astype(np.uint8)
    frame = first_frame(write_clip(tmp_path / "in.mkv", [weak], pixel_format, colour=colour))
    form = yuv_format(frame)
    assert form is not None
    measured = chroma_variance(planes_of(planar(frame), form.depth), form)
    assert measured == pytest.approx(colour_variance(frame.rgb()), rel=0.2, abs=0.5)


def test_a_state_begins_anew_after_a_gap_and_at_a_cut(tiny_bundle: Path) -> None:
    restorer = Restorer.load(tiny_bundle, threads=1)
    crops = faces(8)
    present = [True, True, False, True, True, True, True, True]
    works = []
    for n, crop in enumerate(crops):
        found: Any = SimpleNamespace(track=1)
        work = FrameWork(None, [], cut=n == 6)  # type: ignore[arg-type]
        work.faces = [AlignedFace(found, np.eye(2, 3), crop)] if present[n] else []
        works.append(work)
    done = list(restore(works, face_restorer(restorer, Summary())))
    fresh = [n for n, work in enumerate(done) for face in work.faces if face.fresh]
    assert fresh == [0, 3, 6]
    alone, _ = restorer.restore(crops[3], restorer.new_state())
    assert np.array_equal(done[3].faces[0].restored, alone)


def tracked(crops: list[Any], who: list[list[int]]) -> list[FrameWork]:
    """Frames with a crop for each of the tracks that are there."""
    works = []
    for n, tracks in enumerate(who):
        work = FrameWork(None, [], cut=False)  # type: ignore[arg-type]
        for track in tracks:
            found: Any = SimpleNamespace(track=track)
            crop = crops[(n + 3 * track) % len(crops)]
            work.faces.append(AlignedFace(found, np.eye(2, 3), crop))
        works.append(work)
    return works


def test_a_frame_is_held_where_frames_overlap_and_none_elsewhere(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three faces in batches of two, frames without faces, tracks that end and begin."""
    who = [[1], [1, 2, 3], [], [], [3, 1], [2], [2, 3, 1], [1, 2, 3]]
    restorer, crops, done = Restorer.load(tiny_bundle, threads=1, max_faces=2), faces(9), []
    for overlaps in (False, True):
        monkeypatch.setattr(type(restorer._frames), "overlaps", overlaps)
        works, came, flown, held = tracked(crops, who), [], [], []
        given = count(1)
        numbered = (work for work in works if next(given))
        for work in restore(numbered, face_restorer(restorer, Summary())):
            came.append(work)
            flown.append(restorer.in_flight)
            held.append(next(copy(given)) - 1 - len(came))
        assert came == works and restorer.in_flight == 0
        assert max(flown) == max(held) == overlaps
        done.append([[face.restored for face in work.faces] for work in works])
    for before, after in zip(*done, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_frames_that_a_failed_run_left_in_flight_are_nobody_s(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restorer, crops = Restorer.load(tiny_bundle, threads=1), faces(4)
    monkeypatch.setattr(type(restorer._frames), "overlaps", True)
    works = restore(iter(tracked(crops, [[1]] * 4)), face_restorer(restorer, Summary()))
    next(works)
    assert restorer.in_flight == 1
    (work,) = restore(iter(tracked(crops[::-1], [[1]])), face_restorer(restorer, Summary()))
    alone, _ = restorer.restore(work.faces[0].crop, restorer.new_state())
    np.testing.assert_array_equal(work.faces[0].restored, alone)


def test_chunks_end_where_a_track_does_and_hold_few_frames(tiny_bundle: Path) -> None:
    restorer = Restorer.load(tiny_bundle, mode="clip", chunk=3, threads=1)
    crops = faces(12)
    given = 0

    def works() -> Iterator[FrameWork]:
        nonlocal given
        for n, crop in enumerate(crops):
            given = n + 1
            work = FrameWork(None, [], cut=n == 6)  # type: ignore[arg-type]
            found: Any = SimpleNamespace(track=1)
            work.faces = [AlignedFace(found, np.eye(2, 3), crop)] if n != 4 else []
            yield work

    done = []
    for work in restore(works(), face_restorer(restorer, Summary())):
        done.append(work)
        assert given - len(done) <= restorer.chunk
    for work, crop in zip(done, crops, strict=True):
        assert all(face.crop is crop for face in work.faces)
    fresh = [n for n, work in enumerate(done) for face in work.faces if face.fresh]
    assert fresh == [0, 3, 5, 6, 9]
    for start, end in ((0, 3), (3, 4), (5, 6), (6, 9), (9, 12)):
        alone = restorer.restore_clip(crops[start:end])
        for work, picture in zip(done[start:end], alone, strict=True):
            assert np.array_equal(work.faces[0].restored, picture)


def upscaling_network(path: Path, blur: int = 5, scale: int = 2) -> Path:
    """A blur and a nearest enlargement: what it makes of a pixel depends on `blur` around it."""
    onnx = pytest.importorskip("onnx")
    make, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
    kernel = np.full((3, 1, blur, blur), 1 / blur**2, np.float32)
    nodes = [
        make("Conv", ["x", "kernel"], ["blurred"], group=3, pads=[blur // 2] * 4),
        make("Resize", ["blurred", "", "scales"], ["y"], mode="nearest"),
    ]
    ports = [
        onnx.helper.make_tensor_value_info(
            name, onnx.TensorProto.FLOAT, [1, 3, f"{name}h", f"{name}w"]
        )
        for name in ("x", "y")
    ]
    weights = [
        tensor(kernel, "kernel"),
        tensor(np.array([1, 1, scale, scale], np.float32), "scales"),
    ]
    graph = onnx.helper.make_graph(nodes, "upscaler", ports[:1], ports[1:], weights)
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_upscaled_tiles_show_no_seams(tmp_path: Path, kind: Any) -> None:
    network = Upscaler(upscaling_network(tmp_path / "x2.onnx"), 2, threads=1)
    picture = background(TILE + 37, 2 * TILE + 5).astype(kind) * (257 if kind is np.uint16 else 1)
    larger = network.enlarge(picture)
    blurred = cv2.blur(picture.astype(np.float64), (5, 5), borderType=cv2.BORDER_REPLICATE)
    expected = np.rint(np.repeat(np.repeat(blurred, 2, 0), 2, 1))
    assert larger.dtype == kind and larger.shape == expected.shape
    assert np.abs(larger - expected).max() <= 1


def test_upscalers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no upscaler"):
        Upscaler(tmp_path / "none.onnx", 2)
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"not a network")
    with pytest.raises(BackendError, match="cannot load"):
        Upscaler(garbage, 2)
    with pytest.raises(UsageError, match="scale of 3"):
        Upscaler(upscaling_network(tmp_path / "x2.onnx"), 3).enlarge(background(20, 30))


def test_an_upscaler_makes_the_background(tmp_path: Path, tiny_bundle: Path) -> None:
    from keeprt.engine.pipeline import Encoding, RestoreOptions, restore_video
    from tests.engine.pipeline_clips import Scripted

    source = write_clip(tmp_path / "in.mp4", one_face(2), "yuv444p")
    file = upscaling_network(tmp_path / "x2.onnx")
    options = RestoreOptions(
        scale=2,
        upscaler=file,
        detector=Scripted(lambda *_: [astronaut_at(70, 30, 180)]),
        encoding=Encoding("libx264", crf=0, preset="ultrafast"),
    )
    restorer = Restorer.load(tiny_bundle, threads=1)
    restore_video(source, tmp_path / "out.mp4", restorer, options)
    rgb, out = first_frame(source).rgb(), first_frame(tmp_path / "out.mp4").rgb()
    expected = Upscaler(file, 2).enlarge(rgb)
    assert np.abs(out[:, :80].astype(int) - expected[:, :80]).max() <= 3
    assert np.abs(out[200:280, 280:360].astype(int) - expected[200:280, 280:360]).mean() > 5
