"""How poor clips are made: draws from ranges, the same for a seed down to the byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from keeprt.benchmarks.evaluate.clips import SharpClip, sharp_clips
from keeprt.benchmarks.evaluate.levels import LEVELS, PAPER, Level, parse_levels
from keeprt.benchmarks.evaluate.methods import DegradedClip
from keeprt.benchmarks.evaluate.run import frames_sha256
from keeprt.engine.errors import UsageError

pytest.importorskip("skimage")

FRESH = """
from keeprt.benchmarks.evaluate.clips import sharp_clips
from keeprt.benchmarks.evaluate.levels import LEVELS
from keeprt.benchmarks.evaluate.methods import DegradedClip
from keeprt.benchmarks.evaluate.run import frames_sha256
clip = next(sharp_clips([], 6, 128))
print(frames_sha256(DegradedClip.make(clip, LEVELS["heavy"].draw(clip.name, 5)).input))
"""


def made() -> SharpClip:
    return next(sharp_clips([], 6, 128))


def degraded_sha256(level: str, seed: int, clip: SharpClip | None = None) -> str:
    clip = clip or made()
    return frames_sha256(DegradedClip.make(clip, LEVELS[level].draw(clip.name, seed)).input)


def test_a_seed_gives_the_same_bytes_twice_and_in_a_fresh_process(tmp_path: Path) -> None:
    first = degraded_sha256("heavy", 5)
    assert degraded_sha256("heavy", 5) == first
    fresh = subprocess.run(
        [sys.executable, "-c", FRESH], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert fresh.stdout.strip() == first


def test_another_seed_level_or_clip_gives_other_bytes() -> None:
    clip = made()
    renamed = SharpClip("other", clip.frames, clip.rate, clip.source)
    found = {
        degraded_sha256("heavy", 5),
        degraded_sha256("heavy", 6),
        degraded_sha256("mild", 5),
        degraded_sha256("heavy", 5, renamed),
    }
    assert len(found) == 4


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_draws_fill_the_ranges_and_stay_inside(level: Level) -> None:
    drawn = [level.draw(f"clip {n}", n) for n in range(300)]
    for values, (low, high) in (
        ([d.blur_sigma for d in drawn], level.sigma),
        ([d.noise_sigma for d in drawn], level.noise),
        ([d.crf for d in drawn], level.crf),
    ):
        assert low <= min(values) <= low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) <= max(values) <= high
    assert {d.downscale for d in drawn} == {4}
    assert len({d.seed for d in drawn}) == 300


def test_levels_are_each_worse_than_the_one_before() -> None:
    mild, medium, heavy = LEVELS.values()
    for better, worse in ((mild, medium), (medium, heavy)):
        assert better.sigma[1] <= worse.sigma[1] and better.noise[1] <= worse.noise[1]
        assert better.crf[1] <= worse.crf[0]


def test_a_small_face_is_as_unsharp_as_a_large_one() -> None:
    large, small = (LEVELS["heavy"].draw("a", 0, size) for size in (512, 256))
    assert small.blur_sigma == pytest.approx(large.blur_sigma / 2, abs=1e-3)
    assert (small.noise_sigma, small.crf) == (large.noise_sigma, large.crf)


def test_ranges_of_ones_own_replace_those_of_a_level() -> None:
    (level,) = parse_levels("medium", sigma="1,2", crf="10,12")
    assert (level.sigma, level.noise, level.crf) == ((1, 2), LEVELS["medium"].noise, (10, 12))
    assert level.ranges_from == "command line" and LEVELS["medium"].ranges_from == PAPER
    (own,) = parse_levels("paper", sigma="0,0", noise="3,3", crf="20,20", downscale=2)
    drawn = own.draw("a", 0)
    assert (drawn.blur_sigma, drawn.noise_sigma, drawn.crf, drawn.downscale) == (0, 3, 20, 2)
    assert [level.name for level in parse_levels("mild,heavy")] == ["mild", "heavy"]


@pytest.mark.parametrize(
    ("names", "ranges", "said"),
    [
        ("foggy", {}, "unknown level 'foggy'"),
        ("foggy", {"sigma": "1,2"}, "give --sigma, --noise and --crf"),
        ("", {}, "one or more of mild, medium, heavy"),
        ("mild,mild", {}, "each once"),
        ("mild,heavy", {"sigma": "1,2"}, "give one --level"),
        ("mild", {"sigma": "2"}, "two numbers LO,HI"),
        ("mild", {"sigma": "2,x"}, "two numbers LO,HI"),
        ("mild", {"sigma": "2,1"}, "is no range"),
        ("mild", {"noise": "-1,1"}, "is no range"),
        ("mild", {"noise": "nan,nan"}, "is no range"),
        ("mild", {"crf": "20,52"}, "is no range"),
        ("mild", {"crf": "20.5,30"}, "whole numbers"),
        ("mild", {"downscale": 0}, "downscale is 0"),
    ],
)
def test_impossible_levels_are_refused(names: str, ranges: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_levels(names, **ranges)  # type: ignore[arg-type]
