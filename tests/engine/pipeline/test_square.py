"""Pixels that are not square: the detector and the network are given faces as they are seen."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from keeprt.engine.faces.detection import Detection
from keeprt.engine.faces.timeline import TrackedFace
from keeprt.engine.media import SourceFrame, open_source
from keeprt.engine.pipeline.aligning import Aligner
from keeprt.engine.pipeline.looking import FaceFinder
from keeprt.engine.pipeline.native import yuv_format
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.painting import Painting
from keeprt.engine.pipeline.pictures import Pictures
from keeprt.engine.pipeline.work import FrameWork, Summary
from tests.engine.pipeline_clips import Scripted, astronaut_at, background, with_face, write_clip

WIDTH, HEIGHT = 420, 300
SQUARE = with_face(background(HEIGHT, WIDTH), 110, 50, 200)
ASPECTS = [Fraction(64, 45), Fraction(12, 11), Fraction(3, 4)]


def squeezed(tmp_path: Path, ratio: Fraction, pixel_format: str, rotation: int = 0) -> SourceFrame:
    """The square picture stored in fewer, or more, columns of its upright or turned picture."""
    size = (2 * round(WIDTH / ratio / 2), HEIGHT)
    ratio = Fraction(WIDTH, size[0])
    picture = np.asarray(cv2.resize(SQUARE, size, interpolation=cv2.INTER_AREA), np.uint8)
    file = write_clip(tmp_path / "in.mkv", [picture], pixel_format, rotation_ccw=rotation)
    with open_source(file) as video:
        frame = next(iter(video))
    stored = 1 / ratio if rotation in (90, 270) else ratio
    return replace(frame, info=replace(frame.info, sample_aspect_ratio=stored))


def found_at(frame: SourceFrame) -> TrackedFace:
    """The face where it lies in the frame's own upright pixels."""
    face = astronaut_at(110, 50, 200)
    factor = np.array([frame.info.upright_size[0] / WIDTH, 1.0])
    shift = (factor - 1) / 2
    return TrackedFace(1, face.landmarks * factor + shift, face.box, True)


@pytest.mark.parametrize("rotation", [0, 90])
@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv422p10le", "bgr24"])
@pytest.mark.parametrize("ratio", ASPECTS)
def test_the_crop_is_that_of_square_pixels(
    tmp_path: Path, ratio: Fraction, pixel_format: str, rotation: int
) -> None:
    kept = "yuv444p" if pixel_format == "bgr24" else pixel_format
    frame = squeezed(tmp_path, ratio, kept, rotation)
    if pixel_format == "bgr24":
        frame = replace(frame, decoded=frame.native.reformat(format="bgr24"))
    square = squeezed(tmp_path, Fraction(1), kept)
    crops = []
    for one in (frame, square):
        work = Aligner(128, Summary()).step(FrameWork(one, [found_at(one)], False))
        crops.append(work.faces[0].crop.astype(float))
    assert np.abs(crops[0] - crops[1]).mean() < 5
    squeezed_rows = np.asarray(cv2.resize(crops[1], (128, 90)))[:90]
    assert np.abs(crops[1][:90] - squeezed_rows).mean() > 10, "a squeezed face is another picture"


@pytest.mark.parametrize("ratio", ASPECTS)
def test_the_detector_sees_square_pixels_and_answers_in_the_frames(
    tmp_path: Path, ratio: Fraction
) -> None:
    frame = squeezed(tmp_path, ratio, "yuv420p")
    small = Pictures().small(frame, yuv_format(frame), 210)
    assert small.shape == (150, 210, 3)
    seen: list[Any] = []

    def answer(width: int, height: int, _: int) -> list[Detection]:
        seen.append((width, height))
        scale = width / WIDTH
        return [astronaut_at(110 * scale, 50 * scale, 200 * scale)]

    options = RestoreOptions(detector=Scripted(answer), lookahead=0, detect_side=210)
    with FaceFinder(frame.info, options, Summary()) as finder:
        works = [work for _ in range(3) for work in finder.step(frame)]
    assert seen == [(210, 150)] * 3
    expected = found_at(frame).landmarks
    np.testing.assert_allclose(works[-1].found[0].landmarks, expected, atol=1.5)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p"])
def test_what_is_painted_lies_over_the_face(tmp_path: Path, pixel_format: str) -> None:
    """A change of the crop's middle comes back to the middle of the face, as wide as in it."""
    frame = squeezed(tmp_path, Fraction(64, 45), pixel_format)
    before = frame.rgb().astype(int)
    aligner, painting = Aligner(128, Summary()), Painting(RestoreOptions(), None, Summary())
    work = aligner.step(FrameWork(frame, [found_at(frame)], False))
    brighter = work.faces[0].crop.copy()
    brighter[54:74, 44:84] = np.clip(brighter[54:74, 44:84].astype(int) + 60, 0, 255)
    work.faces[0].restored = brighter
    painted = painting.step(work)
    assert isinstance(painted, SourceFrame)
    changed = np.abs(painted.rgb().astype(int) - before).max(2) > 12
    rows, columns = np.nonzero(changed)
    tall = np.ptp(rows) + 1
    wide = (np.ptp(columns) + 1) * 64 / 45
    assert wide / tall == pytest.approx(2.0, rel=0.25)
    nose = found_at(frame).landmarks[2]
    assert abs(columns.mean() - nose[0]) < 12 and abs(rows.mean() - nose[1]) < 20
