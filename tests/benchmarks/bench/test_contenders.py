"""Rivals do the same work as the engine: their pictures are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.benchmarks.bench.rivals.contenders import Case, EngineContender, pictures_for
from keeprt.benchmarks.bench.rivals.plain_onnx import PlainOnnx
from keeprt.benchmarks.bench.rivals.reference import ReferenceContender
from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.restorer import Restorer
from keeprt.export.reference import reference_frames
from tests.networks import faces


def restored_by_the_engine(bundle: Path, case: Case, calls: list[list[Any]]) -> list[list[Any]]:
    restorer = Restorer.load(bundle, mode=case.mode, threads=1, window=case.window,
                             chunk=case.chunk, max_faces=case.faces)  # fmt: skip
    if case.mode == "clip":
        return [list(restorer.restore_clip(chunk)) for chunk in calls]
    states, found = [restorer.new_state() for _ in range(case.faces)], []
    for pictures in calls:
        restored, states = restorer.restore(pictures, states)
        found.append(restored)
    return found


def restored_by(contender: Any, calls: list[list[Any]]) -> list[list[Any]]:
    contender.load()
    contender.first(calls[0])
    found = [contender.pictures]
    for pictures in calls[1:]:
        contender.call(pictures)
        found.append(contender.pictures)
    return found


def apart(a: list[list[Any]], b: list[list[Any]]) -> int:
    """The largest difference in levels over all pictures, of which there are as many."""
    assert [len(one) for one in a] == [len(one) for one in b]
    return max(
        int(np.abs(x.astype(int) - y).max())
        for one, other in zip(a, b, strict=True)
        for x, y in zip(one, other, strict=True)
    )


def calls_of(case: Case) -> list[list[Any]]:
    """More frames than the window holds, or two chunks."""
    count = 2 if case.mode == "clip" else case.window + 2
    return [pictures_for(case, faces(5), index) for index in range(count)]


CASES = [Case("stream", 1, 3, 4, 1), Case("stream", 2, 3, 4, 1), Case("clip", 1, 3, 4, 1)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bundle", "case"),
    [
        *(("tiny_bundle", case) for case in CASES),
        ("tiny_bundle_without_kalman", CASES[1]),
        ("tiny_bundle_without_cfa", CASES[1]),
        ("tiny_bundle_without_kalman", CASES[2]),
    ],
)
def test_plain_sessions_give_the_engines_pictures(
    request: pytest.FixtureRequest, bundle: str, case: Case
) -> None:
    path = request.getfixturevalue(bundle)
    calls = calls_of(case)
    ours = restored_by_the_engine(path, case, calls)
    assert apart(ours, restored_by(PlainOnnx(path, case), calls)) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.mode}-{case.faces}")
def test_the_reference_gives_the_engines_pictures(tiny_bundle: Path, case: Case) -> None:
    calls = calls_of(case)
    reference = ReferenceContender(tiny_bundle, "synthetic:3", case)
    assert (
        apart(restored_by_the_engine(tiny_bundle, case, calls), restored_by(reference, calls)) <= 2
    )


def test_the_reference_frame_by_frame_is_the_reference(tiny: Any, tiny_bundle: Path) -> None:
    case, clip = Case("stream", 1, 3, 4, 1), faces(6)
    contender = ReferenceContender(tiny_bundle, "synthetic:3", case)
    found = restored_by(contender, [[picture] for picture in clip])
    expected = [[picture] for picture, _ in reference_frames(tiny, clip, window=3)]
    assert apart(found, expected) <= 1


def test_settling_fills_the_window_of_everybody(tiny_bundle: Path) -> None:
    case = Case("stream", 2, 6, 4, 1)
    pictures = [pictures_for(case, faces(5), index) for index in range(2)]
    engine = EngineContender(tiny_bundle, case)
    plain = PlainOnnx(tiny_bundle, case)
    reference = ReferenceContender(tiny_bundle, "synthetic:3", case)
    for contender in (engine, plain, reference):
        contender.load()
        contender.first(pictures[0])
        contender.settle(pictures[1])
    assert all(state.seen == 6 for state in engine._states)
    assert all(state.arrays["latents"].any(axis=(1, 2, 3)).all() for state in engine._states)
    assert plain._past["latents"].shape[1] == 6
    assert reference._past is not None and len(reference._past.latents) == 6
    stages = engine.call(pictures[0])
    assert stages.keys() >= {*load_bundle(tiny_bundle).subgraphs, "warp"}
    assert plain.call(pictures[0]).keys() == stages.keys()


def test_the_reference_refuses_other_weights_than_the_bundles(tiny_bundle: Path) -> None:
    contender = ReferenceContender(tiny_bundle, "synthetic:4", Case("stream", 1, 3, 4, 1))
    with pytest.raises(UsageError, match=r"made of synthetic:3, not of synthetic:4.*--weights"):
        contender.load()
