"""Pixels keep their colour, depth, orientation and size."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from keeprt.engine.media import ColourTags, VideoInfo, open_sink, open_source
from keeprt.engine.media.colour import Converter
from keeprt.engine.media.writing.encoding import choose_pixel_format, encoder_formats
from tests.engine.media.clips import Clip, make_clip, picture, psnr

# Kr and Kb of ITU-R BT.709, BT.601 and BT.2020.
LUMA = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def exact_rgb(yuv: tuple[int, int, int], matrix: int, full: bool, bits: int) -> NDArray[np.float64]:
    """RGB in 0..1 by the formula of ITU-R BT.601, 709 and 2020."""
    kr, kb = LUMA[matrix]
    scale = 1 << (bits - 8)
    black, luma, chroma = (0, (1 << bits) - 1, (1 << bits) - 1)
    if not full:
        black, luma, chroma = 16 * scale, 219 * scale, 224 * scale
    y = (yuv[0] - black) / luma
    u, v = ((value - 128 * scale) / chroma for value in yuv[1:])
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.array([red, green, blue]), 0, 1)


def flat(pixel_format: str, yuv: tuple[int, int, int], bits: int) -> av.VideoFrame:
    frame = av.VideoFrame(32, 32, pixel_format)
    for plane, value in zip(frame.planes, yuv, strict=True):
        samples = np.full(plane.buffer_size // (1 + (bits > 8)), value, np.uint16)
        plane.update(samples.astype("<u2" if bits > 8 else np.uint8).tobytes())
    return frame


@pytest.mark.parametrize("matrix", sorted(LUMA))
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("pixel_format", "bits"), [("yuv420p", 8), ("yuv444p", 8), ("yuv422p10le", 10)]
)
def test_rgb_follows_the_frames_matrix_and_range(
    pixel_format: str, bits: int, full: bool, matrix: int
) -> None:
    step = 1 << (bits - 8)
    yuv = (140 * step, 110 * step, 150 * step)
    tags = ColourTags(matrix, 2 if full else 1, matrix, 1)
    frame, converter = flat(pixel_format, yuv, bits), Converter()
    expected = exact_rgb(yuv, matrix, full, bits)
    assert np.abs(converter.to_rgb(frame, tags, 8)[16, 16] - expected * 255).max() <= 1
    deep = converter.to_rgb(frame, tags, 16)
    assert np.abs(deep[16, 16] / 65535 - expected).max() <= 1 / 65535
    back = converter.from_rgb(deep, pixel_format, tags)
    dtype = "<u2" if bits > 8 else np.uint8
    values = [int(np.frombuffer(memoryview(p), dtype)[5]) for p in back.planes]
    assert np.abs(np.subtract(values, yuv)).max() <= 1
    assert (back.colorspace, back.color_range) == (matrix, 2 if full else 1)


@pytest.mark.parametrize(("height", "matrix"), [(480, 6), (720, 1)])
def test_unspecified_matrix_goes_by_the_height(height: int, matrix: int) -> None:
    assert ColourTags().matrix_for(height) == matrix
    assert ColourTags(matrix=9).matrix_for(height) == 9


def test_chroma_is_interpolated(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", Clip(pts=(0, 1), pixel_format="yuv444p"))
    half = make_clip(tmp_path / "half.mp4", Clip(pts=(0, 1), pixel_format="yuv420p"))
    with open_source(source) as a, open_source(half) as b:
        whole, halved = next(iter(a)).rgb(), next(iter(b)).rgb()
    gradient = (slice(16, 44), slice(20, 60))
    assert psnr(whole[gradient], halved[gradient]) > 40


@pytest.mark.parametrize("bits", [8, 16])
def test_chroma_does_not_move_in_a_round_trip(tmp_path: Path, bits: int) -> None:
    # H.264 says that chroma sits at the left of its two columns; swscale alone centres it.
    frame = flat("yuv420p", (120, 100, 128), 8)
    chroma = np.frombuffer(memoryview(frame.planes[1]), np.uint8).reshape(16, -1)
    chroma[:, 8:] = 160
    source = make_clip(tmp_path / "in.mp4", Clip(pts=(0,), width=32, height=32), frames=[frame])
    with open_source(source) as frames:
        decoded = next(iter(frames))
    picture_ = decoded.rgb() if bits == 8 else decoded.rgb16()
    back = Converter().from_rgb(picture_, "yuv420p", decoded.colour, decoded.native)
    row = np.frombuffer(memoryview(back.planes[1]), np.uint8).reshape(16, -1)[8, :16].astype(int)
    assert np.abs(row[:8] - 100 - (160 - row[8:][::-1])).max() <= 2
    assert np.abs(row[:8] - 100).max() <= 8


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("pixel_format", "colour"),
    [
        ("yuv420p", (1, 1, 1, 1)),
        ("yuv420p", (6, 2, 6, 6)),
        ("yuv422p10le", (9, 1, 9, 16)),
        ("yuv420p10le", (9, 1, 9, 18)),
        ("yuv444p", (2, 0, 2, 2)),
    ],
)
def test_depth_chroma_and_tags_survive(
    tmp_path: Path, pixel_format: str, colour: tuple[int, int, int, int], native: bool
) -> None:
    clip = Clip(pixel_format=pixel_format, colour=colour, aspect=Fraction(4, 3), pts=(0, 1, 2))
    source = make_clip(tmp_path / "in.mp4", clip)
    output = tmp_path / "out.mp4"
    with open_source(source) as frames, open_sink(output, frames.info, crf=4) as sink:
        pictures = []
        for frame in frames:
            pictures.append(frame.rgb16())
            sink.write(frame) if native else sink.write_rgb(frame.rgb16(), frame)
    with open_source(output) as after, open_source(source) as before:
        assert after.info.pixel_format == before.info.pixel_format
        assert after.info.bit_depth == before.info.bit_depth
        assert after.info.colour == before.info.colour
        assert after.info.colour.matrix == colour[0]
        assert after.info.sample_aspect_ratio == Fraction(4, 3)
        for frame, expected in zip(after, pictures, strict=True):
            assert psnr(frame.rgb16(), expected, 65535) > 38


def test_native_8_bit_frames_are_exact_at_crf_0(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", Clip(pts=(0, 1, 2)))
    with (
        open_source(source) as frames,
        open_sink(tmp_path / "out.mp4", frames.info, crf=0) as sink,
    ):
        for frame in frames:
            sink.write(frame)
    with open_source(source) as before, open_source(tmp_path / "out.mp4") as after:
        for a, b in zip(before, after, strict=True):
            assert np.array_equal(a.native.to_ndarray(), b.native.to_ndarray())


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(("turn", "mirror"), [(90, False), (180, False), (-90, False), (90, True)])
def test_rotated_video_plays_upright_again(
    tmp_path: Path, turn: int, mirror: bool, native: bool, suffix: str
) -> None:
    clip = Clip(pts=(0, 1), rotation_ccw=turn, mirror=mirror, colour=(1, 1, 1, 1))
    source = make_clip(tmp_path / "in.mp4", clip)
    output = tmp_path / f"out{suffix}"
    stored = picture(0, 64, 48)
    expected = np.rot90(stored, turn // 90)
    expected = expected[:, ::-1] if mirror else expected
    with open_source(source) as frames, open_sink(output, frames.info, crf=4) as sink:
        assert frames.info.rotation_degrees == -turn % 360 or mirror
        assert frames.info.upright_size == expected.shape[1::-1]
        for frame in frames:
            if frame.index == 0:
                assert psnr(frame.rgb(), expected) > 30
            sink.write(frame) if native else sink.write_rgb(frame.rgb(), frame)
    with open_source(output) as after:
        assert (after.info.display_matrix is None) == (suffix == ".ts")
        assert psnr(next(iter(after)).rgb(), expected) > 30


@pytest.mark.parametrize("native", [True, False])
def test_odd_sizes_are_kept(tmp_path: Path, native: bool) -> None:
    clip = Clip(pts=(0, 1), width=63, height=47, codec="ffv1")
    source = make_clip(tmp_path / "in.mkv", clip)
    with open_source(source) as frames, open_sink(tmp_path / "o.mp4", frames.info, crf=4) as sink:
        for frame in frames:
            sink.write(frame) if native else sink.write_rgb(frame.rgb(), frame)
    with open_source(tmp_path / "o.mp4") as after:
        assert (after.info.width, after.info.height) == (63, 47)
        assert psnr(next(iter(after)).rgb(), picture(0, 63, 47)) > 30


@pytest.mark.parametrize("level", [(1, 16, 235), (2, 0, 255)], ids=["limited", "full"])
@pytest.mark.parametrize("native", [True, False])
def test_grey_video(tmp_path: Path, level: tuple[int, int, int], native: bool) -> None:
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("ffv1", rate=25, width=64, height=48)
        stream.pix_fmt = "gray"
        stream.codec_context.color_range = level[0]
        luma = np.full((48, 64), level[1], np.uint8)
        luma[:, 32:] = level[2]
        container.mux(stream.encode(av.VideoFrame.from_ndarray(luma, "gray")))
        container.mux(stream.encode(None))
    with open_source(source) as frames, open_sink(tmp_path / "o.mp4", frames.info, crf=0) as sink:
        for frame in frames:
            rgb = frame.rgb()
            assert rgb[0, 0].tolist() == [0, 0, 0]
            assert rgb[0, 63].tolist() == [255, 255, 255]
            sink.write(frame) if native else sink.write_rgb(rgb, frame)
    with open_source(tmp_path / "o.mp4") as after:
        rgb = next(iter(after)).rgb()
        assert rgb[5, 5].max() <= 1
        assert rgb[5, 58].min() >= 254


def test_larger_output_says_which_matrix_was_meant(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", Clip(pts=(0,)))
    with (
        open_source(source) as frames,
        open_sink(tmp_path / "o.mp4", frames.info, width=960, height=720) as sink,
    ):
        for frame in frames:
            sink.write_rgb(np.full((720, 960, 3), (200, 60, 60), np.uint8), frame)
    with open_source(tmp_path / "o.mp4") as after:
        assert after.info.colour.matrix == 6
        assert np.abs(next(iter(after)).rgb()[360, 480].astype(int) - (200, 60, 60)).max() <= 3


@pytest.mark.parametrize(
    ("pixel_format", "depth", "size", "codec", "expected"),
    [
        ("yuv420p", 8, (64, 48), "libx264", "yuv420p"),
        ("yuv422p10le", 10, (64, 48), "libx264", "yuv422p10le"),
        ("yuv422p12le", 12, (64, 48), "libx265", "yuv422p12le"),
        ("yuv420p12le", 12, (64, 48), "libx264", "yuv420p10le"),
        ("p010le", 10, (64, 48), "libx264", "yuv420p10le"),
        ("yuva420p", 8, (64, 48), "libx264", "yuv420p"),
        ("yuv411p", 8, (64, 48), "libx264", "yuv422p"),
        ("gray", 8, (64, 48), "libx264", "yuv420p"),
        ("gray10le", 10, (63, 48), "libx264", "yuv444p10le"),
        ("yuv422p", 8, (64, 47), "libx264", "yuv422p"),
        ("yuv420p", 8, (64, 47), "libx264", "yuv422p"),
        ("yuv420p", 8, (63, 48), "libx264", "yuv444p"),
        ("yuv420p", 8, (64, 48), "prores_ks", "yuv422p10le"),
    ],
)
def test_pixel_format_nearest_to_the_sources(
    pixel_format: str, depth: int, size: tuple[int, int], codec: str, expected: str
) -> None:
    like = VideoInfo(Path("x"), *size, pixel_format, depth, Fraction(1, 25))
    assert choose_pixel_format(like, encoder_formats(codec), *size) == expected
