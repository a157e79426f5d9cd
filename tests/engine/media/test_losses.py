"""What an encoder or container cannot mean is converted so that it looks the same, and named."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from keeprt.engine.errors import MediaError
from keeprt.engine.media import open_source
from keeprt.engine.media.writing.pacing import FramePacer, counted_rate
from tests.engine.live.ts.streams import stream as cues
from tests.engine.media.clips import Clip, make_clip, psnr, times
from tests.engine.media.test_signalling import encoded, written

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("codec", "suffix", "told"),
    [
        ("libx264", ".mp4", "12 bits a sample: libx264 codes yuv444p10le"),
        ("libvpx-vp9", ".webm", "12 bits a sample: libvpx-vp9 codes yuv444p"),
        ("mjpeg", ".mov", "12 bits a sample: mjpeg codes yuv444p"),
        ("ffv1", ".mkv", None),
    ],
)
def test_depth_that_is_lost_is_named(
    tmp_path: Path, codec: str, suffix: str, told: str | None
) -> None:
    source = encoded(tmp_path / "in.mkv", "ffv1", "yuv444p12le", 2)
    losses = written(source, tmp_path / f"out{suffix}", codec=codec)
    assert (told in losses) if told else not losses


@pytest.mark.parametrize("colour", [(1, 2, 1, 1), (6, 1, 6, 6), (9, 2, 9, 14)])
@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("prores", ".mov"),
        ("mpeg2video", ".ts"),
        ("dnxhd", ".mov"),
        ("mjpeg", ".mov"),
        ("v210", ".mov"),
    ],
)
def test_range_and_matrix_that_an_encoder_cannot_mean_look_the_same(
    tmp_path: Path, codec: str, suffix: str, colour: tuple[int, int, int, int]
) -> None:
    source = make_clip(tmp_path / "in.mp4", Clip((0, 1), width=256, height=144, colour=colour))
    out = tmp_path / f"out{suffix}"
    losses = written(source, out, codec=codec)
    with open_source(source) as one, open_source(out) as two:
        before, after = one.info.colour.meaning(144), two.info.colour.meaning(144)
        assert (before == after) == (not any("converted" in loss for loss in losses))
        assert psnr(next(iter(one)).rgb(), next(iter(two)).rgb()) > 30


@pytest.mark.parametrize(
    ("codec", "suffix", "said"),
    [
        ("ffv1", ".mkv", False),
        ("libvpx-vp9", ".webm", False),
        ("mpeg2video", ".ts", False),
        ("libx264", ".mkv", True),
        ("prores", ".mov", True),
    ],
)
def test_an_aspect_is_kept_or_named(tmp_path: Path, codec: str, suffix: str, said: bool) -> None:
    aspect = Fraction(16, 11)
    source = make_clip(tmp_path / "in.mp4", Clip((0, 1), width=256, height=144, aspect=aspect))
    out = tmp_path / f"out{suffix}"
    losses = written(source, out, codec=codec)
    with open_source(out) as video:
        assert (video.info.sample_aspect_ratio == aspect) == said
    assert any("aspect" in loss for loss in losses) != said


@pytest.mark.parametrize(
    ("codec", "suffix", "kept"),
    [
        ("libvpx-vp9", ".webm", False),
        ("libx265", ".mkv", False),
        ("prores", ".mov", True),
        ("ffv1", ".mkv", True),
    ],
)
def test_alpha_that_nobody_reads_is_not_written(
    tmp_path: Path, codec: str, suffix: str, kept: bool
) -> None:
    source = encoded(tmp_path / "in.mkv", "ffv1", "yuva420p", 2)
    losses = written(source, tmp_path / f"out{suffix}", codec=codec)
    with open_source(tmp_path / f"out{suffix}") as video:
        assert video.info.has_alpha == kept
    assert any("alpha" in loss for loss in losses) != kept


def test_a_title_that_has_no_place_is_named(tmp_path: Path) -> None:
    source, out = tmp_path / "in.mkv", tmp_path / "out.mkv"
    with av.open(str(source), "w") as container:
        container.metadata["title"] = "A clip"
        stream = container.add_stream("libx264", rate=25, width=64, height=48)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    assert written(source, out) == []
    with av.open(str(out)) as container:
        assert container.metadata["title"] == "A clip"
    assert written(source, tmp_path / "out.ts") == ["the tags title: a .ts cannot hold them"]


def test_a_timecode_in_matroska_is_read_too(tmp_path: Path) -> None:
    source = tmp_path / "in.mov"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=64, height=48)
        stream.metadata["timecode"] = "10:00:00:00"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    for before, after in ((source, "a.mkv"), (tmp_path / "a.mkv", "b.mov")):
        written(before, tmp_path / after)
        with open_source(tmp_path / after) as video:
            assert video.info.timecode == "10:00:00:00"


def test_cues_for_splicing_are_named_and_end_no_job(tmp_path: Path) -> None:
    source = tmp_path / "in.ts"
    source.write_bytes(cues(25))
    for suffix in (".ts", ".mkv", ".mp4"):
        losses = written(source, tmp_path / f"out{suffix}")
        assert [f"stream 2: it is SCTE-35, which a {suffix} cannot hold"] == losses
        with av.open(str(tmp_path / f"out{suffix}")) as container:
            assert [s.type for s in container.streams] == ["video", "audio"]


@pytest.mark.parametrize(
    ("average", "base", "standard_only", "rate"),
    [
        (Fraction(25), Fraction(50), True, Fraction(25)),
        (Fraction(360000, 12211), NTSC, True, NTSC),
        (Fraction(2997, 100), Fraction(1000), False, NTSC),
        (Fraction(300, 17), Fraction(25), False, Fraction(25)),
        (Fraction(15), Fraction(15), False, Fraction(15)),
        (Fraction(15), Fraction(15), True, Fraction(24000, 1001)),
        (Fraction(120), Fraction(120), True, Fraction(60)),
    ],
)
def test_the_rate_at_which_frames_are_counted(
    average: Fraction, base: Fraction, standard_only: bool, rate: Fraction
) -> None:
    assert counted_rate(average, base, standard_only) == rate


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("mpeg2video", ".ts"), ("mpeg4", ".mp4"), ("dnxhd", ".mov"), ("auto", ".mxf")],
)
def test_frames_of_television_keep_their_times_where_frames_are_counted(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    pts = tuple(range(0, 12012, 1001))
    clip = Clip(pts, Fraction(1, 30000), width=256, height=144, colour=(1, 1, 1, 1))
    source = make_clip(tmp_path / "in.mp4", clip)
    assert written(source, tmp_path / f"out{suffix}", codec=codec) == []
    shown = times(tmp_path / f"out{suffix}")
    assert np.allclose(
        [float(t - shown[0]) for t in shown], [n * 1001 / 30000 for n in range(12)], atol=1e-4
    )


def test_a_pause_of_a_day_is_not_filled_with_frames(tmp_path: Path) -> None:
    clip = Clip((0, 40, 80, 90_000_000), Fraction(1, 1000))
    source = make_clip(tmp_path / "in.mkv", clip)
    with pytest.raises(MediaError, match="stands still for 90000 s"):
        written(source, tmp_path / "out.mxf")
    assert written(source, tmp_path / "out.mkv") == []


def test_a_time_that_is_moved_by_a_part_of_a_frame_is_counted() -> None:
    pacer = FramePacer(Fraction(25), fills=False)
    for time_s in ("0", "0.04", "0.088", "0.1", "0.16"):
        pacer.numbers(Fraction(time_s))
    assert pacer.moved == 1


def test_sound_that_images_cannot_hold_is_named(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", Clip(audio=True))
    assert written(source, tmp_path / "out") == ["the sound: a folder of images holds none"]
    assert written(source, tmp_path / "quiet", audio="none") == []


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_hevc_of_a_frame_or_two_has_decoding_times(tmp_path: Path, count: int, suffix: str) -> None:
    source = make_clip(tmp_path / "in.mp4", Clip(tuple(range(count))))
    for number in range(4):  # what x265 leaves there is a matter of luck
        out = tmp_path / f"{number}{suffix}"
        assert written(source, out, codec="libx265") == []
        with av.open(str(out)) as container:
            packets = [p for p in container.demux(video=0) if p.size]
        assert len(packets) == count
        assert all(abs((p.pts - (p.dts or 0)) * p.time_base) < 1 for p in packets)
