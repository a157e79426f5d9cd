"""Plans on disk: which one is found, and which is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from keeprt.engine.errors import BackendError
from keeprt.engine.libraries.tensorrt.build_all import Listener, build_plans
from keeprt.engine.libraries.tensorrt.choice import plan_keys
from keeprt.engine.libraries.tensorrt.plan_store import find_plan, note_path
from tests.engine.libraries.tensorrt.plans import PROFILE, request

trt = pytest.importorskip("tensorrt_rtx", reason="needs keeprt[rtx]")


def test_one_portable_plan_serves_all_targets(one, tmp_path):
    (made,) = build_plans(one, request("sm120", "sm86", portable=True), tmp_path)
    assert made.note.key.target == "sm86+sm120"
    for target, there in (("sm86", True), ("sm120", True), ("sm89", False)):
        named = (one, "flow_features", "rtx", trt.__version__, target, PROFILE, tmp_path)
        assert [key.file_name == made.file.name for key in plan_keys(*named)[1:]] == [True] * there


def test_the_name_spells_every_input_of_the_build(one, tmp_path):
    (made,) = build_plans(one, request(), tmp_path)
    sha256 = one.subgraphs["flow_features"].sha256[:16]
    version = trt.__version__
    assert made.file.name == (
        f"flow_features.mixed.rtx-{version}.sm89.faces1-1-4.tf32off-userallocation.{sha256}.plan"
    )


def flip(file: Path, offset: int) -> None:
    content = bytearray(file.read_bytes())
    content[offset] ^= 1
    file.write_bytes(content)


def test_a_flipped_byte_in_a_plan_is_refused_and_built_again(one, tmp_path):
    (made,) = build_plans(one, request(), tmp_path)
    flip(made.file, 1000)
    with pytest.raises(BackendError, match="was edited or damaged: its SHA-256 differs"):
        find_plan(tmp_path, made.note.key, "keeprt build")
    said: list[str] = []
    (again,) = build_plans(one, request(), tmp_path, Listener(notify=said.append))
    assert not again.cached and "building it again" in said[0]
    find_plan(tmp_path, made.note.key, "keeprt build")


def test_a_flipped_byte_in_a_note_is_refused(one, tmp_path):
    (made,) = build_plans(one, request(), tmp_path)
    note = note_path(made.file)
    flip(note, note.read_bytes().index(b"faces1") + 5)
    with pytest.raises(BackendError, match="was edited or damaged: its seal does not match"):
        find_plan(tmp_path, made.note.key, "keeprt build")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "sm86"}, "is for sm89, this card is sm86"),
        ({"version": "9.9"}, "was built by version .*, this is 9.9"),
        ({"onnx_sha256": "0" * 64}, "was built from another graph"),
        ({"profile": "faces1-1-8"}, "is for sizes faces1-1-4, not faces1-1-8"),
        ({"flavour": "tensorrt"}, "is of flavour rtx, not tensorrt"),
    ],
)
def test_a_plan_that_does_not_fit_is_named_with_the_command(one, tmp_path, change, message):
    (made,) = build_plans(one, request(), tmp_path)
    with pytest.raises(BackendError, match=f"no plan of flow_features fits: .*{message}.*; run `"):
        find_plan(tmp_path, replace(made.note.key, **change), "keeprt build bundle")


def test_no_plan_at_all_gives_the_command(one, tmp_path):
    (made,) = build_plans(one, request(), tmp_path)
    with pytest.raises(BackendError, match="has no plan of flow_features; run `keeprt build b"):
        find_plan(tmp_path / "empty", made.note.key, "keeprt build b")
