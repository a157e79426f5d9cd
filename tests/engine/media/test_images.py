"""Folders of images, in and out."""

from __future__ import annotations

import logging
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from keeprt.engine.errors import MediaError
from keeprt.engine.media import open_sink, open_source
from tests.engine.media.clips import Clip, make_clip, picture, psnr


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


def through(source: Path, out: Path, native: bool = True) -> dict[str, np.ndarray]:
    """The files that come out of a folder, by name, as they are stored."""
    with open_source(source) as frames, open_sink(out, frames.info) as sink:
        for frame in frames:
            deep = frame.info.bit_depth > 8
            picture = frame.rgb16() if deep else frame.rgb()
            sink.write(frame) if native else sink.write_rgb(picture, frame)
    files = sorted(out.iterdir())
    return {file.name: cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files}


@pytest.mark.parametrize("native", [True, False])
def test_each_image_keeps_its_name_depth_and_kind(tmp_path: Path, native: bool) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    eight, deep = picture(0, 64, 48), picture(1, 64, 48).astype(np.uint16) * 257 + 3
    save(folder / "shot_1001.png", eight)
    save(folder / "shot_1002.png", deep)
    save(folder / "shot_1003.tif", deep)
    save(folder / "shot_1004.tiff", eight)
    save(folder / "shot_1005.bmp", eight)
    files = through(folder, tmp_path / "out", native)
    assert list(files) == sorted(path.name for path in folder.iterdir())
    for number, file in enumerate(files.values(), 1001):
        assert np.array_equal(file[..., ::-1], deep if number in (1002, 1003) else eight)


def test_jpeg_comes_back_as_png_under_its_name_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in (1001, 1002):
        save(folder / f"shot_{number}.jpg", picture(number, 64, 48))
    with caplog.at_level(logging.WARNING):
        assert list(through(folder, tmp_path / "out")) == ["shot_1001.png", "shot_1002.png"]
    assert [r.message for r in caplog.records] == [
        "JPG images are written as PNG, which loses nothing more"
    ]


