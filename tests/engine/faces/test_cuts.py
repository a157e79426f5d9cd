"""Cuts are found at their frame; flashes, pans, fades and noise are none."""

import numpy as np
import pytest
from helpers_faces import textured

from keeprt.engine.faces.cuts import CutDetector, CutOptions

SCENES = [textured(180, 320, seed, blur=12.0) for seed in range(3)]


def cuts(frames, lookahead=3):
    detector = CutDetector(CutOptions(lookahead=lookahead))
    answers = [answer for frame in frames for answer in detector.push(frame)]
    answers += detector.finish()
    assert len(answers) == len(frames)
    return [i for i, cut in enumerate(answers) if cut]


def noisy(scene, seed):
    noise = np.random.RandomState(seed).normal(0, 8, scene.shape)
    return np.clip(scene + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("lookahead", [0, 1, 3, 8])
@pytest.mark.parametrize("at", [1, 2, 10, 18, 19])
def test_a_cut_is_found_at_its_frame(lookahead, at):
    frames = [noisy(SCENES[0 if i < at else 1], i) for i in range(20)]
    assert cuts(frames, lookahead) == [at]


def test_two_cuts_near_each_other_are_both_found():
    shots = [0] * 10 + [1] * 5 + [2] * 10
    assert cuts([noisy(SCENES[s], i) for i, s in enumerate(shots)]) == [10, 15]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_flash_is_no_cut(length):
    frames = [noisy(SCENES[0], i) for i in range(20)]
    for i in range(length):
        frames[9 + i] = np.clip(frames[9 + i].astype(int) + 170, 0, 255).astype(np.uint8)
    assert cuts(frames) == []
    assert cuts(frames, lookahead=0) == [9], "without look-ahead the beginning of a flash is a cut"


def test_a_cut_with_a_flash_beside_it_is_found():
    frames = [noisy(SCENES[0 if i < 10 else 1], i) for i in range(20)]
    frames[12] = np.full_like(frames[12], 250)
    assert cuts(frames) == [10]


@pytest.mark.parametrize("speed", [4, 16, 40])
def test_a_pan_is_no_cut(speed):
    wide = textured(180, 320 + 40 * 30, seed=5, blur=12.0)
    frames = [wide[:, i * speed : i * speed + 320] for i in range(30)]
    assert cuts(frames) == []


def test_a_fade_is_no_cut():
    frames = [(SCENES[0] * (1 - i / 24)).astype(np.uint8) for i in range(25)]
    assert cuts(frames) == []


def test_the_first_frame_and_a_single_frame_are_no_cut():
    assert cuts([SCENES[0]]) == []
    assert cuts([SCENES[0]], lookahead=0) == []
    assert cuts([]) == []
