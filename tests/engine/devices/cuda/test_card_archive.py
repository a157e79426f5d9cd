"""An archive on the driver in host memory: whole frames stay on the card, with one restorer."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine.archive import recipe as recipes
from keeprt.engine.archive.jobs import find_archive
from keeprt.engine.archive.recipe import Recipe, restorer_for
from keeprt.engine.archive.run import restore_archive
from keeprt.engine.media import VideoInfo, open_source
from keeprt.engine.pipeline import Encoding, RestoreOptions, restore_video
from keeprt.engine.pipeline.loading import warn_once
from keeprt.engine.restorer import Restorer
from keeprt.engine.video_restorer import VideoRestorer
from keeprt.kernels.frame import FrameFormat
from tests.cuda_driver.engines import HostEngines
from tests.cuda_driver.session import ON_DRIVER
from tests.engine.devices.cuda.conftest import Card
from tests.engine.pipeline_clips import (
    Scripted,
    astronaut_at,
    background,
    copied_planes,
    write_clip,
)

pytestmark = ON_DRIVER

FRAMES, WINDOW = 4, 3
SIZES = {"a.mp4": (320, 240), "b.mp4": (320, 240), "c.mp4": (200, 160)}
LOSSLESS = {"codec": "libx264", "crf": 0, "preset": "ultrafast"}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[HostEngines]:
    """What runs subgraphs on the card, for each restorer that was loaded."""
    opened: list[HostEngines] = []

    def open_library(bundle: Any, *_: object, **__: object) -> HostEngines:
        opened.append(HostEngines(bundle))
        return opened[-1]

    monkeypatch.setattr("keeprt.engine.turns.open_library", open_library)
    monkeypatch.setattr("keeprt.engine.pipeline.looking.load_detector", lambda options: finder())
    monkeypatch.setattr(recipes, "_kept", recipes._Kept())
    return opened


def finder() -> Scripted:
    return Scripted(lambda width, height, frame: [astronaut_at(10 + frame, 20, 120)])


def planes_of_video(path: Path) -> list[Any]:
    with open_source(path) as video:
        return [copied_planes(frame.native) for frame in video]


def on_the_cpu(bundle: Path, source: Path, out: Path, size: tuple[int, int]) -> list[Any]:
    """The same list of operations in host memory."""
    format = FrameFormat("yuv420p", *size, "bt601")
    options = RestoreOptions(detector=finder(), threads=False, encoding=Encoding(**LOSSLESS))  # type: ignore[arg-type]
    with VideoRestorer.load(bundle, format, threads=1, window=WINDOW, max_faces=2) as restorer:
        restore_video(source, out, restorer, options)
    return planes_of_video(out)


def test_whole_frames_of_an_archive_stay_on_the_card(
    card: Card,
    opened: list[HostEngines],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tiny_bundle: Path,
    tmp_path: Path,
) -> None:
    """Bit for bit as the same list on the CPU; files of one size share a restorer."""
    (tmp_path / "in").mkdir()
    for name, (width, height) in SIZES.items():
        write_clip(tmp_path / "in" / name, [background(height, width)] * FRAMES)
    load = {"backend": "rtx", "provider": "cpu", "window": WINDOW, "device": 0, "max_faces": 2}
    recipe = Recipe(str(tiny_bundle), load, LOSSLESS, threads=1)
    found = find_archive(str(tmp_path / "in"), str(tmp_path / "out"))
    result = restore_archive(found, recipe)
    assert [row.restored_faces for row in result.rows] == [FRAMES] * 3
    assert [engines.closed for engines in opened] == [True, False]
    assert [engines.errors for engines in opened] == [[], []]
    recipes._kept.close()
    assert opened[1].closed and not caplog.messages
    monkeypatch.undo()
    for name, size in SIZES.items():
        right = on_the_cpu(tiny_bundle, tmp_path / "in" / name, tmp_path / f"cpu-{name}", size)
        for ours, theirs in zip(planes_of_video(tmp_path / "out" / name), right, strict=True):
            for plane, expected in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(plane, expected)


def test_what_a_card_cannot_paint_the_host_does_and_that_is_said_once(
    card: Card, opened: list[HostEngines], tiny_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    load = {"backend": "rtx", "provider": "cpu", "window": WINDOW, "device": 0, "max_faces": 1}
    recipe = Recipe(str(tiny_bundle), load, {**LOSSLESS, "scale": 2}, threads=1)
    info = VideoInfo("a.mp4", 320, 240, "yuv420p", 8, Fraction(1, 25), Fraction(25))
    with caplog.at_level(logging.WARNING, "keeprt"):
        first, second = (restorer_for(recipe, info) for _ in range(2))
    assert isinstance(first, Restorer) and first is second and len(opened) == 1
    assert caplog.messages == ["faces are cut out and painted on the host: the video is enlarged"]
    recipes._kept.close()
