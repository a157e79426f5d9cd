"""A video frame made smaller, as RGB: the meaning of `shrink.cu`.

Every component is averaged over the area that a pixel of the small picture stands for, at its own
place (chroma by its siting, edges repeated); samples at the area's border count by the part that
lies in it. Then the codes become RGB, are clamped, and rounded half to even to 8 bits, as
`face_to_picture` does. For RGB this is OpenCV's `INTER_AREA`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keeprt.kernels.arrays import FloatArray
from keeprt.kernels.errors import UsageError
from keeprt.kernels.face_picture import face_to_picture
from keeprt.kernels.frame import FrameFormat, Planes, codes_of, components
from keeprt.kernels.sampling import affine, weighted

_HALF, _NONE = np.float32(0.5), np.float32(0)
_LUMA = np.array([1, 0], np.float32)  # its samples are the pixels


class Stretch(NamedTuple):
    """What pixels stand for along one axis, in samples of a component."""

    low: FloatArray
    high: FloatArray
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    @property
    def most(self) -> int:
        """Samples of the pixel that has most."""
        return int((self.last - self.first).max()) + 1

    def weight(self, sample: NDArray[np.int64]) -> FloatArray:
        """How much of one sample lies in each stretch, 0 to 1; 0 beyond its last."""
        at = sample.astype(np.float32)
        inside = np.minimum(self.high, at + _HALF) - np.maximum(self.low, at - _HALF)
        return np.asarray(np.where(sample <= self.last, np.fmax(inside, _NONE), _NONE))


def shrink(planes: Planes, format: FrameFormat, width: int, height: int) -> NDArray[np.uint8]:
    """A frame at `width` x `height` pixels, RGB uint8 (height, width, 3).

    Raises UsageError for planes of other shapes and for a picture that is larger than the frame.
    """
    check_smaller(format, width, height)
    words, record = components(planes, format), format.record()
    row, column = np.ogrid[:height, :width]
    scale_x = np.float32(format.width) / np.float32(width)
    scale_y = np.float32(format.height) / np.float32(height)
    means = []
    for k, component in enumerate(words):
        line_x, line_y = (record["chroma_x"], record["chroma_y"]) if k else (_LUMA, _LUMA)
        along, down = stretch_of(column, scale_x, line_x), stretch_of(row, scale_y, line_y)
        means.append(weighted(codes_of(component, format, k), along, down))
    return face_to_picture(np.stack([affine(to_rgb, *means) for to_rgb in record["to_rgb"]]))


def check_smaller(format: FrameFormat, width: int, height: int) -> None:
    """Raises UsageError for a picture without pixels or larger than the frame."""
    if not (1 <= width <= format.width and 1 <= height <= format.height):
        raise UsageError(
            f"a picture of {width}x{height} is no smaller one of {format.width}x{format.height}"
        )


def stretch_of(pixels: NDArray[np.int64], scale: np.float32, line: FloatArray) -> Stretch:
    """Of pixels of the small picture, `scale` of the frame's each; `line` leads from those to
    samples."""
    edge = pixels.astype(np.float32) * scale - _HALF
    low, high = edge * line[0] + line[1], (edge + scale) * line[0] + line[1]
    first, last = (np.floor(end + _HALF).astype(np.int64) for end in (low, high))
    return Stretch(low, high, first, last)
