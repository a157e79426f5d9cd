"""Whether a picture has no colour: then a restored face must not bring any (section 15.2)."""

import cv2

from keeprt.engine.faces.detection import Rgb

_ENTER, _LEAVE = 10.0, 15.0


def colour_variance(rgb: Rgb) -> float:
    """Mean of the variances of B - G, G - R and R - B of a picture, uint8 (H, W, 3), in levels²."""
    red, green, blue = cv2.split(rgb)
    deviations = [
        float(cv2.meanStdDev(cv2.subtract(one, other, dtype=cv2.CV_16S))[1][0, 0])
        for one, other in ((blue, green), (green, red), (red, blue))
    ]
    return sum(deviation**2 for deviation in deviations) / 3


def is_grey(rgb: Rgb, was_grey: bool = False) -> bool:
    """The authors' test, a colour variance of at most 10; in a shot that was grey, at most 15, so
    that a frame near the threshold does not flicker between grey and coloured faces."""
    return colour_variance(rgb) <= (_LEAVE if was_grey else _ENTER)
