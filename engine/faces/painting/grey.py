"""Whether a picture has no colour, so that a restored face must not bring any.

The rule is that of docs/model.md, section 15.2.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from keeprt.engine.faces.detection import Rgb
from keeprt.engine.faces.painting.planes import YuvFormat, rgb_matrix

_ENTER, _LEAVE = 10.0, 15.0
_STEP = 4  # every so many chroma samples, in rows and in columns, say enough
# B - G, G - R, R - B of R, G, B.
_DIFFERENCES = np.array([[0.0, -1.0, 1.0], [-1.0, 1.0, 0.0], [1.0, 0.0, -1.0]])


def colour_variance(rgb: Rgb) -> float:
    """Mean of the variances of B - G, G - R and R - B of a picture, uint8 (H, W, 3), in levels²."""
    red, green, blue = cv2.split(rgb)
    deviations = [
        float(cv2.meanStdDev(cv2.subtract(one, other, dtype=cv2.CV_16S))[1][0, 0])
        for one, other in ((blue, green), (green, red), (red, blue))
    ]
    return sum(deviation**2 for deviation in deviations) / 3


def chroma_variance(planes: tuple[npt.NDArray[Any], ...], form: YuvFormat) -> float:
    """`colour_variance` of planar YUV without a conversion, from a part of the chroma samples: the
    three differences are linear in Cb and Cr. 0 for grey video."""
    if len(planes) == 1:
        return 0.0
    samples = np.stack([plane[::_STEP, ::_STEP].ravel() for plane in planes[1:]])
    covariance = np.cov(samples, bias=True)
    linear = _DIFFERENCES @ rgb_matrix(form)[:, 1:]
    return float(np.trace(linear @ covariance @ linear.T)) / 3


def is_grey(variance: float, was_grey: bool = False) -> bool:
    """The authors' test, a colour variance of at most 10; in a shot that was grey, at most 15, so
    that a frame near the threshold does not flicker between grey and coloured faces."""
    return variance <= (_LEAVE if was_grey else _ENTER)
