"""Bad input and broken runs: one clear line, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest

from keeprt.engine.errors import MediaError, UsageError
from keeprt.engine.media import (
    MediaNotFoundError,
    TruncatedMediaError,
    VideoInfo,
    open_sink,
    open_source,
    redact,
)
from tests.engine.media.clips import Clip, make_clip, picture, to_frame


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read(path: Path | str, **options: str) -> int:
    with open_source(path, **options) as frames:  # type: ignore[arg-type]
        return sum(1 for _ in frames)


def long_clip(path: Path, faststart: bool = False) -> Path:
    """Two seconds whose packets are large enough that a cut leaves some of them."""
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", container_options=options) as container:
        stream = container.add_stream("libx264", rate=25, width=160, height=120)
        stream.codec_context.options = {"crf": "1", "preset": "ultrafast", "g": "5"}
        for index in range(50):
            container.mux(stream.encode(to_frame(picture(index, 160, 120), "yuv420p")))
        container.mux(stream.encode(None))
    return path


def cut(path: Path, part: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    return path


def audio_only(path: Path) -> Path:
    whole = make_clip(path.with_name("whole.mp4"), Clip(audio=True))
    with av.open(str(whole)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    return path


def no_frames(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        container.add_stream("libx264", rate=25, width=64, height=48)
        container.start_encoding()
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "garbage": (lambda d: written(d / "a.mp4", bytes(range(256)) * 9), "cannot read .*a.mp4"),
    "empty": (lambda d: written(d / "a.mp4", b""), "cannot read .*a.mp4"),
    "text": (lambda d: written(d / "a.txt", b"hello\n" * 9), "a.txt"),
    "without moov": (lambda d: cut(long_clip(d / "a.mp4"), 0.6), "moov atom not found"),
    "sound only": (lambda d: audio_only(d / "a.m4a"), "a.m4a has no video stream"),
    "no frames": (lambda d: no_frames(d / "a.mp4"), "a.mp4"),
    "empty folder": (lambda d: d, "holds no images"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_one_clear_line(tmp_path: Path, kind: str) -> None:
    make, words = BAD[kind]
    source = make(tmp_path)
    with pytest.raises(MediaError, match=words) as caught:
        read(source)
    assert "\n" not in str(caught.value)


def test_no_such_file_is_also_the_built_in(tmp_path: Path) -> None:
    with pytest.raises(MediaNotFoundError, match=r"no such file.*nope\.mp4"):
        read(tmp_path / "nope.mp4")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nope.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_file_that_ends_early_says_how_far_it_went(tmp_path: Path, suffix: str) -> None:
    source = cut(long_clip(tmp_path / f"a{suffix}", faststart=suffix == ".mp4"), 0.6)
    output = tmp_path / "out.mp4"
    with (
        pytest.raises(TruncatedMediaError, match=r"(\d+) frames were decoded before") as caught,
        open_source(source) as frames,
        open_sink(output, frames.info) as sink,
    ):
        for frame in frames:
            sink.write(frame)
    assert 20 < caught.value.frames < 40
    assert names(tmp_path) == [source.name]
    assert caught.value.frames <= read(source, on_damage="skip") < 40


@pytest.mark.parametrize("missing", [5, 0.5])
def test_mp4_that_lacks_only_its_last_packets(tmp_path: Path, missing: float) -> None:
    source = long_clip(tmp_path / "a.mp4", faststart=True)
    with av.open(str(source)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    start, size = places[-max(1, int(missing))]
    assert start is not None
    source.write_bytes(source.read_bytes()[: start + (size // 2 if missing < 1 else 0)])
    with pytest.raises(TruncatedMediaError) as caught:
        read(source)
    assert 40 <= caught.value.frames < 50


def test_damaged_packet_is_an_error(tmp_path: Path) -> None:
    source = long_clip(tmp_path / "a.mkv")
    with av.open(str(source)) as container:
        packet = [p for p in container.demux(video=0) if p.size][25]
        where = source.read_bytes().find(bytes(packet))
    data = bytearray(source.read_bytes())
    data[where : where + packet.size] = bytes(packet.size)
    source.write_bytes(data)
    with pytest.raises(TruncatedMediaError, match=r"\d+ frames were decoded before"):
        read(source)
    assert read(source, on_damage="skip") >= 40


def test_change_of_size_names_the_frame(tmp_path: Path) -> None:
    small, large = tmp_path / "small.h264", tmp_path / "large.h264"
    for path, width in ((small, 64), (large, 128)):
        make_clip(path, Clip(pts=tuple(range(5)), width=width))
    mixed = written(tmp_path / "mixed.h264", small.read_bytes() + large.read_bytes())
    with pytest.raises(MediaError, match=r"frame 5 is 128x48.*before are 64x48"):
        read(mixed)


def test_credentials_never_show() -> None:
    url = "http://user:p@ss/w0rd@127.0.0.1:9/clip.mp4?token=abc#key"
    with pytest.raises(MediaError) as caught:
        read(url)
    message = str(caught.value)
    assert "http://***@127.0.0.1:9/clip.mp4?***" in message
    assert not any(word in message for word in ("user", "ss/w0rd", "token", "abc", "key"))
    assert redact("see rtsp://a:b@host/x and /tmp/y") == "see rtsp://***@host/x and /tmp/y"
    assert redact("udp://@:5000") == "udp://@:5000"  # nobody is named


def test_ffmpeg_does_not_write_to_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = cut(long_clip(tmp_path / "a.mp4", faststart=True), 0.6)
    with pytest.raises(MediaError):
        read(source)
    with (
        open_source(make_clip(tmp_path / "b.mp4")) as frames,
        open_sink(tmp_path / "c.mp4", frames.info, codec="libx265") as sink,
    ):
        for frame in frames:
            sink.write(frame)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("where", ["missing/out.mp4", "file/out.mp4", "/proc/out.mp4", "missing/o"])
def test_output_folder_that_cannot_be_written(tmp_path: Path, where: str) -> None:
    source = make_clip(tmp_path / "in.mp4")
    (tmp_path / "file").write_text("not a folder")
    with open_source(source) as frames, pytest.raises(MediaError, match="cannot write"):
        open_sink(tmp_path / where, frames.info)
    assert names(tmp_path) == ["file", "in.mp4"]


def test_output_must_not_be_the_input(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4")
    before = source.read_bytes()
    link = tmp_path / "link.mp4"
    link.symlink_to(source)
    with open_source(source) as frames:
        for target in (source, link):
            with pytest.raises(MediaError, match="is the input"):
                open_sink(target, frames.info)
    assert source.read_bytes() == before


def test_existing_output(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4")
    output = written(tmp_path / "out.mp4", b"precious")
    with open_source(source) as frames:
        with pytest.raises(MediaError, match="exists already"):
            open_sink(output, frames.info, overwrite=False)
        with pytest.raises(ZeroDivisionError), open_sink(output, frames.info) as sink:
            sink.write(next(iter(frames)))
            raise ZeroDivisionError
    assert output.read_bytes() == b"precious"
    assert names(tmp_path) == ["in.mp4", "out.mp4"]


@pytest.mark.parametrize("output", ["out.mp4", "images"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_interrupted_run_leaves_nothing(
    tmp_path: Path, output: str, error: type[BaseException]
) -> None:
    source = make_clip(tmp_path / "in.mp4", Clip(audio=True))
    with (
        pytest.raises(error),
        open_source(source) as frames,
        open_sink(tmp_path / output, frames.info) as sink,
    ):
        for frame in frames:
            sink.write(frame)
            if frame.index == 5:
                raise error
    assert names(tmp_path) == ["in.mp4"]


def test_no_frame_written_leaves_nothing(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4")
    with open_source(source) as frames:
        for name in ("out.mp4", "images"):
            with pytest.raises(MediaError, match="no frame was written"):
                open_sink(tmp_path / name, frames.info).close()
    assert names(tmp_path) == ["in.mp4"]


KILLED = """
import sys
from keeprt.engine.media import open_sink, open_source
with open_source(sys.argv[1]) as frames, open_sink(sys.argv[2], frames.info) as sink:
    frame = next(iter(frames))
    while True:
        sink.write(frame)
        frame.native.pts += 1
        print("written", flush=True)
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_killed_process_leaves_the_final_name_free(tmp_path: Path, sign: signal.Signals) -> None:
    source, output = make_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(source), str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    time.sleep(0.05)
    os.kill(process.pid, sign)
    process.stdout.close()
    assert process.wait(20) != 0
    assert not output.exists()
    if sign is signal.SIGINT:
        assert names(tmp_path) == ["in.mp4"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"codec": "nonsense"}, "no video encoder"),
        ({"codec": "aac"}, "is no video encoder"),
        ({"crf": 18, "bitrate": 1000}, "not both"),
        ({"codec": "ffv1", "crf": 18}, "has no CRF"),
        ({"pixel_format": "rgb24"}, "does not take rgb24"),
    ],
)
def test_options_that_cannot_be_honoured(
    tmp_path: Path, options: dict[str, object], words: str
) -> None:
    like = VideoInfo(tmp_path, 64, 48, "yuv420p", 8, Fraction(1, 25))
    with pytest.raises(UsageError, match=words):
        open_sink(tmp_path / "o.mkv", like, copy_streams=False, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"cannot write \.avi"):
        open_sink(tmp_path / "o.avi", like)
    assert names(tmp_path) == []


def test_picture_of_another_size_or_type_is_refused(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4")
    with open_source(source) as frames, open_sink(tmp_path / "o.mp4", frames.info) as sink:
        for frame in frames:
            with pytest.raises(UsageError, match=r"shape \(48, 64, 3\)"):
                sink.write_rgb(picture(0, 32, 32), frame)
            with pytest.raises(UsageError, match="float32"):
                sink.write_rgb(frame.rgb().astype("float32"), frame)  # type: ignore[arg-type]
            sink.write(frame)
