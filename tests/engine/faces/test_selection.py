"""Which faces are chosen, and that the choice does not flip."""

import numpy as np
import pytest
from helpers_faces import face_at

from keeprt.engine.errors import UsageError
from keeprt.engine.faces.selection import Choice, choose, parse_choice, without_hidden

FRAME = (1080, 1920)
BOXES = {
    1: np.array([100.0, 100, 300, 350]),
    2: np.array([900.0, 500, 1000, 620]),
    3: np.array([1500.0, 100, 1650, 300]),
}


@pytest.mark.parametrize(
    ("text", "ids"),
    [("all", [1, 3, 2]), ("largest", [1]), ("center", [2]), ("2", [1, 3]), ("9", [1, 3, 2])],
)
def test_choices(text, ids):
    assert choose(BOXES, FRAME, parse_choice(text)) == ids


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "1.5", "All", "99999"])
def test_an_unknown_choice_is_refused(text):
    with pytest.raises(UsageError, match="all, largest, center"):
        parse_choice(text)


def test_faces_smaller_than_the_minimum_are_left_out():
    assert choose(BOXES, FRAME, parse_choice("all", min_size=120)) == [1, 3]


def test_the_part_outside_of_the_picture_does_not_count():
    boxes = {1: np.array([-300.0, 0, 50, 300]), 2: np.array([500.0, 0, 600, 200])}
    assert choose(boxes, FRAME, Choice(1)) == [2]


def test_two_faces_of_about_the_same_size_do_not_take_turns():
    chosen, picks = [], []
    for i in range(20):
        boxes = {k: np.array([0.0, 0, 100 + 5 * ((i + k) % 2), 100]) + 300 * k for k in (1, 2)}
        boxes = {k: b - [0, 300 * k, 0, 300 * k] for k, b in boxes.items()}
        chosen = choose(boxes, FRAME, Choice(1), chosen)
        picks += chosen
    assert len(set(picks)) == 1


def test_a_face_about_the_minimum_size_does_not_come_and_go():
    chosen, shown = [], []
    for side in (101, 99, 97, 102, 95):
        chosen = choose({1: np.array([0.0, 0, side, side])}, FRAME, Choice(min_size=100), chosen)
        shown.append(bool(chosen))
    assert shown == [True] * 5
    assert choose({1: np.array([0.0, 0, 79, 79])}, FRAME, Choice(min_size=100), chosen) == []


def test_a_face_behind_another_head_is_left_out():
    near, hidden = face_at(400, 400, eyes=100), face_at(480, 235, eyes=60)
    assert without_hidden([near, hidden]) == [near]
    assert without_hidden([near, hidden], max_hidden=1.0) == [near, hidden]


@pytest.mark.parametrize(
    "other", [face_at(570, 400, 60), face_at(400, 620, 60), face_at(700, 270, 60)]
)
def test_faces_beside_and_below_are_kept(other):
    near = face_at(400, 400, eyes=100)
    assert without_hidden([near, other]) == [near, other]
