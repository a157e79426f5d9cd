"""Drawing leaves the frame alone and marks what was found."""

import numpy as np
from helpers_faces import face_at

from keeprt.engine.faces.painting.drawing import draw_faces, track_colour
from keeprt.engine.faces.timeline import TrackedFace


def tracked(track, x, y, seen=True):
    face = face_at(x, y, eyes=40)
    return TrackedFace(track, face.landmarks, face.box, seen)


def test_boxes_and_landmarks_are_drawn_in_the_colour_of_the_track():
    frame = np.zeros((240, 320, 3), np.uint8)
    drawn = draw_faces(frame, [tracked(1, 80, 120), tracked(2, 220, 120, seen=False)], frame=7)
    assert not frame.any()
    for key, x in ((1, 80), (2, 220)):
        face = tracked(key, x, 120)
        left, top = face.box[:2].round().astype(int)
        assert tuple(drawn[top + 20, left]) == track_colour(key)
        nose_x, nose_y = face.landmarks[2].round().astype(int)
        assert tuple(drawn[nose_y, nose_x]) == track_colour(key)


def test_a_cut_is_marked_and_faces_outside_do_no_harm():
    frame = np.zeros((240, 320, 3), np.uint8)
    drawn = draw_faces(frame, [tracked(1, -900, 5000)], frame=0, cut=True)
    assert tuple(drawn[0, 0]) == (255, 0, 0)


def test_neighbouring_tracks_differ_in_colour():
    colours = np.array([track_colour(n) for n in range(1, 8)]).astype(int)
    steps = np.abs(colours[1:] - colours[:-1]).sum(1)
    assert steps.min() > 120
