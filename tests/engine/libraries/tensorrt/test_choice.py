"""Which plans are taken, told by empty files under the plans' names."""

from __future__ import annotations

from pathlib import Path

import pytest

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.libraries.tensorrt.choice import fitting_profile, plan_keys
from keeprt.engine.libraries.tensorrt.plan_store import Profile
from tests.engine.borders import released_borders

OF = ("rtx", "1.7.1.116", "sm89")


def built(folder: Path, profile: Profile, lacking: str = "", of: tuple[str, str, str] = OF) -> None:
    bundle = released_borders()
    for name in bundle.subgraphs.keys() - {lacking}:
        (folder / plan_keys(bundle, name, *of, profile, folder)[0].file_name).touch()


@pytest.fixture
def bundle() -> Bundle:
    return released_borders()


def test_the_smallest_plans_that_hold_the_frames_are_taken(bundle: Bundle, tmp_path: Path) -> None:
    fits, larger = Profile(faces=(1, 2, 4)), Profile(faces=(1, 1, 8), frames=(2, 8, 16))
    for profile in (larger, fits, Profile(), Profile(faces=(2, 2, 4)), Profile(frames=(2, 4, 4))):
        built(tmp_path, profile)
    assert fitting_profile(bundle, *OF, tmp_path, faces=3, window=8) == fits
    assert fitting_profile(bundle, *OF, tmp_path, faces=3, window=9) == larger
    assert fitting_profile(bundle, *OF, tmp_path, faces=1, window=8) == Profile()


def test_the_names_of_plans_that_users_have_stay(bundle: Bundle, tmp_path: Path) -> None:
    names = {
        name: plan_keys(bundle, name, *OF, Profile(faces=(1, 1, 4)), tmp_path)[0].file_name
        for name in ("gain_net", "decoder")
    }
    assert names == {
        "gain_net": "gain_net.float32.rtx-1.7.1.116.sm89.faces1-1-4.frames2-8-8.selected1-1-1."
        "tf32off-userallocation..plan",
        "decoder": "decoder.float32.rtx-1.7.1.116.sm89.faces1-1-4.tf32off-userallocation..plan",
    }


@pytest.mark.parametrize("what", ["lacking", "version", "card"])
def test_where_none_fit_what_to_build_is_said(bundle: Bundle, tmp_path: Path, what: str) -> None:
    of = {"version": ("rtx", "1.8.0.1", "sm89"), "card": ("rtx", "1.7.1.116", "sm86")}
    built(tmp_path, Profile(faces=(1, 2, 4)), "decoder" * (what == "lacking"), of.get(what, OF))
    wanted = Profile(faces=(1, 1, 2), frames=(2, 6, 6))
    assert fitting_profile(bundle, *OF, tmp_path, faces=2, window=6) == wanted
