"""Frames that a decoder left on the card: FFmpeg's hardware frames on the driver in host memory."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from keeprt.engine import load_bundle
from keeprt.engine.devices.cuda.planes import CardPlanes
from keeprt.engine.errors import UsageError
from keeprt.engine.frame.video_list import planes_in
from keeprt.engine.media import open_source
from keeprt.engine.media.hardware import downloaded, planes_on_card, stored_format
from keeprt.engine.media.reading.decoder import Decoder
from keeprt.engine.pipeline import Encoding, RestoreOptions, restore_video
from keeprt.engine.pipeline.whole_frames import whole_frame_format
from keeprt.engine.video_restorer import VideoRestorer
from keeprt.kernels.frame import FrameFormat
from tests.cuda_driver.engines import HostEngines
from tests.cuda_driver.hardware_frames import Surface, hardware_frame, host_frame
from tests.cuda_driver.session import ON_DRIVER
from tests.engine.devices.cuda.conftest import Card
from tests.engine.devices.cuda.test_card_pipeline import same, who_is_there
from tests.engine.pipeline_clips import Scripted, background, copied_planes, write_clip
from tests.video_frames import moving_faces, video

WINDOW, FRAMES = 3, 8

pytestmark = ON_DRIVER
FORMATS = [FrameFormat(name, 192, 144) for name in ("nv12", "p010le")]
NV12 = FORMATS[0]


class Noted(VideoRestorer):
    """Counts the frames that it was given on the card."""

    there = 0

    def submit(self, frame: Any, faces: Any, **how: Any) -> Any:
        self.there += isinstance(frame, CardPlanes)
        return super().submit(frame, faces, **how)


def loaded(bundle: Path, format: FrameFormat) -> Noted:
    checked = load_bundle(bundle)
    return Noted(checked, HostEngines(checked), format, window=WINDOW)


def on_the_card(packed: Any, format: FrameFormat, **how: Any) -> CardPlanes:
    native = host_frame(packed, format.pixel_format, format.width, format.height)
    planes = planes_on_card(hardware_frame(native, **how))
    assert planes is not None
    return planes


def restored(restorer: VideoRestorer, frames: list[Any]) -> list[Any]:
    """With two frames in flight."""
    state, found = restorer.new_state(), []
    for index, frame in enumerate(frames):
        (state,) = restorer.submit(frame, [(moving_faces(restorer, index)[0], state)])
        if index:
            found.append(restorer.collect())
    return [*found, restorer.collect()]


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.pixel_format)
@pytest.mark.parametrize("gap", [0, 64])
def test_a_decoded_frame_is_read_where_it_lies(
    card: Card, tiny_bundle: Path, format: FrameFormat, gap: int
) -> None:
    frames = video(format, 5)
    expected = restored(VideoRestorer.load(tiny_bundle, format, threads=1, window=WINDOW), frames)
    given = [on_the_card(frame, format, gap=gap, busy_s=0.02) for frame in frames]
    same([restored(loaded(tiny_bundle, format), given)], [expected])
    for planes, frame in zip(given, frames, strict=True):  # a decoder predicts from them
        assert isinstance(planes.owner, av.VideoFrame)
        again = downloaded(planes.owner)
        same(
            [copied_planes(again)],
            [copied_planes(host_frame(frame, format.pixel_format, 192, 144))],
        )


def test_a_frame_s_producer_is_waited_for(card: Card, tiny_bundle: Path) -> None:
    (frame,) = video(NV12, 1)
    restorer = loaded(tiny_bundle, NV12)
    (expected,) = restored(restorer, [frame])
    same([restored(restorer, [on_the_card(frame, NV12, busy_s=0.2)])], [[expected]])


class Holder:
    """What a test can see go."""

    def __init__(self, held: object) -> None:
        self.held = held


def test_a_frame_is_held_until_it_is_done(card: Card, tiny_bundle: Path) -> None:
    (frame,) = video(NV12, 1)
    restorer = loaded(tiny_bundle, NV12)
    (expected,) = restored(restorer, [frame])
    planes = on_the_card(frame, NV12)
    holder = Holder(planes.owner)
    planes, seen = replace(planes, owner=holder), weakref.ref(holder)
    frames, states = restorer._frames, restorer._frames.placed([restorer.new_state()])
    placements = np.stack(restorer._placements(moving_faces(restorer, 0)[:1], None, False))
    frames.submit_video(planes, placements, states)
    del planes, holder
    gc.collect()
    assert seen() is not None
    done = frames.collect()
    np.testing.assert_array_equal(done.restored, expected)
    del done
    gc.collect()
    assert seen() is None


def test_odd_sizes_have_all_their_chroma(card: Card, tiny_bundle: Path) -> None:
    format = FrameFormat("nv12", 191, 143)
    frames = video(format, 3)
    expected = restored(VideoRestorer.load(tiny_bundle, format, threads=1, window=WINDOW), frames)
    surfaces = [Surface(planes_in(frame, format), gap=17) for frame in frames]
    given = [CardPlanes("nv12", 191, 143, s.addresses, s.pitches, 0, s) for s in surfaces]
    same([restored(loaded(tiny_bundle, format), given)], [expected])


def test_what_does_not_fit_is_refused(card: Card, tiny_bundle: Path) -> None:
    restorer = loaded(tiny_bundle, NV12)
    (frame,) = video(NV12, 1)
    planes, faces = on_the_card(frame, NV12), [(moving_faces(restorer, 0)[0], restorer.new_state())]
    for wrong, said in (
        ({"card": 1}, "GPU 1.*GPU 0"),
        ({"pixel_format": "p010le"}, "p010le at 192x144.*nv12"),
        ({"width": 190}, "190x144"),
        ({"pitches": (191, 192)}, "shorter"),
    ):
        with pytest.raises(UsageError, match=said):
            restorer.restore(replace(planes, **wrong), faces)  # type: ignore[arg-type]
    restorer.restore(planes, faces)


def test_a_frame_comes_to_the_host_with_all_that_it_says(card: Card) -> None:
    native = host_frame(video(NV12, 1)[0], "nv12", 192, 144)
    native.pts, native.time_base, native.colorspace = 7, Fraction(1, 50), 1
    there = hardware_frame(native, busy_s=0.05)
    assert there.format.name == "cuda" and stored_format(there).name == "nv12"
    here = downloaded(there)
    same([copied_planes(here)], [copied_planes(native)])
    assert (here.pts, here.time_base, int(here.colorspace)) == (7, Fraction(1, 50), 1)
    assert downloaded(here) is here and planes_on_card(here) is None


def test_a_frame_comes_to_the_host_once(card: Card, tmp_path: Path) -> None:
    with open_source(write_clip(tmp_path / "in.mp4", [background(64, 64)])) as source:
        (frame,) = source
    there = replace(frame, decoded=hardware_frame(frame.native.reformat(format="nv12")))
    before = card.count("cuMemcpy2DAsync")
    assert there.colour == frame.colour and card.count("cuMemcpy2DAsync") == before
    assert there.native is there.native
    assert card.count("cuMemcpy2DAsync") == before + len(there.native.planes)


class Decoding:
    """Replaces what a decoder gives: NV12 or P010, in host memory or on a card."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pixel_format: str) -> None:
        self._format, self._given = pixel_format, 0
        self.device: int | None = None
        self.odd_one = -1
        decode = Decoder._decode

        def decoded(decoder: Decoder, packet: Any) -> list[av.VideoFrame]:
            return [self._as_decoded(frame) for frame in decode(decoder, packet)]

        monkeypatch.setattr(Decoder, "_decode", decoded)

    def on(self, device: int | None, odd_one: int = -1) -> None:
        """From now on; frame number `odd_one` comes as the file has it."""
        self.device, self.odd_one, self._given = device, odd_one, 0

    def _as_decoded(self, frame: av.VideoFrame) -> av.VideoFrame:
        self._given += 1
        if self._given - 1 == self.odd_one:
            return frame
        native = frame.reformat(format=self._format)
        return native if self.device is None else hardware_frame(native, device=self.device)


