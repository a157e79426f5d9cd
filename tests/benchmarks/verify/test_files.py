"""Result files, baselines, JUnit XML and pages, from one run and changed copies of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from keeprt.benchmarks.verify.conclusion import Outputs, conclude
from keeprt.benchmarks.verify.judging.baseline import check_face, load_baseline
from keeprt.benchmarks.verify.judging.judge import Criterion
from keeprt.benchmarks.verify.judging.junit import broken_rule
from keeprt.benchmarks.verify.judging.thresholds import load_thresholds
from keeprt.benchmarks.verify.measuring.errors import CodeError
from keeprt.benchmarks.verify.measuring.pictures import PictureFolder
from keeprt.benchmarks.verify.measuring.run import FramePictures
from keeprt.benchmarks.verify.result import Result, load_result
from keeprt.engine.errors import UsageError
from tests.networks import faces

FP32 = load_thresholds("fp32")


def scaled(result: Result, factor: float) -> Result:
    """The same run with errors so many times as large."""
    outputs = [
        replace(o, error=o.error and replace(o.error, relative_l2=o.error.relative_l2 * factor))
        for o in result.outputs
    ]
    return replace(result, outputs=outputs)


def at_half_the_limits(result: Result) -> Result:
    """The same run with half of what float32 is allowed: rounding differs between processors."""
    outputs = [
        replace(o, error=replace(o.error, relative_l2=FP32.largest_error(name) / 2))
        if o.error
        else o
        for o in result.outputs
        for name in [f"{o.subgraph}.{o.output}"]
    ]
    return replace(result, outputs=outputs)


def flipped(result: Result) -> Result:
    """The same run in which a code flipped that was not nearly tied, with the picture it makes."""
    rows = list(result.frames)
    error = replace(rows[3].synced, codes=CodeError(256, 2, [0.25, 0.0003]), psnr_db=31.0)
    rows[3] = replace(rows[3], synced=error, free=error)
    return replace(result, frames=rows)


@pytest.mark.slow
def test_a_result_survives_its_file(right: Result, tmp_path: Path) -> None:
    odd = replace(right.frames[0].free, psnr_db=np.inf, relative_l2=np.inf)
    result = replace(right, frames=[replace(right.frames[0], free=odd), *right.frames[1:]])
    result.save(tmp_path / "new" / "r.json")
    assert load_result(tmp_path / "new" / "r.json") == result
    content = json.loads((tmp_path / "new" / "r.json").read_text(), parse_constant=pytest.fail)
    before = {"format": content["format"], **content["result"]}  # as it was without an envelope
    (tmp_path / "old.json").write_text(json.dumps(before))
    assert load_result(tmp_path / "old.json") == result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("{", "is no JSON"),
        ("[]", "is no result of"),
        ('{"format": "keeprt-verify", "format_version": 7}', "has format version 7"),
        ('{"format": "keeprt-verify", "format_version": 1, "frames": 3}', "is damaged"),
    ],
)
def test_files_that_are_no_results(text: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=message):
        load_result(file)


def test_a_better_baseline_makes_the_run_fail(right: Result, tmp_path: Path) -> None:
    now = at_half_the_limits(right)  # and away from the floor of rounding
    assert conclude(now, FP32, now, Outputs()).passed
    assert conclude(now, FP32, scaled(now, 1 / 1.4), Outputs()).passed
    assert conclude(now, FP32, None, Outputs()).passed
    verdict = conclude(now, FP32, scaled(now, 1 / 1.6), Outputs())
    assert not verdict.passed
    assert "baseline: lq_encoder.latent" in {c.where for c in verdict.failed}
    # Rounding below the floor is no regression, however small the baseline's was.
    assert conclude(scaled(right, 0.1), FP32, scaled(right, 0.01), Outputs()).passed


@pytest.mark.parametrize("name", ["weights_sha256", "clip", "mode", "frames"])
def test_a_baseline_of_something_else_is_refused(name: str, right: Result, tmp_path: Path) -> None:
    other = replace(right, subject=right.subject | {name: "other"})
    other.save(tmp_path / "b.json")
    with pytest.raises(UsageError, match=f"{name} is 'other'"):
        load_baseline(tmp_path / "b.json", right)


def test_a_baseline_of_other_faces_or_one_not_complete_is_refused(
    right: Result, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="its face of frame 0 differs"):
        check_face(right, replace(right.frames[0], face_sha256="0"))
    replace(right, complete=False).save(tmp_path / "b.json")
    with pytest.raises(UsageError, match="was interrupted"):
        load_baseline(tmp_path / "b.json", right)


def test_a_baseline_may_be_another_export_of_the_same_weights(
    right: Result, tmp_path: Path
) -> None:
    other = replace(right, subject=right.subject | {"bundle_sha256": "other"})
    other.save(tmp_path / "b.json")
    assert conclude(right, FP32, load_baseline(tmp_path / "b.json", right), Outputs()).passed


def test_a_broken_rule_is_said_in_numbers_that_differ() -> None:
    just = Criterion("synced", "equal codes", 0.99994, 0.99995, False, False)
    assert broken_rule(just) == (
        "synced equal codes is 0.99994, below the smallest that is allowed, 0.99995"
    )
    far = Criterion("decoder.restored", "relative L2", 3e-3, 1e-4, True, False)
    assert "is 0.003, above the largest that is allowed, 0.0001" in broken_rule(far)


def test_junit_has_a_case_for_every_criterion(right: Result, tmp_path: Path) -> None:
    bad = flipped(scaled(right, 1000))
    verdict = conclude(bad, FP32, None, Outputs(junit=tmp_path / "r.xml"))
    root = ET.parse(tmp_path / "r.xml").getroot()
    (suite,) = root
    cases = suite.findall("testcase")
    assert root.tag == "testsuites" and suite.tag == "testsuite"
    assert int(suite.get("tests", "")) == len(cases) == len(verdict.criteria) + 1
    failures = [case for case in cases if case.find("failure") is not None]
    assert int(suite.get("failures", "")) == len(failures) == len(verdict.failed) > 5
    names = {(case.get("classname"), case.get("name")) for case in cases}
    assert len(names) == len(cases)
    assert ("keeprt.verify.decoder", "restored relative L2") in names
    assert ("keeprt.verify.synced", "gap of flips / std") in {
        (case.get("classname"), case.get("name")) for case in failures
    }
    assert all(float(case.get("time", "")) >= 0 for case in cases)
    assert suite.findall("properties/property[@name='bundle_sha256']")


def test_an_interrupted_run_is_an_error_in_junit(right: Result, tmp_path: Path) -> None:
    partial = replace(right, complete=False, frames=right.frames[:4])
    verdict = conclude(partial, FP32, None, Outputs(junit=tmp_path / "r.xml"))
    assert not verdict.passed
    assert ET.parse(tmp_path / "r.xml").getroot().get("errors") == "1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("format"), "holds no thresholds"),
        (lambda c: c.update(version=9), "has version 9"),
        (lambda c: c["precisions"].pop("fp32"), "no thresholds for 'fp32'"),
        (lambda c: c["precisions"]["fp32"].pop("codes"), "KeyError 'codes'"),
        (lambda c: c["precisions"]["fp32"].update(psnr_db="high"), "under 'fp32'"),
        (lambda c: c["precisions"]["fp32"]["relative_l2"].pop("*"), "must begin with"),
    ],
)
def test_bad_thresholds(change: Callable[[dict], object], message: str, tmp_path: Path) -> None:
    from importlib import resources

    file = resources.files("keeprt.benchmarks.verify.judging").joinpath("thresholds.json")
    content = json.loads(file.read_text())
    change(content)
    (tmp_path / "t.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match=message):
        load_thresholds("fp32", tmp_path / "t.json")


def test_every_precision_has_thresholds() -> None:
    from keeprt.export.precision.islands import PRECISIONS

    limits = {name: load_thresholds(name) for name in PRECISIONS}
    assert limits["fp32"].largest_error("decoder.restored") == 1e-4
    assert limits["mixed"].largest_error("decoder.margin") == 1e-3


@pytest.fixture
def pictures(right: Result, tmp_path: Path) -> PictureFolder:
    folder = PictureFolder(tmp_path / "pictures")
    theirs = faces(1)[0]
    for frame in right.pictures:
        ours = theirs.copy()
        ours[:20, :20, 0] ^= 3
        folder.save(FramePictures(frame, theirs, theirs, ours))
    return folder


def test_pictures_survive_their_files(pictures: PictureFolder, right: Result) -> None:
    found = pictures.load(right.pictures[0])
    assert found is not None and np.array_equal(found.reference, faces(1)[0])
    assert pictures.load(999) is None


@pytest.mark.slow
def test_the_page_shows_the_verdict_and_the_pictures(
    open_report, right: Result, pictures: PictureFolder, tmp_path: Path
) -> None:
    outputs = Outputs(report=tmp_path / "r.html", pictures=pictures)
    conclude(right, FP32, None, outputs)
    page = open_report(tmp_path / "r.html").page
    assert "passed: all" in page.locator(".verdict.good").inner_text()
    assert page.locator("h2").all_inner_texts() == [
        "From frame to frame", "Flipped codes", "Pictures", "Each subgraph", "All criteria",
    ]  # fmt: skip
    text = page.locator("body").inner_text()
    assert "largest difference 3 of 255 levels, shown times 64" in text
    assert "no code flips in 12 frames" in text
    assert "synthetic weights" in text


def test_the_page_of_a_failed_run(open_report, right: Result, tmp_path: Path) -> None:
    statement = "decoder: the first layer that departs is node_conv2d_7"
    bad = replace(flipped(right), bisected=[{"statement": statement}])
    verdict = conclude(bad, FP32, None, Outputs(report=tmp_path / "r.html"))
    page = open_report(tmp_path / "r.html", dark=True).page
    assert "failed: " in page.locator(".verdict.bad").inner_text()
    assert page.locator("h2").first.inner_text() == "What does not hold"
    text = page.locator("body").inner_text()
    assert statement in text and "codes first differ at frame 3 (2 of 256" in text
    assert [c.name for c in verdict.failed] == ["synced gap of flips / std"]
