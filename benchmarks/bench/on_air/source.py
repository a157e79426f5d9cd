"""What `--scenario live` puts on air: a face that moves a little, as a file of MPEG-TS."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from keeprt.export.training.degradation import Frame
from keeprt.export.training.portrait import portrait

TURN_S = 2.0  # of the movement, which then begins again
SWAY = 0.02  # of the picture's height
GREY = 90
BITS_PER_PIXEL = 0.1
Size = tuple[int, int]


def write_stream(path: Path, size: Size, rate: Fraction, frames: int) -> None:
    """H.264 without B frames, a key picture a second, no sound. size: width, height. Raises
    UsageError without scikit-image."""
    turn = [_coded(one) for one in pictures(size, round(TURN_S * rate))]
    with av.open(
        str(path), "w", format="mpegts", options={"omit_video_pes_length": "0"}
    ) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.bit_rate = round(size[0] * size[1] * float(rate) * BITS_PER_PIXEL)
        key = f"keyint={round(rate)}:scenecut=0"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": key}
        for number in range(frames):
            frame = turn[number % len(turn)]
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def pictures(size: Size, count: int) -> list[Frame]:
    """One turn of the movement, uint8 (height, width, 3) RGB: the portrait before grey."""
    width, height = size
    side = min(size)
    face = cv2.resize(portrait(), (side, side), interpolation=cv2.INTER_AREA)
    ground = np.full((height, width, 3), GREY, np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    ground[top : top + side, left : left + side] = face
    angles = (2 * math.pi * number / count for number in range(count))
    reach = SWAY * height
    return [
        np.roll(ground, (round(reach * math.sin(a)), round(reach * math.cos(a))), (0, 1))
        for a in angles
    ]


def _coded(picture: Frame) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(
        format="yuv420p", dst_colorspace=1, dst_color_range=1
    )
    frame.colorspace = frame.color_primaries = frame.color_trc = 1
    return frame
