"""Whole videos on the driver in host memory: the pipeline's threads, two frames in flight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine import Restorer, load_bundle
from keeprt.engine.faces.detection import Detection
from keeprt.engine.media import open_source
from keeprt.engine.pipeline import Encoding, RestoreOptions, restore_video
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

WINDOW, FRAMES = 3, 10


def who_is_there(width: int, height: int, frame: int) -> list[Detection]:
    """One face that stays, a second one that is away for a while."""
    there = [astronaut_at(10 + frame, 20, 120)]
    return there if frame in (3, 4, 5) else [*there, astronaut_at(170, 60 + frame, 130)]


class Noted(Restorer):
    """Notes how many frames were in flight."""

    most = 0

    def submit(self, faces: Any, states: Any) -> Any:
        after = super().submit(faces, states)
        self.most = max(self.most, self.in_flight)
        return after


class NotedWhole(VideoRestorer):
    """The same of whole frames."""

    most = 0

    def submit(self, frame: Any, faces: Any, **how: Any) -> Any:
        after = super().submit(frame, faces, **how)
        self.most = max(self.most, self.in_flight)
        return after


def made_of(folder: Path, restorers: dict[str, Any], pixel_format: str, threads: bool) -> Any:
    """The decoded planes of each restorer's video."""
    scene = background(240, 320 + FRAMES)
    pictures = [scene[:, n : n + 320] for n in range(FRAMES)]
    source, decoded = write_clip(folder / "in.mp4", pictures, pixel_format), {}
    for name, restorer in restorers.items():
        options = RestoreOptions(
            detector=Scripted(who_is_there),
            detect_every=1,
            threads=threads,
            strength=0.8,
            encoding=Encoding("libx264", crf=0, preset="ultrafast"),
        )
        out = folder / f"{name}.mp4"
        summary = restore_video(source, out, restorer, options)
        assert summary.frames == FRAMES and len(summary.tracks) >= 2
        with open_source(out) as video:
            decoded[name] = [copied_planes(frame.native) for frame in video]
    return decoded


def same(found: Any, expected: Any) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        for plane, right in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(plane, right)


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("threads", [False, True])
def test_a_video_is_the_cpu_s_with_two_frames_in_flight(
    card: Card, tiny_bundle: Path, tmp_path: Path, threads: bool, eager: bool
) -> None:
    bundle, sizes = load_bundle(tiny_bundle), {"window": WINDOW, "max_faces": 2}
    engines = HostEngines(bundle)
    made = {
        "card": Noted(bundle, engines, eager=eager, **sizes),  # type: ignore[arg-type]
        "cpu": Restorer.load(tiny_bundle, threads=1, **sizes),  # type: ignore[arg-type]
    }
    decoded = made_of(tmp_path, made, "yuv420p", threads)
    same(decoded["card"], decoded["cpu"])
    assert engines.errors == []
    assert made["card"].most == (1 if eager else 2)  # type: ignore[attr-defined]
    made["card"].close()


@pytest.mark.parametrize("faces", [1, 2])
@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le"])
def test_whole_frames_of_a_video_stay_on_the_card(
    card: Card, tiny_bundle: Path, tmp_path: Path, pixel_format: str, threads: bool, faces: int
) -> None:
    """Cut out, restored and painted there, bit for bit as the same list on the CPU."""
    bundle, format = load_bundle(tiny_bundle), FrameFormat(pixel_format, 320, 240, "bt601")
    engines, sizes = HostEngines(bundle), {"window": WINDOW, "max_faces": faces}
    made = {
        "card": NotedWhole(bundle, engines, format, **sizes),  # type: ignore[arg-type]
        "cpu": VideoRestorer.load(tiny_bundle, format, threads=1, **sizes),  # type: ignore[arg-type]
    }
    decoded = made_of(tmp_path, made, pixel_format, threads)
    same(decoded["card"], decoded["cpu"])
    assert engines.errors == [] and made["card"].most == 2  # type: ignore[attr-defined]
    made["card"].close()
