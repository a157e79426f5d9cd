"""Live's chain drives the file pipeline's own steps: the same pictures, frame for frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from keeprt.engine.faces.detection import Detection, Detector
from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.restoring.chain import Chain, Painted
from keeprt.engine.live.restoring.frames import Buffers
from keeprt.engine.live.status import Settings
from keeprt.engine.media import ColourTags, VideoInfo
from keeprt.engine.pipeline import RestoreOptions, restore_video
from keeprt.engine.restorer import Restorer
from tests.engine.media.clips import to_frame
from tests.engine.pipeline_clips import (
    Scripted,
    Watched,
    astronaut_at,
    copied_planes,
    one_face,
    write_clip,
)

COUNT = 8
SETTINGS = Settings(faces="all", detect_every=1)
like = VideoInfo("live", 320, 240, "yuv420p", 8, Fraction(1, 90_000), colour=ColourTags(1, 1, 1, 1))


def answer(width: int, height: int, turn: int) -> list[Detection]:
    return [astronaut_at(70 + turn, 30, 180)]


def detector() -> Detector:
    return Scripted(answer)


def chain(network: Restorer | None = None, **more: object) -> Chain:
    options = LiveOptions("", "", settings=SETTINGS, **more)  # type: ignore[arg-type]
    return Chain(like, options, network, detector())


def frames() -> list[av.VideoFrame]:
    return [to_frame(picture, "yuv420p") for picture in one_face(COUNT)]


def run(one: Chain, settings: Settings = SETTINGS, **more: object) -> list[Painted]:
    done: list[Painted] = []
    for frame in frames():
        frame.colorspace, frame.color_range = 1, 1
        done += one.step(frame, settings, **more)  # type: ignore[arg-type]
    return done


def test_the_pictures_are_those_of_the_file_pipeline(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "in.mkv", one_face(COUNT), codec="ffv1")
    with Restorer.load(tiny_bundle, threads=1, window=3) as network:
        options = RestoreOptions(lookahead=0, detector=detector(), faces="all")
        watched = Watched(monkeypatch)
        restore_video(clip, tmp_path / "out.mkv", network, options)
        [sink] = watched.sinks
    with Restorer.load(tiny_bundle, threads=1, window=3) as network:
        from keeprt.engine.media import open_source

        with open_source(clip) as source:
            live = Chain(source.info, LiveOptions("", "", settings=SETTINGS), network, detector())
            done = [one for f in source for one in live.step(f.native, SETTINGS)]
    assert len(done) == len(sink.frames) == COUNT
    painted = 0
    for ours, theirs in zip(done, sink.frames, strict=True):
        if ours.frame is not None:
            painted += 1
            for a, b in zip(copied_planes(ours.frame), theirs, strict=True):
                assert np.array_equal(a, b)
    assert painted >= COUNT - 3  # the first ones confirm the track


def test_stages_are_told_as_the_page_names_them_and_finding_is_one(tiny_bundle: Path) -> None:
    with Restorer.load(tiny_bundle, threads=1, window=3) as network:
        done = run(chain(network))
    painted = [one.seconds for one in done if one.frame is not None]
    assert painted
    for seconds in painted:
        assert set(seconds) == {"find", "align", "network", "paint"}
        assert all(spent > 0 for spent in seconds.values())


def test_with_a_look_ahead_frames_come_as_much_later() -> None:
    later = chain(lookahead=2)
    counts = [len(later.step(frame, SETTINGS)) for frame in frames()]
    assert counts == [0, 0] + [1] * (COUNT - 2)


def test_frames_that_are_owed_come_before_those_of_other_settings() -> None:
    later, counts, done = chain(lookahead=2), list[int](), list[Painted]()
    for number, frame in enumerate(frames()):
        asked = SETTINGS if number < 5 else Settings(faces="largest", detect_every=1)
        new = later.step(frame, asked)
        counts.append(len(new))
        done += new
    assert counts == [0, 0, 1, 1, 1, 2, 0, 1]
    alone = chain(lookahead=0)
    at_once = [one for frame in frames()[:5] for one in alone.step(frame, SETTINGS)]
    lefts = [[face.x for face in one.faces] for one in done[:5]]
    assert lefts[1:] == [[face.x for face in one.faces] for one in at_once][1:]


def test_only_the_face_that_is_pointed_at_is_restored() -> None:
    here = run(chain(), chosen=(0.5, 0.5))
    assert any(one.frame is not None for one in here)
    elsewhere = run(chain(), chosen=(0.02, 0.98))
    assert all(one.frame is None for one in elsewhere)
    assert any(one.faces and not one.faces[0].restored for one in elsewhere)


def test_strength_takes_effect_at_the_frame_that_comes_with_it() -> None:
    one = chain()
    weak = Settings(0.0, "all", False, 1)
    for frame in frames()[:6]:
        one.step(frame, SETTINGS)
    [done] = one.step(frames()[6], weak)
    assert done.frame is not None
    same = copied_planes(frames()[6])
    assert all(np.array_equal(a, b) for a, b in zip(copied_planes(done.frame), same, strict=True))
    one.reset()
    assert one.step(frames()[7], weak)[0].frame is None


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "yuv420p10le"])
def test_frames_cross_shared_memory_as_they_are(name: str) -> None:
    bits = 10 if "10" in name else 8
    here = VideoInfo(
        "live", 320, 240, name, bits, Fraction(1, 90_000), colour=ColourTags(9, 1, 9, 16)
    )
    ours = Buffers(here, 3)
    theirs = Buffers(here, 3, ours.memory.fd)
    frame = to_frame(one_face(1)[0], name)
    ours.write(2, frame)
    back = theirs.read(2)
    assert (int(back.colorspace), int(back.color_trc)) == (9, 16)
    for a, b in zip(copied_planes(frame), copied_planes(back), strict=True):
        assert np.array_equal(a, b)
