"""What becomes of sound, subtitles, data, covers and chapters: decided before any work."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from keeprt.engine.errors import MediaError, UsageError
from keeprt.engine.media import open_sink, open_source
from keeprt.engine.media.reading.programmes import programmes_in
from keeprt.engine.media.streams.chapters import kept_chapters
from tests.engine.media.clips import Clip, make_clip, packets
from tests.fidelity import sources

COUNT = 25


def copied(source: Path, out: Path, **options: object) -> list[str]:
    """Writes every frame of `source` to `out`; gives what the sink says is lost."""
    part = {k: options.pop(k) for k in ("start_s", "duration_s", "programme") if k in options}
    trim = {k: v for k, v in part.items() if k != "programme"}
    with (
        open_source(source, **part) as video,  # type: ignore[arg-type]
        open_sink(out, video, **options, **trim) as sink,  # type: ignore[arg-type]
    ):
        for frame in video:
            sink.write(frame)
    return sink.losses


def kinds(path: Path) -> list[tuple[str, str]]:
    with av.open(str(path)) as container:
        return [
            (s.type, s.codec_context.name if s.codec_context else "") for s in container.streams
        ]


def with_sound(path: Path, codec: str, layout: str = "stereo", count: int = 1) -> Path:
    """A clip with `count` sound streams of this codec, of different pitch."""
    picture = "mpeg4" if path.suffix == ".avi" else "libx264"
    clip = make_clip(path.with_name("picture.mp4"), Clip(pts=tuple(range(COUNT)), codec=picture))
    with av.open(str(clip)) as read, av.open(str(path), "w") as out:
        video = out.add_stream_from_template(read.streams.video[0])
        sounds = [out.add_stream(codec, rate=48000, layout=layout) for _ in range(count)]
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                out.mux_one(packet)
        for number, sound in enumerate(sounds):
            wave = np.sin(np.arange(48000) * 0.02 * (number + 1)) * 9000
            block = np.stack([wave, wave]).astype(np.int16).T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
            out.mux(sound.encode(frame))
            out.mux(sound.encode(None))
    return path


@pytest.mark.parametrize(
    ("codec", "suffix"), [("pcm_s16le", ".ts"), ("flac", ".ts"), ("alac", ".ts"), ("mp2", ".webm")]
)
def test_sound_that_nobody_could_play_is_refused_before_the_work(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    source = with_sound(tmp_path / "in.mkv", codec)
    out = tmp_path / f"out{suffix}"
    with pytest.raises(MediaError, match=rf"{codec} sound.*write a \.mkv file.*--audio none"):
        copied(source, out)
    assert not out.exists()
    assert copied(source, out, audio="none") == []
    assert [kind for kind, _ in kinds(out)] == ["video"]


@pytest.mark.parametrize(
    ("codec", "suffix"), [("pcm_s16le", ".mp4"), ("mp3", ".ts"), ("ac3", ".ts")]
)
def test_sound_that_fits_is_copied(tmp_path: Path, codec: str, suffix: str) -> None:
    source = with_sound(tmp_path / "in.mov", codec)
    out = tmp_path / f"out{suffix}"
    assert copied(source, out) == []
    assert b"".join(p[2] for p in packets(out, "audio")) == b"".join(
        p[2] for p in packets(source, "audio")
    )


@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".mkv"])
def test_sound_is_encoded_where_that_was_asked_for(tmp_path: Path, suffix: str) -> None:
    source = with_sound(tmp_path / "in.mkv", "pcm_s16le")
    out = tmp_path / f"out{suffix}"
    copied(source, out, audio="aac")
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert 47000 < samples < 52000


def test_streams_are_chosen_by_number(tmp_path: Path) -> None:
    source = with_sound(tmp_path / "in.mkv", "mp2", count=3)
    copied(source, tmp_path / "two.mkv", audio="0,2")
    assert len([kind for kind, _ in kinds(tmp_path / "two.mkv") if kind == "audio"]) == 2
    with pytest.raises(UsageError, match="3 sound streams"):
        copied(source, tmp_path / "out.mkv", audio="3")
    with pytest.raises(UsageError, match="copy, aac, none"):
        copied(source, tmp_path / "out.mkv", audio="mp3")


def test_pcm_without_places_of_its_channels(tmp_path: Path) -> None:
    """AVI says only how many channels there are; MP4 wants to know where they stand."""
    source = with_sound(tmp_path / "in.avi", "pcm_s16le")
    assert copied(source, tmp_path / "out.mp4") == []
    assert kinds(tmp_path / "out.mp4")[1] == ("audio", "pcm_s16le")


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mp4"])
def test_sound_that_never_comes_ends_no_job(tmp_path: Path, suffix: str) -> None:
    source, out = sources.announced(tmp_path / "in"), tmp_path / f"out{suffix}"
    losses = copied(source, out)
    assert len(list(packets(out, "video"))) == sources.COUNT
    assert ("audio", "mp2") in kinds(out) or any("stream 1" in line for line in losses)


@pytest.mark.parametrize("codec", ["dvb_teletext", "dvb_subtitle", "hdmv_pgs_subtitle"])
@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mp4"])
def test_subtitles_that_are_no_text_are_kept_or_named(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    source, out = sources.text(tmp_path / "in", codec), tmp_path / f"out{suffix}"
    losses = copied(source, out)
    assert len(list(packets(out, "video"))) == sources.COUNT
    kept = [name for kind, name in kinds(out) if kind == "subtitle"]
    assert bool(kept) != any("stream 1" in line for line in losses)


def test_text_that_a_transport_stream_cannot_hold_is_named(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", Clip(subtitles=((0, 300, "Hello"),)))
    assert any("subrip subtitle" in loss for loss in copied(source, tmp_path / "out.ts"))
    assert copied(source, tmp_path / "out.ts", subtitles="none") == []


def attached(tmp_path: Path) -> Path:
    """Matroska with a cover and a font."""
    clip = make_clip(tmp_path / "clip.mp4", Clip(pts=tuple(range(COUNT))))
    jpeg = tmp_path / "cover.jpg"
    make_clip(jpeg, Clip(pts=(0,), codec="mjpeg", pixel_format="yuvj420p"))
    path = tmp_path / "attached.mkv"
    with av.open(str(clip)) as read, av.open(str(path), "w") as out:
        video = out.add_stream_from_template(read.streams.video[0])
        out.add_attachment("cover.jpg", "image/jpeg", jpeg.read_bytes())
        out.add_attachment("a.ttf", "application/x-truetype-font", b"no font")
        out.set_chapters(
            [
                chapter(1, 0, 400, "One"),
                chapter(2, 400, 1000, "Two"),
            ]
        )
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                out.mux_one(packet)
    return path


def chapter(number: int, start: int, end: int, title: str) -> dict[str, object]:
    return {
        "id": number,
        "start": start,
        "end": end,
        "time_base": Fraction(1, 1000),
        "metadata": {"title": title},
    }


def test_covers_fonts_and_chapters_are_kept_where_they_can_be(tmp_path: Path) -> None:
    source = attached(tmp_path)
    assert copied(source, tmp_path / "out.mkv") == []
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert sorted(s.type for s in container.streams) == ["attachment", "video", "video"]
        assert [c["metadata"]["title"] for c in container.chapters()] == ["One", "Two"]
    losses = copied(source, tmp_path / "out.mp4")
    assert len(losses) == 1 and "attachment" in losses[0], "MP4 keeps the cover, not the font"
    assert [kind for kind, _ in kinds(tmp_path / "out.mp4")].count("video") == 2
    losses = copied(source, tmp_path / "out.ts")
    assert len(losses) == 3 and losses[2] == "2 chapters: a .ts cannot hold them"


def test_chapters_of_a_part_are_cut_to_it() -> None:
    chapters = [chapter(1, 0, 400, "One"), chapter(2, 400, 1000, "Two")]
    kept = kept_chapters(chapters, 0.5, 0.8, 0.5)  # type: ignore[arg-type]
    assert [(c["start"], c["end"], c["metadata"]["title"]) for c in kept] == [(0, 300, "Two")]


def crc(data: bytes) -> bytes:
    """The check sum of a section, ISO/IEC 13818-1 annex A."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 1 << 31 else value << 1) & 0xFFFFFFFF
    return value.to_bytes(4, "big")