@pytest.fixture(params=["nv12", "p010le"])
def decoding(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Decoding:
    return Decoding(monkeypatch, request.param)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    scene = background(240, 320 + FRAMES)
    return write_clip(tmp_path / "in.mp4", [scene[:, n : n + 320] for n in range(FRAMES)])


def made(clip: Path, bundle: Path, threads: bool = True) -> tuple[Any, int]:
    """The decoded planes of what comes of a video, and how many frames stayed on the card."""
    with open_source(clip) as source:
        format = whole_frame_format(source.info)
    assert format is not None
    encoding = Encoding("libx264", crf=0, preset="ultrafast")
    options = RestoreOptions(
        detector=Scripted(who_is_there), detect_every=1, threads=threads, encoding=encoding
    )
    out, restorer = clip.with_name("out.mp4"), loaded(bundle, format)
    summary = restore_video(clip, out, restorer, options)
    assert summary.frames == FRAMES
    restorer.close()
    with open_source(out) as video:
        return [copied_planes(frame.native) for frame in video], restorer.there


@pytest.mark.parametrize("threads", [False, True])
def test_a_video_that_a_card_decoded(
    card: Card, tiny_bundle: Path, clip: Path, decoding: Decoding, threads: bool
) -> None:
    decoding.on(None)
    expected, _ = made(clip, tiny_bundle, threads)
    decoding.on(0)
    found, there = made(clip, tiny_bundle, threads)
    assert there == FRAMES
    same(found, expected)


@pytest.mark.parametrize(("device", "odd_one", "stayed"), [(0, 4, FRAMES - 1), (1, -1, 0)])
def test_what_cannot_stay_goes_by_the_host(
    card: Card,
    tiny_bundle: Path,
    clip: Path,
    decoding: Decoding,
    caplog: pytest.LogCaptureFixture,
    device: int,
    odd_one: int,
    stayed: int,
) -> None:
    """A frame of another format in the middle; frames that another card decoded."""
    decoding.on(None, odd_one)
    expected, _ = made(clip, tiny_bundle)
    decoding.on(device, odd_one)
    found, there = made(clip, tiny_bundle)
    assert there == stayed
    same(found, expected)
    assert caplog.text.count("another one restores") == device
