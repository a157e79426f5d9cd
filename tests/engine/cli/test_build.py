"""`keeprt build`: what it makes, says and writes, beside what `keeprt inspect` shows of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.libraries.tensorrt.test_detector_plan import other_file

pytest.importorskip("tensorrt_rtx", reason="needs keeprt[rtx]")

Command = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
def test_a_plan_for_finding_faces_is_made_beside_the_bundle_s(
    keeprt: Command, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    bundle, told = tmp_path / "bundle", tmp_path / "told.json"
    shutil.copytree(tiny_bundle, bundle, ignore=shutil.ignore_patterns("plans"))
    given = ("build", bundle, "--target", "sm89")
    code, printed, said = keeprt(*given, "--json", told)
    assert code == 0, said
    assert printed.count("detector") == 1 and "cached" not in printed
    plans = json.loads(told.read_text())["result"]["plans"]
    assert [plan["key"]["subgraph"] for plan in plans][5:] == ["flow_matching", "detector"]
    assert len(list((bundle / "plans").glob("*.plan"))) == len(plans) == 7
    assert keeprt(*given)[1].count("cached") == 7
    printed = keeprt("inspect", bundle)[1]
    assert printed.count("detector") == 1 and "another file" not in printed
    mine = keeprt(*given, "--detector", other_file(tmp_path))[1]
    assert mine.count("cached") == 6
    assert keeprt("inspect", bundle)[1].count("another file") == 1
    code, _, said = keeprt(*given, "--detector", told)
    assert code == 2 and "not an ONNX model" in said
