"""Side data that PyAV cannot hold do not bring the process down, nor hide those that it can."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import av
import pytest

from keeprt.engine.media import open_source
from keeprt.engine.media.image_tags import with_profile
from keeprt.engine.media.info import Orientation
from tests.engine.media.clips import Clip, make_clip

COUNT = 8
_READ_ALL = """
import gc, sys
from keeprt.engine.media import open_source
for turn in range(5):
    with open_source(sys.argv[1]) as video:
        frames = sum(1 for frame in video)
    del video
    gc.collect()
print(frames)
"""


def png(profile: bytes) -> bytes:
    """A black picture of 64x48 with an ICC profile."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress((b"\0" + bytes(64 * 3)) * 48))
    return with_profile(b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b""), profile)


def turned_jpeg(path: Path, orientation: int) -> bytes:
    """A photo whose EXIF says how it was held."""
    make_clip(path, Clip(pts=(0,), codec="mjpeg", pixel_format="yuvj420p"))
    tag = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + struct.pack(
        ">HHI", orientation, 0, 0
    )
    body = b"Exif\0\0" + tag
    jpeg = path.read_bytes()
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def video_of(image: bytes, path: Path, suffix: str) -> Path:
    """A video each frame of which is this file."""
    still = path.with_name(f"still{suffix}")
    still.write_bytes(image)
    with av.open(str(still)) as read, av.open(str(path), "w") as out:
        target = out.add_stream_from_template(read.streams.video[0])
        packet = next(read.demux(video=0))
        for number in range(COUNT):
            copy = av.Packet(bytes(packet))
            copy.pts = copy.dts = number * 40
            copy.time_base, copy.duration = Fraction(1, 1000), 40
            copy.stream = target
            out.mux_one(copy)
    return path


@pytest.mark.parametrize("size", [10, 500_000])
def test_an_icc_profile_does_not_end_the_process(tmp_path: Path, size: int) -> None:
    path = video_of(png(bytes(size)), tmp_path / "icc.mov", ".png")
    command = [sys.executable, "-X", "faulthandler", "-c", _READ_ALL, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, str(COUNT)), done.stderr


@pytest.mark.parametrize("orientation", [3, 5, 6])
def test_exif_does_not_hide_the_turn_nor_the_mirror(tmp_path: Path, orientation: int) -> None:
    jpeg = turned_jpeg(tmp_path / "photo.jpg", orientation)
    path = video_of(jpeg, tmp_path / "photos.mkv", ".jpg")
    upright = {3: Orientation(False, True, True), 5: Orientation(True), 6: Orientation(True, True)}
    with open_source(path) as video:
        assert video.info.orientation == upright[orientation]
        assert sum(1 for _ in video) == COUNT
