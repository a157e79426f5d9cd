"""Every frame of any file, from any place in it, by any name: nothing is lost in silence."""

from __future__ import annotations

import os
import threading
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import av
import numpy as np
import pytest

from keeprt.engine.errors import MediaError, UsageError
from keeprt.engine.media import open_sink, open_source
from tests.engine.media.clips import Clip, make_clip, picture, to_frame

COUNT = 30


def seen(path: Path | str, **options: object) -> list[float]:
    with open_source(path, **options) as video:  # type: ignore[arg-type]
        return [frame.time_s for frame in video]


def steps(times: list[float]) -> set[float]:
    return {round(b - a, 4) for a, b in pairwise(times)}


def remuxed(source: Path, target: Path, order: tuple[str, ...], **options: str) -> Path:
    """The packets of `source` in another container, its streams in this order."""
    with (
        av.open(str(source)) as read,
        av.open(f"file:{target}", "w", container_options=options) as out,
    ):
        kept = [next(s for s in read.streams if s.type == kind) for kind in order]
        targets = {s.index: out.add_stream_from_template(s) for s in kept}
        for packet in read.demux(kept):
            if packet.dts is not None:
                packet.stream = targets[packet.stream.index]
                out.mux_one(packet)
    return target


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reading")
    return make_clip(folder / "clip.mp4", Clip(pts=tuple(range(COUNT)), audio=True))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_all_frames_come_where_sound_is_the_first_stream(
    clip: Path, tmp_path: Path, suffix: str
) -> None:
    path = remuxed(clip, tmp_path / f"in{suffix}", ("audio", "video"))
    assert len(seen(path)) == COUNT


