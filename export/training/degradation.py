"""The degradation that KEEP is trained and measured with: blur, shrink, noise, H.264, enlarge.

Equation 9 of the KEEP paper (arXiv 2408.05205): the frame is convolved with a Gaussian, shrunk by
r, given Gaussian noise, compressed at a constant rate factor, and enlarged by r. Shrinking is by
area and enlarging linear, which the equation leaves open. The parameters of the paper's test sets
are not repeated here: name them where they are used, with their source.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
import numpy.typing as npt

from keeprt.engine.errors import MediaError, UsageError

Frame = npt.NDArray[np.uint8]

_WORST_CRF = 51


@dataclass(frozen=True)
class Degradation:
    """What happens to a video between the scene and the file.

    blur_sigma: of the Gaussian, in pixels of the full-size frame; 0 for none.
    downscale: whole factor r by which width and height shrink.
    noise_sigma: of the Gaussian noise on the shrunk frame, in 8-bit levels; 0 for none.
    crf: constant rate factor of libx264, 0 (best) to 51.
    seed: of the noise (PCG64).
    """

    blur_sigma: float
    downscale: int
    noise_sigma: float
    crf: int
    seed: int = 0

    def __post_init__(self) -> None:
        fits = (
            np.isfinite([self.blur_sigma, self.noise_sigma]).all()
            and min(self.blur_sigma, self.noise_sigma, self.seed) >= 0
            and self.downscale >= 1
            and 0 <= self.crf <= _WORST_CRF
        )
        if not fits:
            raise UsageError(
                f"{self}: the sigmas and the seed are at least 0, downscale at least 1, "
                f"crf 0 to {_WORST_CRF}"
            )


def degrade(frames: Sequence[Frame], degradation: Degradation, rate: Fraction | int) -> list[Frame]:
    """As many uint8 (H, W, 3) RGB frames of the same size; the same bytes for the same arguments.

    rate: frames per second; the encoder spends its bits by it. Another build of libx264 or OpenCV
    may give other bytes. Raises UsageError for frames that are no equal uint8 pictures.
    """
    if not frames:
        return []
    size = frames[0].shape[1::-1]
    small = degrade_small(frames, degradation, rate)
    return [enlarge(frame, size, cv2.INTER_LINEAR) for frame in small]


def degrade_small(
    frames: Sequence[Frame], degradation: Degradation, rate: Fraction | int
) -> list[Frame]:
    """`degrade` without its last step: the frames as the file holds them, r times smaller."""
    if not frames:
        return []
    _check_common_size(frames)
    generator = np.random.Generator(np.random.PCG64(degradation.seed))
    small = [_shrunk(frame, degradation, generator) for frame in frames]
    return compress(small, degradation.crf, rate)


def enlarge(frame: Frame, size: Sequence[int], interpolation: int) -> Frame:
    """A frame at another (width, height), by one of OpenCV's interpolations."""
    return np.asarray(cv2.resize(frame, tuple(size), interpolation=interpolation), np.uint8)


def compress(frames: Sequence[Frame], crf: int, rate: Fraction | int) -> list[Frame]:
    """The frames after libx264 (4:2:0, one thread) and back, in memory."""
    height, width = frames[0].shape[:2]
    try:
        decoded = _decode(_encode(frames, crf, rate))
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"cannot compress {len(frames)} frames of {width}x{height} with libx264 ({error}); "
            "this needs a PyAV built with libx264, as the wheels on PyPI are"
        ) from error
    if len(decoded) != len(frames):
        raise MediaError(f"libx264 gave back {len(decoded)} of {len(frames)} frames")
    return [np.ascontiguousarray(frame[:height, :width]) for frame in decoded]


def _check_common_size(frames: Sequence[Frame]) -> None:
    shape = frames[0].shape
    for index, frame in enumerate(frames):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise UsageError(
                f"frame {index} is {frame.dtype} {frame.shape}; degrade takes uint8 (H, W, 3)"
            )
        if frame.shape != shape:
            raise UsageError(f"frame {index} has size {frame.shape[:2]}, the first {shape[:2]}")


def _shrunk(frame: Frame, degradation: Degradation, generator: np.random.Generator) -> Frame:
    picture = np.asarray(frame, np.float32)
    if degradation.blur_sigma > 0:
        blurred = cv2.GaussianBlur(picture, (0, 0), degradation.blur_sigma)
        picture = np.asarray(blurred, np.float32)
    if degradation.downscale > 1:
        size = [max(1, round(length / degradation.downscale)) for length in frame.shape[1::-1]]
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)
    noise = generator.standard_normal(picture.shape, np.float32)
    noisy = picture + np.float32(degradation.noise_sigma) * noise
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _encode(frames: Sequence[Frame], crf: int, rate: Fraction | int) -> bytes:
    target = io.BytesIO()
    height, width = frames[0].shape[:2]
    # 4:2:0 needs even sides; the added edge is cut off after decoding
    edge = ((0, height % 2), (0, width % 2), (0, 0))
    with av.open(target, "w", format="mp4") as container:
        # x264's vector code is not reproducible on frames a few macroblocks wide: on a busy machine
        # up to 1 in 20 encodes of the same 32 x 32 frames gave other bytes, by way of the
        # macroblock tree; its plain code gave the same bytes every time
        options = {"crf": str(crf), "x264-params": "asm=0"}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        # libx264's choices depend on the number of threads, which would follow the machine
        stream.codec_context.thread_count = 1
        for frame in frames:
            padded = np.pad(frame, edge, mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(padded, format="rgb24")))
        container.mux(stream.encode(None))
    return target.getvalue()


def _decode(data: bytes) -> list[Frame]:
    with av.open(io.BytesIO(data), "r") as container:
        container.streams.video[0].codec_context.thread_count = 1
        decoded = container.decode(video=0)
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in decoded]
