"""What the source says of its picture is said by the output too, or named as lost."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.codec.context import Flags
from hypothesis import given
from hypothesis import strategies as st

from keeprt.engine.errors import MediaError
from keeprt.engine.media import open_sink, open_source
from keeprt.engine.media.info import LightLevel, Mastering
from keeprt.engine.media.timecode import moved
from keeprt.engine.media.writing.pacing import FramePacer
from tests.engine.media.clips import Clip, make_clip, picture, to_frame

HDR = (
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    ":max-cll=1000,400:log-level=none"
)


def written(source: Path, out: Path, **options: object) -> list[str]:
    with open_source(source) as video, open_sink(out, video, **options) as sink:  # type: ignore[arg-type]
        for frame in video:
            sink.write(frame)
    return sink.losses


def encoded(path: Path, codec: str, pixel_format: str, count: int = 10, **options: str) -> Path:
    """A clip with private options of its encoder; "flags" are those of the codec."""
    with av.open(str(path), "w") as container:
        interlaced = options.pop("interlaced", None)
        stream = container.add_stream(codec, rate=25, width=128, height=96, options=options)
        stream.pix_fmt = pixel_format
        if interlaced:
            stream.codec_context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        for index in range(count):
            frame = to_frame(picture(index, 128, 96), pixel_format)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def interlaced(path: Path, first: str) -> Path:
    return encoded(path, "libx264", "yuv420p", interlaced="1", **{"x264-params": f"{first}=1"})


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".mp4", "libx264"),
        (".mkv", "libx264"),
        (".ts", "libx264"),
        (".mov", "libx264"),
        (".ts", "mpeg2video"),
        (".mov", "prores"),
        (".mkv", "ffv1"),
    ],
)
def test_fields_are_kept(tmp_path: Path, suffix: str, codec: str) -> None:
    source = interlaced(tmp_path / "in.mp4", "tff")
    with open_source(source) as video:
        order = video.info.field_order
    assert order != "progressive"
    out = tmp_path / f"out{suffix}"
    assert written(source, out, codec=codec) == []
    with open_source(out) as video:
        assert video.info.field_order == order
        assert all(frame.native.interlaced_frame for frame in video)


def test_fields_that_an_encoder_cannot_code_are_named(tmp_path: Path) -> None:
    source = interlaced(tmp_path / "in.mp4", "tff")
    losses = written(source, tmp_path / "out.mkv", codec="libx265", preset="ultrafast")
    assert len(losses) == 1 and "interlace" in losses[0]


@pytest.fixture(scope="module")
def hdr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hdr") / "hdr.mp4"
    options = {"x265-params": f"{HDR}:chromaloc=2", "preset": "ultrafast"}
    return encoded(path, "libx265", "yuv420p10le", 4, **options)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_hdr10_and_the_place_of_chroma(hdr: Path, tmp_path: Path, codec: str, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    assert written(hdr, out, codec=codec, preset="ultrafast") == []
    with open_source(hdr) as before, open_source(out) as after:
        assert after.info.mastering == before.info.mastering is not None
        assert after.info.light_level == LightLevel(1000, 400)
        assert after.info.chroma_location == before.info.chroma_location == "topleft"


def test_mastering_is_read_as_it_was_meant(hdr: Path) -> None:
    with open_source(hdr) as video:
        found = video.info.mastering
    assert found is not None and isinstance(found, Mastering)
    assert found.red == (Fraction(34000, 50000), Fraction(16000, 50000))
    assert (found.most_luminance, found.least_luminance) == (1000, Fraction(1, 10000))


def test_hdr10_that_an_encoder_cannot_write_is_named(hdr: Path, tmp_path: Path) -> None:
    losses = written(hdr, tmp_path / "out.mov", codec="prores")
    assert any("HDR10" in loss for loss in losses)


@pytest.mark.parametrize("place", ["center", "topleft", "left"])
def test_the_place_of_chroma_is_kept(tmp_path: Path, place: str) -> None:
    source = encoded(tmp_path / "in.mkv", "libx264", "yuv420p", chroma_sample_location=place)
    written(source, tmp_path / "out.mp4")
    with open_source(tmp_path / "out.mp4") as video:
        assert video.info.chroma_location == place


def test_alpha_is_kept_or_named(tmp_path: Path) -> None:
    source = encoded(tmp_path / "in.mkv", "ffv1", "yuva420p", 3)
    assert written(source, tmp_path / "out.mkv", codec="ffv1") == []
    with open_source(source) as one, open_source(tmp_path / "out.mkv") as two:
        for a, b in zip(one, two, strict=True):
            assert a.native.format.name == b.native.format.name == "yuva420p"
            assert all(
                bytes(p) == bytes(q) for p, q in zip(a.native.planes, b.native.planes, strict=True)
            )
    assert any("alpha" in loss for loss in written(source, tmp_path / "out.mp4"))


def test_rgb_stays_rgb_where_the_encoder_takes_it(tmp_path: Path) -> None:
    source = encoded(tmp_path / "in.mkv", "ffv1", "bgr0", 3)
    assert written(source, tmp_path / "out.mkv", codec="ffv1") == []
    with open_source(source) as one, open_source(tmp_path / "out.mkv") as two:
        assert two.info.is_rgb
        for a, b in zip(one, two, strict=True):
            assert np.array_equal(a.rgb(), b.rgb())
    assert any("RGB" in loss for loss in written(source, tmp_path / "out.mp4"))


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("mpeg2video", ".mxf"),
        ("mpeg2video", ".ts"),
        ("mpeg4", ".mp4"),
        ("mjpeg", ".mov"),
        ("prores", ".mov"),
        ("prores", ".mxf"),
        ("v210", ".mov"),
        ("ffv1", ".mkv"),
        ("libx264", ".mxf"),
    ],
)
def test_what_broadcast_houses_exchange(tmp_path: Path, codec: str, suffix: str) -> None:
    source = make_clip(
        tmp_path / "in.mp4",
        Clip(pts=tuple(range(0, 24000, 1000)), time_base=Fraction(1, 25000), width=128, height=96),
    )
    out = tmp_path / f"out{suffix}"
    written(source, out, codec=codec)
    with open_source(source) as one, open_source(out) as two:
        pairs = list(zip(one, two, strict=True))
    assert len(pairs) == 24
    assert {round((b.time_s - a.time_s) * 1000) for a, b in pairs} == {
        round((pairs[0][1].time_s - pairs[0][0].time_s) * 1000)
    }
    worst = max(np.abs(a.rgb().astype(int) - b.rgb()).mean() for a, b in pairs)
    assert worst < 6


def test_dnxhr(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", Clip(width=256, height=144, colour=(1, 1, 1, 1)))
    assert written(source, tmp_path / "out.mov", codec="dnxhd") == []
    with open_source(tmp_path / "out.mov") as video:
        assert video.info.codec == "dnxhd" and sum(1 for _ in video) == 12


def test_a_refused_encoder_says_why(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", Clip())
    with pytest.raises(MediaError, match=r"cannot write .*out.mov: .*\(Input dimensions.+\)"):
        written(source, tmp_path / "out.mov", codec="dnxhd")
    assert not (tmp_path / "out.mov").exists()


def test_a_timecode_moves_with_the_beginning(tmp_path: Path) -> None:
    source = tmp_path / "in.mov"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=64, height=48)
        stream.pix_fmt = "yuv420p"
        stream.metadata["timecode"] = "10:00:00:00"
        for index in range(25):
            frame = to_frame(picture(index, 64, 48), "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for suffix, start_s, wanted in ((".mov", 0.4, "10:00:00:10"), (".mxf", 0.0, "10:00:00:00")):
        out = tmp_path / f"out{suffix}"
        with (
            open_source(source, start_s=start_s) as video,
            open_sink(out, video, start_s=start_s) as sink,
        ):
            for one in video:
                sink.write(one)
        with open_source(out) as video:
            assert video.info.timecode == wanted
    assert any("timecode" in loss for loss in written(source, tmp_path / "out.ts"))


@pytest.mark.parametrize(
    ("timecode", "seconds", "rate", "wanted"),
    [
        ("00:00:59;29", 1 / 29.97, Fraction(30000, 1001), "00:01:00;02"),
        ("00:09:59;29", 1 / 29.97, Fraction(30000, 1001), "00:10:00;00"),
        ("23:59:59:24", 0.04, Fraction(25), "00:00:00:00"),
        ("01:00:00:00", 3600.0, Fraction(25), "02:00:00:00"),
        ("nonsense", 1.0, Fraction(25), None),
    ],
)
def test_timecodes(timecode: str, seconds: float, rate: Fraction, wanted: str | None) -> None:
    assert moved(timecode, seconds, rate) == wanted


@given(st.integers(0, 2_000_000), st.sampled_from([Fraction(30000, 1001), Fraction(60000, 1001)]))
def test_dropped_numbers_stay_with_the_clock(frames: int, rate: Fraction) -> None:
    """Drop-frame timecode is at most two frames beside the time of day (SMPTE ST 12-1)."""
    frames %= int(23 * 3600 * rate)
    found = moved("00:00:00;00", float(frames / rate), rate)
    assert found is not None
    hours, minutes, rest = found.split(":")
    second, frame = rest.split(";")
    told_s = int(hours) * 3600 + int(minutes) * 60 + int(second) + int(frame) / round(rate)
    assert abs(told_s - frames / rate) < 0.2


@given(st.lists(st.integers(0, 30), min_size=1, max_size=20))
def test_counted_frames_have_numbers_of_their_own(gaps: list[int]) -> None:
    pacer, time, numbers = FramePacer(Fraction(25), fills=True), Fraction(0), []
    for gap in gaps:
        numbers += list(pacer.numbers(time))
        time += Fraction(gap, 100)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    plain = FramePacer(Fraction(25), fills=False)
    assert [len(plain.numbers(Fraction(n, 25))) for n in (0, 1, 5)] == [1, 1, 1]
    assert replace(plain).last == 5
