"""Folders of images, in and out."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from keeprt.engine.errors import MediaError
from keeprt.engine.media import open_sink, open_source

from .clips import Clip, make_clip, picture, psnr


def save(path: Path, rgb: np.ndarray) -> None:
    assert cv2.imwrite(str(path), rgb[..., ::-1])


def test_round_trip_keeps_names_order_and_pixels(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for index in (1, 2, 10):
        save(folder / f"frame{index}.png", picture(index, 63, 47))
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"no image")
    with open_source(folder) as frames, open_sink(tmp_path / "out", frames.info) as sink:
        assert frames.info.frame_count == 3
        assert [p.name for p in tmp_path.iterdir() if p.name == "out"] == []
        for number, frame in zip((1, 2, 10), frames, strict=True):
            assert np.array_equal(frame.rgb(), picture(number, 63, 47))
            sink.write_rgb(frame.rgb(), frame)
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["frame1.png", "frame10.png", "frame2.png"]
    back = cv2.imread(str(tmp_path / "out" / "frame10.png"))[..., ::-1]
    assert np.array_equal(back, picture(10, 63, 47))


@pytest.mark.parametrize("native", [True, False])
def test_16_bit_images_stay_16_bit(tmp_path: Path, native: bool) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    deep = picture(0, 64, 48).astype(np.uint16) * 257 + 3
    save(folder / "a.png", deep)
    with open_source(folder) as frames, open_sink(tmp_path / "out", frames.info) as sink:
        assert frames.info.bit_depth == 16
        for frame in frames:
            sink.write(frame) if native else sink.write_rgb(frame.rgb16(), frame)
    back = cv2.imread(str(tmp_path / "out" / "a.png"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert np.array_equal(back, deep)


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "tif", "webp"])
def test_other_image_kinds(tmp_path: Path, suffix: str) -> None:
    save(tmp_path / f"a.{suffix}", picture(0, 64, 48))
    with open_source(tmp_path) as frames:
        (frame,) = frames
        assert psnr(frame.rgb(), picture(0, 64, 48)) > 26


def test_exif_orientation_turns_a_photo_upright(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    save(path, picture(0, 64, 48))
    entry = b"\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"  # orientation 6: turn clockwise
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + bytes(4)
    data = path.read_bytes()
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path.write_bytes(data[:2] + segment + data[2:])
    with open_source(tmp_path) as frames:
        assert frames.info.rotation_degrees == 90
        (frame,) = frames
        assert psnr(frame.rgb(), np.rot90(picture(0, 64, 48), -1)) > 26


def test_grey_and_transparent_images(tmp_path: Path) -> None:
    grey = picture(0, 64, 48)[..., 0]
    cv2.imwrite(str(tmp_path / "a.png"), grey)
    alpha = np.dstack([picture(1, 64, 48)[..., ::-1], np.full((48, 64), 128, np.uint8)])
    cv2.imwrite(str(tmp_path / "b.png"), alpha)
    with open_source(tmp_path) as frames:
        pictures = [frame.rgb() for frame in frames]
    assert np.array_equal(pictures[0], np.repeat(grey[..., None], 3, 2))
    assert np.array_equal(pictures[1], picture(1, 64, 48))


def test_images_to_video_and_back(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(5):
        save(folder / f"{index}.png", picture(index, 64, 48))
    rate = Fraction(30000, 1001)
    video = tmp_path / "out.mp4"
    with (
        open_source(folder, image_rate=rate) as frames,
        open_sink(video, frames.info, crf=4) as sink,
    ):
        for frame in frames:
            sink.write(frame) if frame.index % 2 else sink.write_rgb(frame.rgb(), frame)
    with open_source(video) as frames, open_sink(tmp_path / "back", frames.info) as sink:
        assert frames.info.pixel_format == "yuv420p"
        assert frames.info.colour.matrix == 1
        for index, frame in enumerate(frames):
            assert frame.native.pts * frame.native.time_base == index / rate
            assert psnr(frame.rgb(), picture(index, 64, 48)) > 30
            sink.write(frame)
    assert sorted(p.name for p in (tmp_path / "back").iterdir())[-1] == "frame_000004.png"


def test_image_of_another_size_is_named(tmp_path: Path) -> None:
    save(tmp_path / "a.png", picture(0, 64, 48))
    save(tmp_path / "b.png", picture(0, 32, 48))
    with open_source(tmp_path) as frames, pytest.raises(MediaError, match=r"frame 1 \(b.png\)"):
        list(frames)


def test_damaged_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not a png")
    with pytest.raises(MediaError, match=r"cannot read the image .*a\.png"):
        open_source(tmp_path)


def test_images_never_replace_their_source_folder(tmp_path: Path) -> None:
    save(tmp_path / "a.png", picture(0, 64, 48))
    with open_source(tmp_path) as frames, pytest.raises(MediaError, match="is the input"):
        open_sink(tmp_path, frames.info)


def test_existing_folder_needs_leave(tmp_path: Path) -> None:
    source, folder = make_clip(tmp_path / "in.mp4", Clip(pts=(0,))), tmp_path / "out"
    folder.mkdir()
    for allowed in (True, False):
        with open_source(source) as frames:
            if not allowed:
                with pytest.raises(MediaError, match="exists already"):
                    open_sink(folder, frames.info, overwrite=False)
                continue
            (folder / "other.txt").write_text("stays")
            with open_sink(folder, frames.info) as sink:
                for frame in frames:
                    sink.write(frame)
    assert sorted(p.name for p in folder.iterdir()) == ["frame_000000.png", "other.txt"]
