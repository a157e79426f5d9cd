"""Timestamps, sound and subtitles survive a run."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from keeprt.engine.errors import MediaError
from keeprt.engine.media import open_sink, open_source
from tests.engine.media.clips import Clip, make_clip, packets, times

VFR = (900, 3903, 6906, 7400, 9909, 20900, 21000, 30900, 33903, 36906, 40900, 50901)


def run(source: Path, output: Path, native: bool = True, **options: object) -> Path:
    part = {k: options[k] for k in ("start_s", "duration_s") if k in options}
    with (
        open_source(source, **part) as frames,  # type: ignore[arg-type]
        open_sink(output, frames.info, preset="ultrafast", **options) as sink,  # type: ignore[arg-type]
    ):
        for frame in frames:
            if native:
                sink.write(frame)
            else:
                sink.write_rgb(frame.rgb(), frame)
    return output


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("pts", "time_base"),
    [
        (VFR, Fraction(1, 90000)),
        (tuple(1001 * i for i in range(12)), Fraction(1, 30000)),
        (tuple(12345 + 1001 * i for i in range(12)), Fraction(1, 24000)),
        ((777,), Fraction(1, 12800)),
    ],
    ids=["vfr", "29.97", "23.976 from 0.5 s", "one frame"],
)
def test_mp4_keeps_every_time_and_the_time_base(
    tmp_path: Path, pts: tuple[int, ...], time_base: Fraction, native: bool
) -> None:
    source = make_clip(tmp_path / "in.mp4", Clip(pts=pts, time_base=time_base))
    before = times(source)
    with av.open(str(source)) as container:
        start = container.streams.video[0].start_time
    # libx264 at its default preset reorders B-frames, which must not move the first picture.
    with open_source(source) as frames, open_sink(tmp_path / "out.mp4", frames.info) as sink:
        for frame in frames:
            sink.write(frame) if native else sink.write_rgb(frame.rgb(), frame)
    assert times(tmp_path / "out.mp4") == before
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.time_base == time_base
        assert stream.start_time == start
        assert len(pts) < 4 or stream.codec_context.has_b_frames


def test_duration_of_the_last_frame_survives(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", Clip(pts=(0, 40, 80), time_base=Fraction(1, 1000)))
    # No B-frames here: with them MP4 stores the last packet's duration, not the last picture's.
    with (
        open_source(source) as frames,
        open_sink(tmp_path / "out.mp4", frames.info, preset="ultrafast") as sink,
    ):
        for frame in frames:
            frame.native.duration = 500 if frame.index == 2 else 40
            sink.write(frame)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.duration == 580_000


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_packets_are_identical(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / "in.mp4", Clip(pts=tuple(range(30)), audio=True))
    output = run(source, tmp_path / f"out{suffix}")
    before, after = packets(source, "audio"), packets(output, "audio")
    assert len(before) > 50
    assert [data for _, _, data in after] == [data for _, _, data in before]
    tolerance = Fraction(1, 2000) if suffix == ".mkv" else 0
    assert all(abs(a[0] - b[0]) <= tolerance for a, b in zip(after, before, strict=True))
    assert times(output) == times(source)


def test_no_sound_by_option(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", Clip(audio=True))
    output = run(source, tmp_path / "out.mp4", copy_streams=False)
    with av.open(str(output)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_sound_that_the_container_cannot_hold_is_named(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", Clip(audio=True))
    with pytest.raises(MediaError, match=r"\.webm file cannot hold the aac sound.*\.mkv"):
        run(source, tmp_path / "out.webm")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4"]


def test_subtitles_are_copied_or_rewritten(tmp_path: Path) -> None:
    lines = ((0, 200, "Hello <i>you</i>"), (240, 160, "Second line"))
    clip = Clip(time_base=Fraction(1, 1000), pts=tuple(range(0, 480, 40)), subtitles=lines)
    source = make_clip(tmp_path / "in.mkv", clip)
    copied = packets(run(source, tmp_path / "out.mkv"), "subtitle")
    assert copied == packets(source, "subtitle")
    rewritten = packets(run(source, tmp_path / "out.mp4"), "subtitle")
    texts = [(time, data[2:]) for time, _, data in rewritten if len(data) > 2]
    assert [time for time, _ in texts] == [0, Fraction(240, 1000)]
    assert texts[1][1].startswith(b"Second line")
    back = packets(run(tmp_path / "out.mp4", tmp_path / "back.mkv"), "subtitle")
    assert [data for _, _, data in back] == [text.encode() for _, _, text in lines]


def test_the_source_does_not_choose_the_frame_types(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", Clip(key_frames_only=True))
    for native in (True, False):
        output = run(source, tmp_path / "out.mp4", native)
        with av.open(str(output)) as container:
            assert sum(packet.is_keyframe for packet in container.demux(video=0)) == 1


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_part_starts_its_own_clock_and_keeps_sound_in_step(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / f"in{suffix}", Clip(pts=tuple(range(50)), audio=True))
    output = run(source, tmp_path / f"out{suffix}", start_s=0.8, duration_s=0.4)
    assert times(output) == [Fraction(i, 25) for i in range(10)]
    sound = {data: time for time, _, data in packets(source, "audio")}
    part = packets(output, "audio")
    assert 0.35 < float(part[-1][0] - part[0][0]) < 0.45
    assert {sound[data] - time for time, _, data in part} == {Fraction(8, 10)}
    with open_source(source, start_s=0.8, duration_s=0.4) as frames:
        assert [round(frame.time_s * 25) for frame in frames] == list(range(20, 30))


def test_a_part_behind_the_end_is_an_error(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4")
    with pytest.raises(MediaError, match="no frames from 9 s"):
        run(source, tmp_path / "out.mp4", start_s=9.0)
