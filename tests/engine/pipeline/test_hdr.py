"""PQ and HLG: detector and network see an SDR picture, and only what they change is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from keeprt.engine.faces.timeline import TrackedFace
from keeprt.engine.faces.tone import BT2020, HLG, PQ, Tone, tone_of
from keeprt.engine.media import SourceFrame, open_source
from keeprt.engine.pipeline.aligning import Aligner
from keeprt.engine.pipeline.native import planes_of, yuv_format
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.painting import Painting
from keeprt.engine.pipeline.pictures import Pictures
from keeprt.engine.pipeline.work import FrameWork, Summary
from tests.engine.media.clips import Clip, make_clip
from tests.engine.pipeline_clips import astronaut_at, background, with_face

SDR = with_face(background(240, 320), 60, 30, 180)
TAGS = {PQ: (9, 1, BT2020, PQ), HLG: (9, 1, BT2020, HLG)}


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("wide", [False, True])
def test_there_and_back_is_the_same(transfer: int, wide: bool) -> None:
    tone = Tone(transfer, wide)
    sdr = np.random.RandomState(0).randint(8, 238, (40, 50, 3)).astype(np.float32)
    code = tone._code(sdr)
    np.testing.assert_allclose(tone._sdr(code), sdr, atol=0.6)
    rgb16 = np.rint(code * 65535).astype(np.uint16)
    assert not tone.change(rgb16, np.zeros_like(sdr)).any()
    changed = tone.change(rgb16, np.full_like(sdr, 5.0)) / 255 + code
    np.testing.assert_allclose(tone._sdr(changed.astype(np.float32)), sdr + 5, atol=0.7)


def test_white_of_graphics_is_nearly_white_and_highlights_are_still_told_apart() -> None:
    def grey(tone: Tone, code: float) -> int:
        return int(tone.to_sdr(np.full((1, 1, 3), round(code * 65535), np.uint16))[0, 0, 0])

    steps = {PQ: (0.58, 0.75, 0.9, 1.0), HLG: (0.75, 0.9, 1.0)}
    for tone, codes in ((Tone(kind, True), codes) for kind, codes in steps.items()):
        levels = [grey(tone, code) for code in codes]
        assert levels[0] > 225 and levels == sorted(set(levels)), levels
        assert grey(tone, 0.0) == 0
    assert grey(Tone(PQ, True), 1.0) == 255
    assert tone_of(1, 1) is tone_of(2, 9) is None
    assert tone_of(PQ, BT2020) == Tone(PQ, True) and tone_of(HLG, 1) == Tone(HLG, False)


def hdr_frame(tmp_path: Path, transfer: int, pixel_format: str) -> SourceFrame:
    """The SDR picture as HDR video that shows it."""
    code = tone_of(transfer, BT2020)._code(SDR.astype(np.float32))  # type: ignore[union-attr]
    rgb16 = np.rint(np.clip(code, 0, 1) * 65535).astype(np.uint16)
    clip = Clip((0,), width=320, height=240, pixel_format="yuv444p10le", colour=TAGS[transfer])
    with open_source(make_clip(tmp_path / "in.mkv", clip)) as video:
        frame = next(iter(video))
    native = frame.converter.from_rgb(rgb16, pixel_format, frame.colour)
    native.pts, native.time_base = frame.native.pts, frame.native.time_base
    return SourceFrame(native, 0, 0.0, frame.info, frame.converter)


def aligned(frame: SourceFrame) -> FrameWork:
    face = astronaut_at(60, 30, 180)
    found = TrackedFace(1, face.landmarks, face.box, True)
    return Aligner(128, Summary()).step(FrameWork(frame, [found], False))


FORMATS = ["yuv420p10le", "yuv422p10le", "yuv444p12le", "p010le", "gbrp10le"]


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_detector_and_network_see_the_sdr_picture(
    tmp_path: Path, transfer: int, pixel_format: str
) -> None:
    frame = hdr_frame(tmp_path, transfer, pixel_format)
    small = Pictures().small(frame, yuv_format(frame), 320)
    assert np.abs(small.astype(int) - SDR).mean() < 3
    assert np.abs(frame.rgb().astype(int) - SDR).mean() > 12, "which the code values are not"
    crop = aligned(frame).faces[0].crop
    sdr = av.VideoFrame.from_ndarray(SDR, "rgb24")
    plain = SourceFrame(sdr, 0, 0.0, frame.info, frame.converter)
    assert np.abs(crop.astype(int) - aligned(plain).faces[0].crop).mean() < 3


def code_values(painted: Any) -> tuple[NDArray[Any], ...]:
    if not isinstance(painted, SourceFrame):
        return (painted,)
    return tuple(plane.copy() for plane in planes_of(painted.native, 10))


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_the_change_is_painted_and_nothing_else(
    tmp_path: Path, transfer: int, pixel_format: str
) -> None:
    frame = hdr_frame(tmp_path, transfer, pixel_format)
    untouched = code_values(
        Painting(RestoreOptions(), None, Summary()).step(FrameWork(frame, [], False))
    )
    work = aligned(frame)
    work.faces[0].restored = work.faces[0].crop
    same = code_values(Painting(RestoreOptions(), None, Summary()).step(work))
    assert all(np.array_equal(a, b) for a, b in zip(untouched, same, strict=True))

    work = aligned(frame)
    crop = work.faces[0].crop
    work.faces[0].restored = np.clip(crop.astype(int) + 16, 0, 255).astype(np.uint8)
    painted = Painting(RestoreOptions(), None, Summary()).step(work)
    if isinstance(painted, SourceFrame):
        seen = Pictures().small(painted, yuv_format(painted), 320)
    else:
        tone = tone_of(transfer, BT2020)
        assert tone is not None
        seen = tone.to_sdr(painted)
    change = seen.astype(int) - SDR
    skin = change[100:120, 120:150]
    assert 10 < np.median(skin) < 20
    assert np.abs(np.median(change[:, :25])) <= 2
