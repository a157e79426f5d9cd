"""The list of a whole frame on the CPU: against its parts, and against the pipeline's own way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine.errors import FaceError
from keeprt.engine.faces.compositing import Patch, frame_mask
from keeprt.engine.faces.planes import composite_planes
from keeprt.engine.media import open_source
from keeprt.engine.pipeline.aligning import crop_of
from keeprt.engine.pipeline.native import planes_of, yuv_format
from keeprt.engine.pipeline.pictures import Pictures
from keeprt.engine.pixels import quantise
from keeprt.engine.video_graph import planes_in
from keeprt.engine.video_restorer import VideoRestorer
from keeprt.kernels.crop_align import crop_align
from keeprt.kernels.frame import FrameFormat
from keeprt.kernels.paste_back import paste_back
from keeprt.kernels.placement import place_face

from ..video_frames import moving_faces, video
from .pipeline_clips import background, write_clip
from .plain_runtime import PlainRuntime

WINDOW = 3
NV12, DEEP = FrameFormat("nv12", 192, 144), FrameFormat("yuv420p10le", 192, 144)


def loaded(bundle: Path, format: FrameFormat, **options: Any) -> VideoRestorer:
    return VideoRestorer.load(bundle, format, threads=1, window=WINDOW, **options)


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
        found, states = restorer.restore(frame, given)
        states = states[::turn]
        expected = frame.copy()
        planes = planes_in(expected, format)
        places = np.stack([place_face(m, format.width, format.height, size) for m in maps])
        seen = plain.observe_planar(crop_align(planes, format, places, size))
        faces, pasts = plain.go_on(seen, pasts, WINDOW)
        for place, face in zip(places, faces, strict=True):
            paste_back(planes, format, place, face)
        np.testing.assert_array_equal(found, expected, err_msg=f"frame {index}")
    assert (found != frame).any()


def test_crop_and_paste_are_close_to_the_pipeline_s(tiny_bundle: Path, tmp_path: Path) -> None:
    """FFmpeg's and OpenCV's arithmetic against the kernels' twins, on a decoded frame.

    The pipeline crops 8-bit RGB and adds what changed; the list crops codes and replaces the face.
    Stated, as means: crops within 1 level, an unchanged face within half a code of luma, and this
    network's within 3 inside the mask.
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
    # A face as large as its crop: where it is smaller, the pipeline smooths what it pastes.
    affine = moving_faces(restorer, 0)[0] / 1.35
    found, _ = restorer.restore(frame, [(affine, restorer.new_state())])
    inside: Any = restorer._frames
    face, restored = (inside.peek(name, 1)[0] for name in ("face", "restored"))
    crop = crop_of(decoded, form, affine, restorer.bundle.face_size, Pictures())
    levels = np.abs((face.transpose(1, 2, 0) + 1) * 127.5 - crop)
    assert levels.mean() < 1 and np.percentile(levels, 99) < 3

    mask = frame_mask(affine, (144, 192), restorer.bundle.face_size)

    def apart(pasted: Any, face: Any, where: Any) -> float:
        """Luma codes between what the list gave and what the pipeline makes of the same face."""
        planes = [plane.copy() for plane in before]
        picture = quantise(face, np.empty_like(face))
        composite_planes(tuple(planes), form, Patch(picture, crop, affine))
        return float(np.abs(planes_in(pasted, format)[0].astype(int) - planes[0])[where].mean())

    # These weights give noise far out of range, which the kernel samples before it clamps it.
    assert apart(found, restored, mask > 0.999) < 3 and apart(found, restored, mask > 0) < 4
    again = frame.copy()
    placement = place_face(affine, 192, 144, restorer.bundle.face_size)
    paste_back(planes_in(again, format), format, placement, face)
    assert apart(again, face, mask > 0) < 0.5


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
