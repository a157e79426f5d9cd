"""Damage in the middle: the end of the job, or skipped and counted with its places."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from keeprt.engine.errors import MediaError
from keeprt.engine.media import open_sink, open_source
from keeprt.engine.media.errors import TruncatedMediaError
from tests.engine.media.clips import Clip, make_clip
from tests.engine.media.test_reading import remuxed

COUNT = 50


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "whole.mp4"
    return make_clip(path, Clip(tuple(range(COUNT)), width=128, height=96))


def wiped(source: Path, path: Path, numbers: tuple[int, ...]) -> Path:
    """A copy in another container in which these packets of the picture hold nonsense."""
    with av.open(str(source)) as read, av.open(str(path), "w") as out:
        target = out.add_stream_from_template(read.streams.video[0])
        for number, packet in enumerate(p for p in read.demux(video=0) if p.dts is not None):
            body = bytes(packet)
            if number in numbers:
                body = body[:4] + bytes(255 - byte for byte in body[4:])
            new = av.Packet(body)
            new.pts, new.dts, new.duration = packet.pts, packet.dts, packet.duration
            new.time_base, new.is_keyframe = packet.time_base, packet.is_keyframe
            new.stream = target
            out.mux_one(new)
    return path


def without(path: Path, numbers: tuple[int, ...]) -> Path:
    """A transport stream that lost these packets of its picture."""
    data = path.read_bytes()
    split = [data[at : at + 188] for at in range(0, len(data), 188)]
    picture = [at for at, p in enumerate(split) if (p[1] & 31) << 8 | p[2] == 0x100]
    lost = {picture[number] for number in numbers}
    path.write_bytes(b"".join(p for at, p in enumerate(split) if at not in lost))
    return path


def damaged(whole: Path, tmp_path: Path, kind: str) -> Path:
    if kind.endswith(".ts"):
        return without(remuxed(whole, tmp_path / kind, ("video",)), (20, 21))
    return wiped(whole, tmp_path / kind, (10, 30))


@pytest.mark.parametrize("kind", ["a.mp4", "a.mkv", "a.ts"])
def test_damage_stops_or_is_skipped_with_its_places(whole: Path, tmp_path: Path, kind: str) -> None:
    path, out = damaged(whole, tmp_path, kind), tmp_path / "out.mkv"
    with (
        pytest.raises(TruncatedMediaError, match="--on-damage skip goes on") as caught,
        open_source(path) as video,
        open_sink(out, video) as sink,
    ):
        for frame in video:
            sink.write(frame)
    assert not out.exists()
    assert 0 <= caught.value.frames < COUNT
    with open_source(path, on_damage="skip") as video, open_sink(out, video) as sink:
        frames = 0
        for frame in video:
            sink.write(frame)
            frames += 1
        (note,) = video.notes()
    assert frames > COUNT // 2
    assert video.damage is not None and video.damage.count >= 1
    assert "damaged place" in note and "at frame " in note, note


@pytest.mark.parametrize("fragments", [False, True])
def test_what_is_encrypted_is_not_called_damaged(
    whole: Path, tmp_path: Path, fragments: bool
) -> None:
    options = {"movflags": "frag_keyframe+empty_moov"} if fragments else {}
    path = remuxed(
        whole,
        tmp_path / "locked.mp4",
        ("video",),
        encryption_scheme="cenc-aes-ctr",
        encryption_key="00112233445566778899aabbccddeeff",
        encryption_kid="a7e61c373e219033c21091fa607bf3b8",
        **options,
    )
    with pytest.raises(MediaError, match=r"(locked.mp4|scrambled.ts) is encrypted"):
        open_source(path)


def test_a_scrambled_transport_stream_is_not_called_damaged(whole: Path, tmp_path: Path) -> None:
    path = remuxed(whole, tmp_path / "scrambled.ts", ("video",))
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 188):
        if (data[at + 1] & 31) << 8 | data[at + 2] == 0x100:
            data[at + 3] |= 0x80
            body = at + (5 + data[at + 4] if data[at + 3] & 0x20 else 4)
            data[body : at + 188] = bytes(byte ^ 0x5A for byte in data[body : at + 188])
    path.write_bytes(data)
    with pytest.raises(MediaError, match=r"(locked.mp4|scrambled.ts) is encrypted"):
        open_source(path)


def test_sound_that_is_damaged_is_counted_too(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", Clip(tuple(range(25)), Fraction(1, 25), audio=True))
    path = tmp_path / "in.mkv"
    with av.open(str(source)) as read, av.open(str(path), "w") as out:
        pairs = {s.index: out.add_stream_from_template(s) for s in read.streams}
        for number, packet in enumerate(p for p in read.demux() if p.dts is not None):
            sound = packet.stream.type == "audio"
            new = av.Packet(bytes(100) if sound and number % 7 == 0 else bytes(packet))
            new.pts, new.dts, new.duration = packet.pts, packet.dts, packet.duration
            new.time_base, new.is_keyframe = packet.time_base, packet.is_keyframe
            new.stream = pairs[packet.stream.index]
            out.mux_one(new)
    with (
        open_source(path, on_damage="skip") as video,
        open_sink(tmp_path / "out.mp4", video, audio="aac") as sink,
    ):
        for frame in video:
            sink.write(frame)
    assert (tmp_path / "out.mp4").exists()


def test_sound_that_is_encrypted_is_not_copied_in_the_clear(whole: Path, tmp_path: Path) -> None:
    """The picture's track of one file, the encrypted sound of another."""
    source = make_clip(tmp_path / "in.mp4", Clip(tuple(range(25)), audio=True))
    locked = remuxed(
        source,
        tmp_path / "locked.mp4",
        ("audio",),
        encryption_scheme="cenc-aes-ctr",
        encryption_key="00112233445566778899aabbccddeeff",
        encryption_kid="a7e61c373e219033c21091fa607bf3b8",
    )
    out = tmp_path / "out.mp4"
    with (
        open_source(source) as video,
        pytest.raises(MediaError, match="is encrypted"),
        open_sink(out, video, source_path=locked) as sink,
    ):
        for frame in video:
            sink.write(frame)
    assert not out.exists()
