"""Looks: one face under other light is the same, another face is not, a bare place is none."""

import cv2
import numpy as np
import pytest
from helpers_faces import face_at, landmarks_at, textured

from keeprt.engine.faces.appearance import look_of
from keeprt.engine.faces.look import (
    Look,
    difference,
    follow_look,
    follow_restless,
    presence,
    same_person,
)

PICTURE, OTHER = textured(200, 200, 1, blur=7.0), textured(200, 200, 2, blur=7.0)
PLACE = landmarks_at(100, 100, eyes=40)


def look(picture, place=PLACE):
    found = look_of(picture, place)
    assert found is not None
    return found


def lit(gain, offset):
    return np.clip(PICTURE.astype(float) * gain + offset, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("gain, offset", [(1.0, 0), (0.5, 10), (0.6, 90), (0.3, 0)])
def test_light_is_no_other_person(gain, offset):
    assert difference(look(PICTURE), look(lit(gain, offset))) < 0.02


def test_noise_and_small_shifts_are_no_other_person():
    noise = np.random.RandomState(0).standard_normal(PICTURE.shape) * 15
    noisy = np.clip(PICTURE + noise, 0, 255).astype(np.uint8)
    assert same_person(look(PICTURE), look(noisy))
    assert same_person(look(PICTURE), look(PICTURE, PLACE + np.array([1.0, 0.5])))


def test_another_face_is_another_person_and_absent():
    one, other = look(PICTURE), look(OTHER)
    assert not same_person(one, other)
    assert not same_person(one, other, frames=10, restless=0.3)
    assert presence(one, other) == 0.0
    assert presence(one, one) == 1.0


def test_a_flat_place_shows_nobody():
    flat = np.full_like(PICTURE, 90)
    assert presence(look(PICTURE), look(flat)) == 0.0
    assert float(np.linalg.norm(look(flat).picture)) < 0.1
    assert look_of(PICTURE, np.zeros((5, 2))) is None


def test_a_large_face_has_the_look_of_the_same_face_made_smaller():
    large = cv2.resize(PICTURE, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    place = (PLACE + 0.5) * 4 - 0.5
    assert difference(look(PICTURE), look(large, place)) < 0.03


def vector(*values):
    v = np.array(values, np.float32)
    return v / np.linalg.norm(v)


def test_embeddings_decide_where_both_have_one():
    alike = vector(1, 0)
    near, far = vector(1, 0.2), vector(0, 1)
    assert not same_person(Look(alike, near), Look(alike, far))
    assert same_person(Look(vector(1, 0), near), Look(vector(0, 1), near))
    assert same_person(Look(alike, near), Look(alike, None))
    followed = follow_look(Look(alike, vector(1, 0)), Look(far, vector(0, 1)))
    assert followed.picture is far
    assert np.isclose(np.linalg.norm(followed.person), 1.0)
    assert followed.person[0] > followed.person[1] > 0.2


def test_noise_widens_the_limit_and_only_so_far():
    known = Look(vector(1, 0))
    changed = Look(vector(0.75, np.sqrt(1 - 0.75**2)))  # a difference of 0.25
    assert not same_person(known, changed)
    assert same_person(known, changed, restless=0.15)
    assert same_person(known, changed, frames=6)
    assert not same_person(known, Look(vector(0.6, 0.8)), frames=10, restless=1.0)
    assert follow_restless(0.0, known, changed) == pytest.approx(0.05)
    assert follow_restless(0.1, None, changed) == 0.1


def test_a_doubted_place_has_to_be_the_face_itself():
    known = Look(vector(1, 0))
    similar = Look(vector(0.72, np.sqrt(1 - 0.72**2)))
    assert 0.5 < presence(known, similar) < 1.0
    assert presence(known, similar, doubted=True) == 0.0
    assert presence(known, known, doubted=True) == 1.0
    assert face_at(0, 0).look is None
