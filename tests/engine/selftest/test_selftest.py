"""The self-test: what can be tried with no card, and the rest on the driver in host memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keeprt.engine import load_bundle
from keeprt.engine.devices.cuda.driver import has_card
from keeprt.engine.selftest import checks, frames
from keeprt.engine.selftest.checks import Check, NotPossibleError, machine_checks, run
from keeprt.engine.selftest.report import as_page, as_result
from tests.cuda_driver.engines import HostEngines
from tests.cuda_driver.session import ON_DRIVER, on_host_driver


def failing() -> tuple[str, dict[str, Any]]:
    raise AssertionError("3 levels apart")


def lacking() -> tuple[str, dict[str, Any]]:
    raise NotPossibleError("no card")


def test_a_check_passes_fails_or_is_not_possible() -> None:
    found = [run("a", lambda: ("said", {"ms": 3})), run("b", failing), run("c", lacking)]
    assert [check.state for check in found] == ["passed", "failed", "not possible"]
    content = json.loads(json.dumps(as_result(found)))
    assert content["checks"][0]["figures"] == {"ms": 3}
    assert "| b | failed | 3 levels apart |" in as_page(found)


@pytest.mark.skipif(on_host_driver(), reason="there is a driver")
def test_without_a_card_what_could_not_be_tried_is_said(tiny_bundle: Path) -> None:
    states = {check.name: check.state for check in machine_checks(0)}
    if states["driver and cards"] == "passed":
        pytest.skip("this machine has a card")
    assert states["kernels say what NumPy says"] == "not possible"
    assert states["versions"] == "passed" and "failed" not in states.values()
    (check,) = frames.host_checks(load_bundle(tiny_bundle))
    assert check.state == "passed" and check.figures["ms_per_frame"] > 0


def test_a_detector_s_plan_that_is_not_there_is_no_failure_and_one_that_does_not_load_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if on_host_driver() or has_card():
        pytest.skip("this machine has a driver")
    said = checks.plan_check(tmp_path, "rtx", 0)
    assert (said.state, said.said[:16]) == ("not possible", "no NVIDIA driver")
    monkeypatch.setattr(checks, "require_card", lambda: None)
    said = checks.plan_check(tmp_path, "rtx", 0)
    assert said.state == "not possible" and said.said.endswith("run `keeprt build` again")
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "detector.a.plan").touch()
    assert checks.plan_check(tmp_path, "rtx", 0).state == "failed"


@ON_DRIVER
def test_kernels_and_frames_are_tried_on_a_card(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    found: list[Check] = list(machine_checks(0))
    # ONNX Runtime's provider needs a card indeed.
    assert [check.state for check in found] == [*["passed"] * 4, "not possible"], found
    found = list(frames.card_checks(bundle, lambda: HostEngines(bundle), 0, 20))
    assert {check.name: check.state for check in found} == {
        "plans say what ONNX Runtime says": "failed",  # these engines run frames only
        "eager, captured and in flight": "passed",
        "memory stays flat": "passed",
        "a state goes to the CPU and back": "passed",
    }, found
