"""The simulated hall where the answer is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeprt.benchmarks.sizing.channels import Hall, by_headroom, simulate

SMALL = Hall(channels=20, cards=4, seconds=20, mean_between_failures_s=1e12)


def test_nothing_is_late_where_half_of_every_card_is_free() -> None:
    (found,) = by_headroom(SMALL, [0.004, 0.005, 0.006], [0.5])
    assert found.headroom == pytest.approx(0.5)
    assert (found.late, found.failures, found.frames) == (0, 0, 20 * 20 * 25)


def test_an_overload_makes_nearly_everything_late_in_the_end() -> None:
    (found,) = by_headroom(SMALL, [0.01], [-0.5])
    assert found.late > 0.9


def test_a_card_that_fails_is_felt_where_there_is_no_room_for_its_channels() -> None:
    failing = replace(SMALL, seconds=40, mean_between_failures_s=40.0, start_s=5.0)
    tight, roomy = by_headroom(failing, [0.005], [0.05, 0.8])
    assert tight.failures == roomy.failures > 0
    assert tight.late > 0.05 > roomy.late


def test_a_lone_card_serves_one_after_the_other() -> None:
    hall = Hall(channels=2, cards=1, fps=1, seconds=4, mean_between_failures_s=1e12)
    assert simulate(hall, [0.4]).late == 0
    assert simulate(replace(hall, deadline_frames=0.1), [0.4]).late == 1
