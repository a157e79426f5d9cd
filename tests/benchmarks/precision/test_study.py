"""The precision study on the small network: what it records, and what it finds between bundles."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from keeprt.benchmarks.demo_clip import demo_clip
from keeprt.benchmarks.precision.islands import study_islands
from keeprt.benchmarks.precision.runs import compare_runs, compare_subgraphs, logits_std, record_run
from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.restorer import Restorer
from keeprt.export.precision.graph_copy import convert_bundle
from keeprt.export.precision.islands import ISLANDS
from keeprt.export.reference import to_picture


@pytest.fixture(scope="module")
def exact(tiny_bundle):
    return load_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def faces(exact):
    return demo_clip(3, size=exact.face_size).degraded


@pytest.fixture(scope="module")
def records(exact, faces):
    return record_run(exact, faces)


@pytest.fixture(scope="module")
def half(exact, tmp_path_factory):
    path = tmp_path_factory.mktemp("half") / "bundle"
    convert_bundle(exact, path, "fp16")
    return load_bundle(path)


def test_every_subgraph_is_recorded_as_it_ran(exact, tiny_bundle, faces, records):
    assert set(records[1].inputs) == set(records[1].outputs) == set(exact.subgraphs)
    restorer = Restorer.load(tiny_bundle)
    state = restorer.new_state()
    for face, record in zip(faces, records, strict=True):
        picture, state = restorer.restore(face, state)
        restored = torch.from_numpy(record.outputs["decoder"]["restored"][0])
        np.testing.assert_array_equal(picture, to_picture(restored))


def test_a_bundle_agrees_with_its_own_records(exact, faces, records):
    std = logits_std(exact, records[1])
    for free in (False, True):
        comparison = compare_runs(exact, faces, records, std, free=free)
        assert [row.error for row in comparison.frames] == [0, 0]
        assert sum(row.flips for row in comparison.frames) == 0


@pytest.mark.slow
def test_half_precision_is_found_in_every_subgraph(half, faces, records, exact):
    errors = compare_subgraphs(half, records)
    assert {name.split(".")[0] for name in errors} == set(exact.subgraphs)
    assert all(1e-6 < mean <= worst for mean, worst in errors.values()), errors
    # what the generator makes of a code that has flipped tells nothing about its arithmetic
    made = {f"decoder.{name}" for name in ("restored", "cache_16", "cache_32")}
    assert all(worst < 0.1 for name, (_, worst) in errors.items() if name not in made), errors
    comparison = compare_runs(half, faces, records, logits_std(exact, records[1]), free=False)
    assert all(row.error > 1e-6 and row.flow_error for row in comparison.frames)


@pytest.mark.slow
def test_islands_table_has_a_row_for_all_each_and_none(exact, records):
    rows = {row.name: row for row in study_islands(exact, records[1:])}
    assert len(rows) == len(ISLANDS) + 2
    everything, nothing = rows["all"], rows["none (fp16)"]
    assert nothing.float32_share == 0 < everything.float32_share
    assert everything.flow_error == 0 < nothing.flow_error
    assert all(row.float32_share <= everything.float32_share for row in rows.values())