def test_a_data_stream_is_not_decoded(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "data.ts"
    with av.open(str(clip)) as read, av.open(str(path), "w") as out:
        video = out.add_stream_from_template(read.streams.video[0])
        data = out.add_data_stream("klv")
        for number, packet in enumerate(read.demux(read.streams.video[0])):
            if packet.dts is None:
                continue
            packet.stream = video
            out.mux_one(packet)
            if number % 10 == 0:
                note = av.Packet(bytes.fromhex("060e2b34020b01010e01030101000000") + b"\x01a")
                note.stream, note.time_base = data, Fraction(1, 90000)
                note.pts = note.dts = number * 3600
                out.mux_one(note)
    assert len(seen(path)) == COUNT


def test_an_attachment_is_not_decoded(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "font.mkv"
    with av.open(str(clip)) as read, av.open(str(path), "w") as out:
        video = out.add_stream_from_template(read.streams.video[0])
        out.add_attachment("a.ttf", "application/x-truetype-font", b"no font")
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                out.mux_one(packet)
    assert len(seen(path)) == COUNT


def joined(tmp_path: Path, first_s: float, second_s: float) -> Path:
    """Two transport streams one after the other, whose clocks begin at these times."""
    parts = []
    for number, begin_s in enumerate((first_s, second_s)):
        clip = make_clip(tmp_path / f"{number}.mp4", Clip(pts=tuple(range(COUNT)), audio=True))
        part = tmp_path / f"{number}.ts"
        remuxed(clip, part, ("video", "audio"), output_ts_offset=str(begin_s))
        parts.append(part.read_bytes())
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    return path


@pytest.mark.parametrize("begins", [(0.0, 0.0), (500.0, 20.0), (20.0, 500.0), (95443.0, 900.0)])
def test_recordings_that_were_joined_follow_each_other(
    tmp_path: Path, begins: tuple[float, float]
) -> None:
    times = seen(joined(tmp_path, *begins))
    assert len(times) == 2 * COUNT and steps(times) == {0.04}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_wrapped_clock_gives_times_that_grow(clip: Path, tmp_path: Path, suffix: str) -> None:
    source = remuxed(clip, tmp_path / "in.ts", ("video", "audio"), output_ts_offset="95443.1")
    out = tmp_path / f"out{suffix}"
    with open_source(source) as video, open_sink(out, video) as sink:
        for frame in video:
            sink.write(frame)
    times = seen(out)
    assert len(times) == COUNT and steps(times) == {0.04} and times[0] < 2


def test_avi_has_its_frames_in_the_order_in_which_they_are_shown(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "b.avi", Clip(pts=tuple(range(COUNT))))
    with open_source(path) as video:
        shades = [float(frame.rgb()[:, :, 2].mean()) for frame in video]
        wanted = [float(picture(n, 64, 48)[:, :, 2].mean()) for n in range(COUNT)]
    assert steps(seen(path)) == {0.04}
    assert np.abs(np.subtract(shades, wanted)).max() < 3


def test_times_that_matroska_lacks_are_counted_back(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "below.mkv"
    with (
        av.open(str(clip)) as read,
        av.open(str(path), "w", container_options={"avoid_negative_ts": "disabled"}) as out,
    ):
        target = out.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.pts -= 12 * (packet.duration or 0)
                packet.dts -= 12 * (packet.duration or 0)
                packet.stream = target
                out.mux_one(packet)
    out_path = tmp_path / "out.mkv"
    with open_source(path) as video, open_sink(out_path, video) as sink:
        for frame in video:
            sink.write(frame)
    assert steps(seen(out_path)) == {0.04} and len(seen(out_path)) == COUNT


def raw(clip: Path, path: Path, codec_filter: str) -> Path:
    """An elementary stream: no container, no times."""
    with av.open(str(clip)) as read, path.open("wb") as out:
        stream = read.streams.video[0]
        filtered = av.bitstream.BitStreamFilterContext(codec_filter, stream)
        for packet in read.demux(stream):
            for one in filtered.filter(packet if packet.dts is not None else None):
                out.write(bytes(one))
    return path


@pytest.mark.parametrize("kind", ["long.ts", "long.mkv", "long.mp4", "raw.h264", "pipe.ts"])
def test_the_middle_begins_where_it_was_asked_for(tmp_path: Path, kind: str) -> None:
    clip = make_clip(tmp_path / "clip.mp4", Clip(pts=tuple(range(100)), audio=True))
    path = tmp_path / kind
    if kind == "raw.h264":
        raw(clip, path, "h264_mp4toannexb")
    elif kind == "pipe.ts":
        feed(remuxed(clip, tmp_path / "a.ts", ("video", "audio")), path)
    else:
        remuxed(clip, path, ("video", "audio"))
    with open_source(path, start_s=2.4, duration_s=0.4) as video:
        frames = [(round(f.time_s - video.info.start_s, 3), f.rgb()) for f in video]
    assert [time for time, _ in frames] == pytest.approx([2.4 + n * 0.04 for n in range(10)])
    wanted = picture(60, 64, 48).astype(int)
    assert np.abs(frames[0][1].astype(int) - wanted).mean() < 8


def feed(source: Path, pipe: Path) -> None:
    """Writes a file into a new FIFO, in a thread."""
    os.mkfifo(pipe)
    data = source.read_bytes()

    def write() -> None:
        with pipe.open("wb") as out:
            out.write(data)

    threading.Thread(target=write, daemon=True).start()


@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
def test_a_pipe_is_read_once_with_its_sound(clip: Path, tmp_path: Path, suffix: str) -> None:
    pipe = tmp_path / f"pipe{suffix}"
    feed(remuxed(clip, tmp_path / f"in{suffix}", ("video", "audio")), pipe)
    out = tmp_path / "out.mkv"
    with open_source(pipe) as video, open_sink(out, video) as sink:
        for frame in video:
            sink.write(frame)
    with av.open(str(out)) as container:
        assert [s.type for s in container.streams] == ["video", "audio"]
        assert len(list(container.decode(audio=0))) > 40
    assert len(seen(out)) == COUNT


@pytest.mark.parametrize("name", ["Interview: Part 2.mp4", "30:00:00.mp4", "a%03d.mp4", "[b].mp4"])
def test_names_are_names(clip: Path, tmp_path: Path, name: str) -> None:
    source, out = tmp_path / name, tmp_path / f"out {name}"
    source.write_bytes(clip.read_bytes())
    with open_source(source) as video, open_sink(out, video) as sink:
        for frame in video:
            sink.write(frame)
    assert len(seen(out)) == COUNT
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, f"out {name}"])


class Served(SimpleHTTPRequestHandler):
    """The files of a folder, asked for without a word on stderr."""

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.mark.parametrize("name", ["a.ts", "my clip.mkv"])
def test_an_address_is_read_like_a_file(
    clip: Path, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    remuxed(clip, tmp_path / name, ("audio", "video"))
    handler = partial(Served, directory=str(tmp_path))
    out = tmp_path / "out.mkv"
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_port}"
        url = f"http://user:s3cret@{host}/{quote(name)}?token=t0ken"
        with open_source(url) as video, open_sink(out, video) as sink:
            for frame in video:
                sink.write(frame)
            said = [*video.notes(), *sink.losses]
        server.shutdown()
    assert len(seen(out)) == COUNT
    with av.open(str(out)) as container:
        assert len(list(container.decode(audio=0))) > 40
    assert "s3cret" not in f"{caplog.text}{said}" and "t0ken" not in f"{caplog.text}{said}"


def test_an_address_shows_no_credentials() -> None:
    with pytest.raises(MediaError) as caught:
        open_source("http://user:s3cret@127.0.0.1:9/a.mp4?token=s3cret")
    assert "s3cret" not in str(caught.value) and "127.0.0.1" in str(caught.value)


def test_an_encrypted_file_is_said_to_be_encrypted(clip: Path, tmp_path: Path) -> None:
    path = remuxed(
        clip,
        tmp_path / "locked.mp4",
        ("video",),
        encryption_scheme="cenc-aes-ctr",
        encryption_key="76a6c65c5ea762046bd749a2e632ccbb",
        encryption_kid="a7e61c373e219033c21091fa607bf3b8",
    )
    with pytest.raises(MediaError, match=r"locked.mp4 is encrypted"):
        open_source(path)


def test_damage_is_counted_where_it_is_skipped(clip: Path, tmp_path: Path) -> None:
    path = remuxed(clip, tmp_path / "in.mkv", ("video",))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_source(path, on_damage="skip") as video:
        frames = sum(1 for _ in video)
        assert 0 < frames < COUNT
        assert video.damage is not None and video.damage.count >= 1
        assert any("damaged place" in note for note in video.notes())
    with pytest.raises(UsageError, match="on_damage"):
        open_source(path, on_damage="ignore")  # type: ignore[arg-type]


def test_a_link_is_written_through(clip: Path, tmp_path: Path) -> None:
    link, real = tmp_path / "link.mp4", tmp_path / "real.mp4"
    link.symlink_to(real)
    with open_source(clip) as video, open_sink(link, video) as sink:
        for frame in video:
            sink.write(frame)
    assert link.is_symlink() and len(seen(real)) == COUNT


def test_a_change_of_aspect_is_told(tmp_path: Path) -> None:
    data = b""
    for number, aspect in enumerate((Fraction(12, 11), Fraction(16, 11))):
        part = tmp_path / f"{number}.mp4"
        make_clip(part, Clip(pts=tuple(range(25)), aspect=aspect))
        data += remuxed(part, tmp_path / f"{number}.ts", ("video",)).read_bytes()
    path = tmp_path / "aspects.ts"
    path.write_bytes(data)
    with open_source(path) as video:
        assert sum(1 for _ in video) == 50
        assert any("aspect" in note for note in video.notes())


def test_a_frame_of_another_matrix_keeps_its_colour(tmp_path: Path) -> None:
    """The output has one matrix for all: a frame that was coded with another is recoded."""
    rgb = picture(0, 64, 48)
    clip = make_clip(tmp_path / "in.mp4", Clip(pts=(0, 1), colour=(1, 1, 1, 1)))
    out = tmp_path / "out.mkv"
    with open_source(clip) as video, open_sink(out, video, crf=1) as sink:
        for frame in video:
            other = to_frame(rgb, "rgb24").reformat(
                format="yuv444p", src_colorspace=0, dst_colorspace=5, dst_color_range=1
            )
            other.colorspace, other.color_range = 5, 1
            other.pts, other.time_base = frame.native.pts, frame.native.time_base
            sink.write(other)
    with open_source(out) as video:
        first = next(iter(video))
        assert first.colour.matrix == 1
        assert np.abs(first.rgb().astype(int) - rgb).mean() < 3
