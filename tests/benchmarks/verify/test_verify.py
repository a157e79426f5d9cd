"""A right bundle passes, a wrong one fails and is named; what flips is told from what drifts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keeprt.benchmarks.precision.runs import psnr_db
from keeprt.benchmarks.verify.judging.judge import judge
from keeprt.benchmarks.verify.judging.thresholds import load_thresholds
from keeprt.benchmarks.verify.measuring.bisect import bisect
from keeprt.benchmarks.verify.measuring.drift import carried, trend
from keeprt.benchmarks.verify.measuring.errors import (
    CodeError,
    TensorError,
    code_error,
    tensor_error,
)
from keeprt.benchmarks.verify.measuring.reference import SteppedReference
from keeprt.benchmarks.verify.measuring.run import spread
from keeprt.benchmarks.verify.measuring.subgraph_errors import subgraph_errors
from keeprt.benchmarks.verify.result import Result
from keeprt.benchmarks.verify.tables import drift_sentences
from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from keeprt.export.model import Keep
from keeprt.export.precision.graph_copy import convert_bundle
from keeprt.export.precision.islands import ISLANDS
from tests.benchmarks.verify.conftest import measured, verification
from tests.networks import faces

FP32 = load_thresholds("fp32")
SUBGRAPHS = ["lq_encoder", "decoder", "hq_encoder", "gain_net", "flow_features", "flow_matching"]


def failed(result: Result, precision: str = "fp32") -> set[str]:
    """Subgraphs with a criterion of their own that does not hold."""
    found = {c.where.partition(".")[0] for c in judge(result, load_thresholds(precision)).failed}
    return found & set(SUBGRAPHS)


@pytest.mark.slow
def test_the_right_bundle_passes(right: Result) -> None:
    verdict = judge(right, FP32)
    assert verdict.passed, verdict.failed
    assert {c.where.partition(".")[0] for c in verdict.criteria} == {
        *SUBGRAPHS, "synced", "forced", "state",
    }  # fmt: skip
    assert all(c.passed for c in verdict.criteria)
    assert [row.frame for row in right.frames if row.forced] == [0, 1, 11]
    assert 0 < right.frames[-1].free.relative_l2 < 1e-4
    assert 0 < right.frames[-1].control.relative_l2 < 1e-4


def test_clip_mode_begins_anew_with_each_chunk(tiny: Keep, tiny_bundle: Path) -> None:
    result = measured(tiny_bundle, tiny, 5, chunk=3).result
    assert [row.begins for row in result.frames] == [True, False, False, True, False]
    assert [row.free.since_same_state for row in result.frames] == [1, 2, 3, 1, 2]
    assert judge(result, FP32).passed


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["without_kalman", "without_cfa"])
def test_ablated_networks(kind: str, request: pytest.FixtureRequest) -> None:
    network = request.getfixturevalue(f"tiny_{kind}")
    result = measured(request.getfixturevalue(f"tiny_bundle_{kind}"), network).result
    assert judge(result, FP32).passed


@pytest.mark.slow
@pytest.mark.parametrize("subgraph", SUBGRAPHS)
def test_one_changed_weight_fails_and_names_its_subgraph(
    subgraph: str, broken: Callable[[str], tuple[Path, str]], tiny: Keep
) -> None:
    folder, _ = broken(subgraph)
    assert failed(measured(folder, tiny, 2).result) == {subgraph}


@pytest.mark.slow
def test_bisect_names_the_node_whose_weight_was_changed(
    broken: Callable[[str], tuple[Path, str]], tiny: Keep, tiny_bundle: Path
) -> None:
    folder, node = broken("flow_features")
    run = measured(folder, tiny, 2)
    _, inputs, _ = run.worst_inputs["flow_features"]
    found = bisect(run.bundle, tiny, "flow_features", inputs, FP32.bisect_relative_l2, 1)
    assert found is not None and found.found
    assert (found.node, found.operator) == (node, "Conv")
    assert found.scope.startswith("flow.backbone.layer2")
    assert len(found.weights) == 1
    right = load_bundle(tiny_bundle)
    same = bisect(right, tiny, "flow_features", inputs, FP32.bisect_relative_l2, 1)
    assert same is not None and not same.found and same.relative_l2 < 1e-6


@pytest.mark.slow
def test_half_precision_forced_on_the_code_transformer_fails_the_decoder(
    tiny: Keep, tiny_bundle: Path, tmp_path: Path
) -> None:
    bundle = load_bundle(tiny_bundle)
    convert_bundle(bundle, tmp_path / "mixed", "mixed")
    islands = tuple(island for island in ISLANDS if island.name != "lookup")
    convert_bundle(bundle, tmp_path / "forced", "mixed", islands=islands)
    assert failed(measured(tmp_path / "mixed", tiny).result, "mixed") == set()
    assert failed(measured(tmp_path / "forced", tiny).result, "mixed") == {"decoder"}


@pytest.mark.slow
def test_after_a_flip_the_synced_run_goes_on_from_the_reference(
    broken: Callable[[str], tuple[Path, str]], tiny: Keep
) -> None:
    """A changed flow flips codes; the free run then goes astray, the synced one does not."""
    folder, _ = broken("flow_features")
    rows = measured(folder, tiny, 8).result.frames
    first = next(row.frame for row in rows if row.free.codes.flips)
    assert all(row.free == row.synced for row in rows[: first + 1])
    assert rows[first + 1].synced.since_same_state == 1
    after = rows[first + 2 :]
    free, synced = (sum(e.codes.flips for e in run) for run in
                    ([r.free for r in after], [r.synced for r in after]))  # fmt: skip
    assert free > synced
    last = rows[-1]
    assert last.forced is not None
    if rows[-2].synced.codes.flips:
        assert last.forced == last.synced
    text = " ".join(drift_sentences(Result({"mode": "stream"}, frames=rows)))
    assert f"codes first differ at frame {first} " in text


def test_a_growing_error_is_called_so() -> None:
    noise = 10 ** np.random.default_rng(0).normal(0, 0.05, 60)
    frames = range(60)
    growing = trend(frames, 1e-6 * noise * 10 ** (np.arange(60) / 50))
    assert growing.low > 0 and abs(growing.slope - 2) < 0.3
    assert "grows" in growing.statement()
    level = trend(frames, 1e-6 * noise)
    assert level.low < 0 < level.high
    assert "does not grow" in level.statement()
    assert not trend(range(5), [1e-6] * 5).known


def test_what_the_past_adds_is_told_from_what_comes_with_the_pictures(right: Result) -> None:
    def scaled(factor: float) -> Result:
        rows = [
            replace(row, synced=replace(row.synced, relative_l2=factor * row.forced.relative_l2))
            if row.forced is not None
            else row
            for row in right.frames
        ]
        return replace(right, frames=rows)

    assert carried(scaled(3).frames) == pytest.approx([3] * len(carried(right.frames)))
    assert carried(right.frames)
    assert "the error is 3.00 to 3.00 times" in " ".join(drift_sentences(scaled(3)))


def test_a_growing_error_fails(right: Result) -> None:
    rows = [
        replace(row, synced=replace(row.synced, relative_l2=1e-6 * 10 ** (row.frame / 10)))
        for row in right.frames
    ]
    verdict = judge(replace(right, frames=rows), FP32)
    assert [c.measure for c in verdict.failed] == ["drift, decades per 100 frames"]


def test_values_that_are_not_finite_fail() -> None:
    exact = np.ones((1, 3, 4, 4), np.float32)
    value = exact.copy()
    value[0, 0, 0, 0] = np.nan
    assert tensor_error(value, exact).relative_l2 == np.inf
    assert psnr_db(value, exact) == -np.inf
    assert psnr_db(exact, exact) == np.inf


def test_gaps_are_those_of_the_flipped_codes() -> None:
    exact, margin = np.array([[1, 2, 3, 4]]), np.array([[0.5, 0.1, 0.2, 9.0]])
    assert code_error(np.array([[1, 0, 0, 4]]), exact, margin, 2.0) == CodeError(4, 2, [0.1, 0.05])


def test_samples_are_spread_over_the_run() -> None:
    assert spread(4, 12) == {0, 1, 6, 11}
    assert spread(2, 12) == {0, 1}
    assert spread(10, 4) == {0, 1, 2, 3}


def test_subjects_name_mode_and_clip(tiny: Keep, tiny_bundle: Path) -> None:
    subject = verification(tiny_bundle, tiny, 4).result.subject
    assert subject["mode"] == "stream" and subject["window"] == 4 and "chunk" not in subject


def test_a_flip_excuses_what_the_generator_makes_of_it(
    tiny: Keep, tiny_bundle: Path, right: Result
) -> None:
    (frame,) = SteppedReference(tiny, 4).restore(faces(1))
    codes = frame.outputs["decoder"]["codes"].copy()
    codes[0, 5] ^= 1
    frame.outputs["decoder"]["codes"] = codes
    bundle = load_bundle(tiny_bundle)
    errors = subgraph_errors(bundle, OnnxRuntimeBackend(bundle, threads=1), 0, frame)
    assert {e.subgraph for e in errors if not e.same_codes} == {"decoder"}

    def with_restored_off(same_codes: bool) -> Result:
        huge = TensorError(1.0, 0.5, 0.9)
        outputs = [
            replace(o, error=huge, same_codes=same_codes)
            if o.output == "restored" and o.frame == 1
            else o
            for o in right.outputs
        ]
        return replace(right, outputs=outputs)

    assert failed(with_restored_off(False)) == set()
    assert failed(with_restored_off(True)) == {"decoder"}
