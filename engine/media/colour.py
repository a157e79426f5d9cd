"""Between native frames and RGB arrays, with the frame's own matrix and range.

swscale does 8 bits, at its accurate settings: by default it repeats chroma samples and rounds
down. Grey frames are done here, since swscale takes grey for full range whatever the tags say;
for more than 8 bits see `deep`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from keeprt.engine.errors import MediaError
from keeprt.engine.media.deep import rgb_to_yuv, yuv_to_rgb
from keeprt.engine.media.errors import reason
from keeprt.engine.media.info import FULL_RANGE, LIMITED_RANGE, ColourTags, RgbImage, contiguous

ACCURATE = int(
    Interpolation.BICUBIC
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.ACCURATE_RND
)
# AVColorSpace -> swscale's SWS_CS_*; constant-luminance BT.2020 is read as the usual kind.
_SWS_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_GREY = re.compile(r"gray(\d*)(le|be)?$")


def tags_of(frame: av.VideoFrame) -> ColourTags:
    """The colour tags that a decoded frame carries, its pixel format's implied range included."""
    full = frame.format.name.startswith("yuvj")
    return ColourTags(
        int(frame.colorspace),
        FULL_RANGE if full else int(frame.color_range),
        int(frame.color_primaries),
        int(frame.color_trc),
    )


def tag(frame: av.VideoFrame, colour: ColourTags) -> None:
    """Write `colour` onto `frame`."""
    frame.colorspace = colour.matrix
    frame.color_range = colour.range
    frame.color_primaries = colour.primaries
    frame.color_trc = colour.transfer


class Converter:
    """Converts frames one at a time, from any thread; keeps swscale's contexts between frames."""

    def __init__(self, threads: int = 0) -> None:
        """threads: swscale's, 0 for one per core."""
        self._lock, self._threads = threading.Lock(), threads
        self._swscale: dict[str, VideoReformatter] = {}

    def to_rgb(self, frame: av.VideoFrame, colour: ColourTags, bits: int) -> RgbImage:
        """`frame` as stored, full-range RGB: uint8 (H, W, 3) for 8 bits, uint16 up to 65535 for 16.

        Raises MediaError if swscale cannot read the frame's format or matrix.
        """
        grey = _GREY.match(frame.format.name)
        if grey is not None:
            return _grey_to_rgb(frame, int(grey[1] or 8), colour, bits)
        is_rgb = _is_rgb(frame)
        if bits == 16 and not is_rgb:
            return self._deep_rgb(frame, colour)
        out = self._reformat(
            frame,
            format="rgb24" if bits == 8 else "rgb48le",
            src_colorspace=None if is_rgb else _sws_matrix(colour, frame.height),
            src_color_range=FULL_RANGE if is_rgb else colour.range or LIMITED_RANGE,
            dst_color_range=FULL_RANGE,
        )
        return out.to_ndarray()  # type: ignore[return-value]

    def from_rgb(
        self,
        rgb: RgbImage,
        pixel_format: str,
        colour: ColourTags,
        like: av.VideoFrame | None = None,
    ) -> av.VideoFrame:
        """Full-range RGB (H, W, 3), uint8 or uint16, as a frame with `colour`'s tags.

        Chroma sits where it sits in `like`, whose captions and other side data are taken over.
        """
        array = contiguous(rgb)
        target = av.VideoFormat(pixel_format)
        if target.is_rgb or (array.itemsize == 1 and target.components[0].bits == 8):
            kind = "rgb24" if array.itemsize == 1 else "rgb48le"
            source = self._filled(kind, [array.reshape(len(array), -1)], array, like)
            out = self._reformat(
                source,
                format=pixel_format,
                src_colorspace=0,
                dst_colorspace=_sws_matrix(colour, array.shape[0]),
                src_color_range=FULL_RANGE,
                dst_color_range=FULL_RANGE if target.is_rgb else colour.range or LIMITED_RANGE,
            )
        else:
            bits = target.components[0].bits
            planes = rgb_to_yuv(array, bits, colour)
            whole = self._filled(_yuv444(bits), planes, array, like)
            out = self.to_format(whole, pixel_format, colour)
        tag(out, colour)
        return out

    def _filled(
        self,
        pixel_format: str,
        planes: Sequence[RgbImage],
        rgb: RgbImage,
        like: av.VideoFrame | None,
    ) -> av.VideoFrame:
        """A new frame of `rgb`'s size with these planes (h, bytes or samples)."""
        height, width = rgb.shape[:2]
        frame = None
        if like is not None:
            # PyAV cannot set the chroma location, but a scaled frame inherits it.
            size: dict[str, Any] = {"width": width, "height": height, "format": pixel_format}
            frame = self._reformat(like, flags=int(Interpolation.POINT), **size)
        if frame is None or frame is like:
            frame = av.VideoFrame(width, height, pixel_format)
        for plane, values in zip(frame.planes, planes, strict=True):
            rows = np.frombuffer(memoryview(plane), values.dtype)
            stride = plane.line_size // values.itemsize
            rows.reshape(-1, stride)[:height, : values.shape[1]] = values
        return frame

    def _deep_rgb(self, frame: av.VideoFrame, colour: ColourTags) -> RgbImage:
        bits = frame.format.components[0].bits
        whole = self.to_format(frame, _yuv444(bits), colour)
        return yuv_to_rgb([_plane(whole, index, bits) for index in range(3)], bits, colour)

    def to_format(
        self, frame: av.VideoFrame, pixel_format: str, colour: ColourTags
    ) -> av.VideoFrame:
        """`frame` in another pixel format, its matrix and range unchanged, its time kept."""
        if frame.format.name == pixel_format:
            return frame
        grey = _GREY.match(frame.format.name)
        if grey is not None and pixel_format.startswith("yuv"):
            out = _grey_to_yuv(frame, int(grey[1] or 8), pixel_format)
        else:
            matrix = _sws_matrix(colour, frame.height)
            is_rgb = _is_rgb(frame)
            level = colour.range or LIMITED_RANGE
            out = self._reformat(
                frame,
                format=pixel_format,
                src_colorspace=None if is_rgb else matrix,
                dst_colorspace=matrix,
                src_color_range=FULL_RANGE if is_rgb else level,
                dst_color_range=level,
            )
        tag(out, colour)
        if frame.time_base:
            out.pts, out.time_base, out.duration = frame.pts, frame.time_base, frame.duration
        return out

    def _reformat(
        self, frame: av.VideoFrame, flags: int = ACCURATE, **options: Any
    ) -> av.VideoFrame:
        key = f"{frame.format.name}>{options['format']}/{flags}"
        with self._lock:
            scaler = self._swscale.setdefault(key, VideoReformatter())
            try:
                return scaler.reformat(frame, interpolation=flags, threads=self._threads, **options)
            except (av.error.FFmpegError, ValueError) as error:
                raise MediaError(
                    f"cannot convert {frame.format.name} (colour matrix {int(frame.colorspace)}) "
                    f"to {options['format']}: {reason(error)}"
                ) from error


