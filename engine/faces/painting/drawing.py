"""A picture of what was found: boxes, ids and landmarks, for --draw-tracks."""

import colorsys

import cv2
import numpy as np

from keeprt.engine.faces.detection import Rgb
from keeprt.engine.faces.timeline import TrackedFace

_GOLDEN_TURN = 0.61803398875  # of the colour circle: neighbours in number are far apart in hue


def track_colour(track: int) -> tuple[int, int, int]:
    """RGB of a track, the same in every frame and run."""
    red, green, blue = colorsys.hsv_to_rgb(track * _GOLDEN_TURN % 1.0, 0.85, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_faces(rgb: Rgb, faces: list[TrackedFace], frame: int, cut: bool = False) -> Rgb:
    """A copy of the frame, uint8 (H, W, 3), with each face's box (thin where it was not seen but
    interpolated), its track id and landmarks, the frame's number, and a bar on top at a cut."""
    drawn = rgb.copy()
    unit = max(1, round(min(rgb.shape[:2]) / 400))
    for face in faces:
        _draw_face(drawn, face, unit)
    _write(drawn, f"{frame}", (4 * unit, rgb.shape[0] - 6 * unit), (255, 255, 255), unit)
    if cut:
        drawn[: 4 * unit] = (255, 0, 0)
    return drawn


def _draw_face(drawn: Rgb, face: TrackedFace, unit: int) -> None:
    colour = track_colour(face.track)
    left, top, right, bottom = (round(float(v)) for v in face.box)
    cv2.rectangle(drawn, (left, top), (right, bottom), colour, 2 * unit if face.seen else 1)
    for x, y in np.rint(face.landmarks).astype(int):
        cv2.circle(drawn, (int(x), int(y)), 2 * unit, colour, -1, cv2.LINE_AA)
    _write(drawn, f"#{face.track}", (max(left, 0), max(top - 4 * unit, 14 * unit)), colour, unit)


def _write(
    drawn: Rgb, text: str, place: tuple[int, int], colour: tuple[int, int, int], unit: int
) -> None:
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.5 * unit
    cv2.putText(drawn, text, place, font, scale, (0, 0, 0), 3 * unit, cv2.LINE_AA)
    cv2.putText(drawn, text, place, font, scale, colour, unit, cv2.LINE_AA)
