"""The list of a whole frame on the CPU: against its parts, and against the pipeline's own way."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from keeprt.engine.errors import FaceError, UsageError
from keeprt.engine.faces.painting.compositing import Patch
from keeprt.engine.faces.painting.planes import composite_planes
from keeprt.engine.frame.pixels import quantise
from keeprt.engine.frame.video_list import planes_in
from keeprt.engine.media import open_source
from keeprt.engine.pipeline.aligning import crop_of
from keeprt.engine.pipeline.native import planes_of, yuv_format
from keeprt.engine.pipeline.pictures import Pictures
from keeprt.engine.video_restorer import VideoRestorer
from keeprt.kernels.crop_align import crop_align
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.paste_back import paste_back
from keeprt.kernels.placement import place_face
from tests.engine.pipeline_clips import background, write_clip
from tests.engine.plain_runtime import PlainRuntime
from tests.video_frames import moving_faces, video

WINDOW = 3
NV12, DEEP = FrameFormat("nv12", 192, 144), FrameFormat("yuv420p10le", 192, 144)


def loaded(bundle: Path, format: FrameFormat, **options: Any) -> VideoRestorer:
    return VideoRestorer.load(bundle, format, threads=1, window=WINDOW, **options)


@pytest.mark.slow
@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("format", [NV12, DEEP], ids=["nv12", "10 bits"])
def test_a_frame_is_its_crops_restored_and_pasted(
    tiny_bundle: Path, format: FrameFormat, eager: bool
) -> None:
    restorer = loaded(tiny_bundle, format, max_faces=2, eager=eager)
    plain, size = PlainRuntime(restorer.bundle), restorer.bundle.face_size
    states, pasts = [restorer.new_state(), restorer.new_state()], [None, None]
    for index, frame in enumerate(video(format, 6)):
        if index == 3:
            states[1], pasts[1] = states[1].reset(), None
        maps = moving_faces(restorer, index)
        turn = -1 if index >= 4 else 1  # the younger face may be named first
        given = list(zip(maps, states, strict=True))[::turn]
        found, states = restorer.restore(frame, given, strengths=[0.8, 0.8], grey=index == 5)
        states = states[::turn]
        expected = frame.copy()
        planes = planes_in(expected, format)
        how: Any = {"halved": (1, 1), "strength": 0.8, "grey": index == 5}
        shape = (format.width, format.height, size)
        places = np.stack([place_face(m, *shape, **how) for m in maps])
        crops = crop_align(planes, format, places, size)
        faces, pasts = plain.go_on(plain.observe_planar(crops), pasts, WINDOW)
        for place, face, crop in zip(places, faces, crops, strict=True):
            paste_back(planes, format, place, face, crop)
        np.testing.assert_array_equal(found, expected, err_msg=f"frame {index}")
    assert (found != frame).any()


@pytest.mark.parametrize("scale, noisy, smooth", [(0.3, 1, 0.5), (0.74, 2, 0.5), (1.4, 6, 1.5)])
def test_crop_and_paste_are_close_to_the_pipeline_s(
    tiny_bundle: Path, tmp_path: Path, scale: float, noisy: float, smooth: float
) -> None:
    """FFmpeg's and OpenCV's arithmetic against the kernels' twins, on a decoded frame.

    The pipeline makes 8-bit RGB of crop and face, the list keeps codes and floats. Stated, as
    means, of luma and of chroma: crops within 1 level, a smooth face within half a code, and within
    one and a half in chroma where a sample covers almost four pixels of the crop, which the
    pipeline averages in fours and then interpolates.
    """
    source = write_clip(tmp_path / "in.mp4", [background(144, 192)])
    with open_source(source) as frames:
        decoded = next(iter(frames))
    form = yuv_format(decoded)
    assert form is not None
    before = [plane.copy() for plane in planes_of(decoded.native, 8)]
    matrix = {"bt601": "bt601", "bt709": "bt709"}[form.matrix]
    format = FrameFormat("yuv420p", 192, 144, matrix, form.full_range)
    frame = np.concatenate([plane.ravel() for plane in before])

    restorer = loaded(tiny_bundle, format, eager=True)
    affine = moving_faces(restorer, 0)[0] * scale
    found, _ = restorer.restore(frame, [(affine, restorer.new_state())], strengths=[0.7])
    inside: Any = restorer._frames
    face, restored = (inside.peek(name, 1)[0] for name in ("face", "restored"))
    crop = crop_of(decoded, form, affine, restorer.bundle.face_size, Pictures())
    levels = np.abs((face.transpose(1, 2, 0) + 1) * 127.5 - crop)
    assert levels.mean() < 1 and np.percentile(levels, 99) < 3

    how: Any = {"halved": (1, 1), "strength": 0.7}
    place = place_face(affine, 192, 144, restorer.bundle.face_size, **how)
    softened = np.stack(
        [cv2.GaussianBlur(channel, (0, 0), 3) for channel in np.clip(restored, -1, 1)]
    )
    again = frame.copy()
    paste_back(planes_in(again, format), format, place, softened, face)
    # These weights give noise out of range, of which a 32nd of a pixel shows.
    for pasted, whole, limit in ((found, restored, noisy), (again, softened, smooth)):
        planes = [plane.copy() for plane in before]
        picture = quantise(whole, np.empty_like(whole))
        composite_planes(tuple(planes), form, Patch(picture, crop, affine, 0.7))
        for ours, theirs, old in zip(planes_in(pasted, format), planes, before, strict=True):
            apart, changed = np.abs(ours.astype(int) - theirs), theirs != old
            assert apart[changed].mean() < limit
            assert np.abs(theirs.astype(int) - old)[changed].mean() > 4


def test_pixels_outside_of_the_masks_keep_their_codes(tiny_bundle: Path) -> None:
    restorer, frame = loaded(tiny_bundle, DEEP), video(DEEP, 1)[0]
    found, _ = restorer.restore(frame, [(moving_faces(restorer, 0)[0], restorer.new_state())])
    for new, old in zip(planes_in(found, DEEP), planes_in(frame, DEEP), strict=True):
        width = new.shape[1]
        assert (new[:, : 3 * width // 4] != old[:, : 3 * width // 4]).any()
        np.testing.assert_array_equal(new[:, 3 * width // 4 :], old[:, 3 * width // 4 :])


def test_a_state_goes_between_whole_frames_and_files(tiny_bundle: Path, tmp_path: Path) -> None:
    restorer, frames = loaded(tiny_bundle, NV12), video(NV12, 4)
    state, expected = restorer.new_state(), None
    for index, frame in enumerate(frames):
        if index == 3:
            state.save(tmp_path / "state.npz")
        expected, (state,) = restorer.restore(frame, [(moving_faces(restorer, index)[0], state)])
    again = restorer.load_state(tmp_path / "state.npz")
    found, _ = restorer.restore(frames[3], [(moving_faces(restorer, 3)[0], again)])
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(FaceError, match="no inverse"):
        restorer.restore(frames[0], [(np.zeros((2, 3)), restorer.new_state())])
    assert {*restorer.stage_seconds} == {*restorer.bundle.subgraphs, "warp", "crop", "paste"}


def test_a_closed_restorer_holds_nothing_and_says_so(tiny_bundle: Path) -> None:
    frame = video(NV12, 1)[0]
    with loaded(tiny_bundle, NV12) as restorer:
        state = restorer.new_state()
        maps = moving_faces(restorer, 0)
        _, (state,) = restorer.restore(frame, [(maps[0], state)])
        held = weakref.ref(restorer._frames)
    assert held() is None
    with pytest.raises(UsageError, match="was closed"):
        restorer.restore(frame, [(maps[0], state)])