def _yuv444(bits: int) -> str:
    return "yuv444p" if bits == 8 else f"yuv444p{bits}le"


def _is_rgb(frame: av.VideoFrame) -> bool:
    return frame.format.is_rgb or frame.format.has_palette


def _sws_matrix(colour: ColourTags, height: int) -> int:
    matrix = colour.matrix_for(height)
    if matrix not in _SWS_MATRIX:
        raise MediaError(
            f"the colour matrix {matrix} is not supported; convert the video to BT.709 or BT.2020"
        )
    return _SWS_MATRIX[matrix]


def _plane(frame: av.VideoFrame, index: int, bits: int) -> RgbImage:
    """A writable view (h, w) of one plane; samples over 8 bits are 2 bytes in the frame's order."""
    plane = frame.planes[index]
    order = ">u2" if frame.format.name.endswith("be") else "<u2"
    samples = np.dtype(np.uint8 if bits == 8 else order)
    rows: RgbImage = np.frombuffer(memoryview(plane), samples)
    return rows.reshape(-1, plane.line_size // samples.itemsize)[: plane.height, : plane.width]


def _grey_to_rgb(frame: av.VideoFrame, bits: int, colour: ColourTags, out_bits: int) -> RgbImage:
    black, white = 0, (1 << bits) - 1
    if colour.range != FULL_RANGE:
        black, white = 16 << (bits - 8), 235 << (bits - 8)
    top = (1 << out_bits) - 1
    levels = (np.arange(1 << bits) - black) * (top / (white - black))
    dtype = np.uint8 if out_bits == 8 else np.uint16
    table = np.clip(np.rint(levels), 0, top).astype(dtype)
    return np.repeat(table[_plane(frame, 0, bits)][..., None], 3, axis=2)


def _grey_to_yuv(frame: av.VideoFrame, bits: int, pixel_format: str) -> av.VideoFrame:
    out = av.VideoFrame(frame.width, frame.height, pixel_format)
    out_bits = out.format.components[0].bits
    luma = _plane(frame, 0, bits).astype(np.uint16)
    shift = bits - out_bits
    _plane(out, 0, out_bits)[:] = luma >> shift if shift > 0 else luma << -shift
    for index in (1, 2):
        _plane(out, index, out_bits)[:] = 1 << (out_bits - 1)
    return out