def table(pid: int, kind: int, number: int, body: bytes) -> bytes:
    """One packet that holds one section."""
    length = len(body) + 9
    section = bytes([kind, 0xB0 | length >> 8, length & 255, number >> 8, number & 255])
    section += b"\xc1\0\0" + body
    packet = bytes([0x47, 0x40 | pid >> 8, pid & 255, 0x10, 0]) + section + crc(section)
    return packet.ljust(188, b"\xff")


def two_programmes(tmp_path: Path) -> Path:
    """Two pictures with sound, and tables that say what belongs together."""
    path = tmp_path / "plain.ts"
    one, two = (
        make_clip(tmp_path / f"{n}.mp4", Clip(pts=tuple(range(COUNT)), audio=True)) for n in "12"
    )
    with av.open(str(path), "w") as out, av.open(str(one)) as a, av.open(str(two)) as b:
        pairs = [(s, out.add_stream_from_template(s)) for c in (a, b) for s in c.streams]
        for source, target in pairs:
            for packet in source.container.demux(source):  # type: ignore[attr-defined]
                if packet.dts is not None:
                    packet.stream = target
                    out.mux_one(packet)
            source.container.seek(0)  # type: ignore[attr-defined]
    data = path.read_bytes()
    split = (data[at : at + 188] for at in range(0, len(data), 188))
    media = b"".join(p for p in split if (p[1] & 31) << 8 | p[2] not in (0, 0x11, 0x1000))

    def programme(number: int, pid: int, video: int, sound: int) -> bytes:
        rows = bytes([0xE0 | video >> 8, video & 255, 0xF0, 0])
        rows += b"".join(
            bytes([kind, 0xE0 | one >> 8, one & 255, 0xF0, 0])
            for kind, one in ((0x1B, video), (0x0F, sound))
        )
        return table(pid, 2, number, rows)

    association = b"\0\1\xf0\0\0\2\xf0\1"
    tables = table(0, 0, 1, association) + programme(1, 0x1000, 0x100, 0x101)
    tables += programme(2, 0x1001, 0x102, 0x103)
    result = tmp_path / "two.ts"
    result.write_bytes(tables + media)
    return result


def test_one_programme_of_several_is_taken(tmp_path: Path) -> None:
    source = two_programmes(tmp_path)
    found = programmes_in(source.read_bytes())
    assert [(p.number, sorted(p.pids)) for p in found] == [(1, [0x100, 0x101]), (2, [0x102, 0x103])]
    for programme in (None, 2):
        out = tmp_path / f"out {programme}.mp4"
        losses = copied(source, out, programme=programme)
        assert [kind for kind, _ in kinds(out)] == ["video", "audio"]
        assert len(losses) == 2 and all("programme" in loss for loss in losses)
    with pytest.raises(UsageError, match="no programme 7; it has 1, 2"):
        open_source(source, programme=7)
