"""What a body may ask for, and what is refused in one line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeprt.engine.errors import UsageError
from keeprt.engine.live.control import asking
from keeprt.engine.live.status import Settings

VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
NAMES = ("strength", "faces", "bypass", "x", "y", "bundle", "other")
BODIES = VALUES | st.lists(VALUES, max_size=2) | st.dictionaries(st.sampled_from(NAMES), VALUES)


def test_all_settings_of_the_channel_can_be_set() -> None:
    body = {"strength": 0.7, "faces": 2, "bypass": True, "detect_every": 5}
    assert asking.settings(body) == {**body, "faces": "2"}
    assert set(body) == set(Settings.__dataclass_fields__)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"strength": 1.01}, "strength is 1.01: give a number from 0 to 1"),
        ({"strength": True}, "strength is True"),
        ({"strength": float("nan")}, "strength is nan"),
        ({"strength": 10**400}, "strength is 1000"),
        ({"faces": "smallest"}, "give all, largest, center or a number"),
        ({"faces": 0}, "faces is 0"),
        ({"bypass": 1}, "bypass is 1: give true or false"),
        ({"bypass": "true"}, "bypass is 'true'"),
        ({"detect_every": 0}, "detect_every is 0"),
        ({"detect_every": 1.5}, "detect_every is 1.5"),
        ({"strenght": 0.5}, "no setting 'strenght': give strength, faces"),
        ({}, "nothing to set"),
        ([], "give a JSON object"),
        (None, "give a JSON object"),
    ],
)
def test_what_no_setting_takes_is_refused(body: Any, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        asking.settings(body)


def test_a_place_is_two_shares_or_none() -> None:
    assert asking.place({"x": 0, "y": 1}) == {"x": 0.0, "y": 1.0}
    assert asking.place({}) == {}
    for wrong in ({"x": 0.5}, {"x": 0.5, "y": 2}, {"x": "0", "y": 0}, {"x": 0, "y": 0, "z": 0}):
        with pytest.raises(UsageError, match="give x and y"):
            asking.place(wrong)


def test_a_bundle_is_a_folder_or_none() -> None:
    assert asking.bundle({"bundle": "new"}) == {"bundle": "new"}
    assert asking.bundle({}) == {}
    for wrong in ({"bundle": 3}, {"folder": "x"}, {"bundle": "a\0b"}):
        with pytest.raises(UsageError, match="give bundle"):
            asking.bundle(wrong)


@settings(max_examples=50)
@given(BODIES)
def test_whatever_comes_is_taken_or_refused_by_name(body: Any) -> None:
    for read in (asking.settings, asking.place, asking.bundle, asking.nothing):
        try:
            values = read(body)
        except UsageError as error:
            assert "\n" not in str(error)
        else:
            assert isinstance(values, dict)