def test_two_images_of_one_stem_stay_two(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    save(folder / "a.png", picture(0, 64, 48))
    save(folder / "a.jpg", picture(0, 64, 48))
    assert list(through(folder, tmp_path / "out")) == ["a.jpg.png", "a.png.png"]


def test_a_name_is_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, level in (("a%03d.png", 10), ("a001.png", 200)):
        cv2.imwrite(str(folder / name), np.full((48, 64, 3), level, np.uint8))
    files = through(folder, tmp_path / "out")
    assert {name: int(file.mean()) for name, file in files.items()} == {
        "a%03d.png": 10,
        "a001.png": 200,
    }


@pytest.mark.parametrize("native", [True, False])
def test_every_photo_comes_out_upright(tmp_path: Path, native: bool) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    upright = picture(3, 96, 64)
    turned, half = np.rot90(upright), np.rot90(upright, 2)
    stored = [upright, upright[:, ::-1], half, upright[::-1], upright.transpose(1, 0, 2)]
    stored += [turned, half.transpose(1, 0, 2), np.rot90(upright, -1)]
    for orientation, photo in enumerate(stored, 1):
        path = folder / f"{orientation}.jpg"
        save(path, photo)
        data = path.read_bytes()
        entry = b"\x12\x01\x03\x00\x01\x00\x00\x00" + bytes([orientation, 0, 0, 0])
        exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + bytes(4)
        segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
        path.write_bytes(data[:2] + segment + data[2:])
    for file in through(folder, tmp_path / "out", native).values():
        assert psnr(file[..., ::-1], upright) > 24


def test_grey_stays_grey_and_alpha_stays(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    grey = picture(0, 64, 48)[..., 0]
    alpha = np.dstack([picture(1, 64, 48), np.arange(64 * 48).reshape(48, 64) % 256])
    deep = alpha.astype(np.uint16) * 257
    cv2.imwrite(str(folder / "a.png"), grey)
    cv2.imwrite(str(folder / "b.png"), alpha.astype(np.uint8))
    cv2.imwrite(str(folder / "c.png"), deep)
    cv2.imwrite(str(folder / "d.png"), grey.astype(np.uint16) * 257)
    files = through(folder, tmp_path / "out")
    assert np.array_equal(files["a.png"], grey)
    assert np.array_equal(files["b.png"], alpha)
    assert np.array_equal(files["c.png"], deep)
    assert np.array_equal(files["d.png"], grey.astype(np.uint16) * 257)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp", "dpx", "exr"])
@pytest.mark.parametrize("part", [0.5, 0.95])
def test_an_image_that_was_cut_short_is_refused_by_name(
    tmp_path: Path, suffix: str, part: float
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    detailed = np.random.RandomState(0).randint(0, 256, (48, 64, 3)).astype(np.uint8)
    save_any(folder / f"a1.{suffix}", detailed)
    whole = (folder / f"a1.{suffix}").read_bytes()
    (folder / f"a2.{suffix}").write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(MediaError, match=rf"a2\.{suffix}: it is damaged"):
        through(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def save_any(path: Path, rgb: np.ndarray) -> None:
    """DPX with 10 bits, EXR with the light that sRGB's curve stands for."""
    if path.suffix not in (".dpx", ".exr"):
        return save(path, rgb)
    frame = av.VideoFrame.from_ndarray(rgb, "rgb24")
    if path.suffix == ".dpx":
        frame = frame.reformat(format="gbrp10be")
    else:
        code = rgb.astype(np.float32) / 255
        light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
        frame = av.VideoFrame.from_ndarray(light.astype(np.float32), "gbrpf32le")
    context = av.CodecContext.create(path.suffix[1:], "w")
    context.width, context.height, context.pix_fmt = 64, 48, frame.format.name
    context.time_base = Fraction(1, 25)
    path.write_bytes(b"".join(bytes(p) for p in [*context.encode(frame), *context.encode(None)]))
    return None


@pytest.mark.parametrize("suffix", ["dpx", "exr"])
def test_film_scans_come_back_as_deep_png(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    rgb = picture(0, 64, 48)
    save_any(folder / f"scan.0001.{suffix}", rgb)
    files = through(folder, tmp_path / "out", native=False)
    assert list(files) == ["scan.0001.png"]
    assert files["scan.0001.png"].dtype == np.uint16
    difference = files["scan.0001.png"][..., ::-1] / 257 - rgb
    assert np.abs(difference).max() < 1.5


def test_gaps_in_a_sequence_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in (1, 2, 3, 7, 8, 20):
        save(tmp_path / f"shot_{number:04d}.png", picture(0, 64, 48))
    with caplog.at_level(logging.WARNING), open_source(tmp_path) as frames:
        assert frames.info.frame_count == 6
    assert "after shot_0003.png, after shot_0008.png)" in caplog.text
    caplog.clear()
    for path in tmp_path.iterdir():
        path.unlink()
    for number in (2, 4, 6, 8):
        save(tmp_path / f"{number}.png", picture(0, 64, 48))
    with caplog.at_level(logging.WARNING), open_source(tmp_path):
        assert not caplog.records, "every second number is no gap"


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_colour_profile_goes_on(tmp_path: Path, suffix: str) -> None:
    folder, profile = tmp_path / "in", bytes(range(256)) * 3
    folder.mkdir()
    save(folder / f"a.{suffix}", picture(0, 64, 48))
    data = (folder / f"a.{suffix}").read_bytes()
    if suffix == "jpg":
        parts = [b"ICC_PROFILE\0" + bytes([n + 1, 2]) + profile[n * 400 :][:400] for n in (0, 1)]
        app = b"".join(b"\xff\xe2" + struct.pack(">H", len(p) + 2) + p for p in parts)
        (folder / "a.jpg").write_bytes(data[:2] + app + data[2:])
    else:
        body = b"iCCPname\0\0" + zlib.compress(profile)
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        (folder / "a.png").write_bytes(data[:33] + chunk + data[33:])
    through(folder, tmp_path / "out")
    written = (tmp_path / "out" / "a.png").read_bytes()
    packed = written[written.index(b"iCCP") + 4 :]
    assert zlib.decompressobj().decompress(packed[packed.index(b"\0") + 2 :]) == profile
    assert cv2.imread(str(tmp_path / "out" / "a.png")) is not None
