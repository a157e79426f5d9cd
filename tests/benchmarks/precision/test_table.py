"""The table of policies on the tiny network: what each row says follows from what was run."""

from __future__ import annotations

import pytest

from keeprt.benchmarks.precision.cost import Skeleton
from keeprt.benchmarks.precision.policies import Policy, policies
from keeprt.benchmarks.precision.table import Study, markdown
from keeprt.engine.bundle.load import load_bundle
from keeprt.export.precision.islands import NORMS

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def bundle(tiny_bundle):
    return load_bundle(tiny_bundle)


def test_predicted_times_follow_the_types(bundle):
    skeleton = Skeleton(bundle)
    ms = {policy.name: skeleton.predicted_ms(policy, 8) for policy in policies()}
    for card in ms["fp32"]:
        order = [ms[name][card] for name in ("fp16", "fp16-norms", "mixed", "fp32")]
        assert order == sorted(order) and order[0] < order[-1]
        assert ms["bf16"][card] == ms["fp16"][card]
    # TF32 is no faster than the plain cores on GeForce cards, and much faster on an H100
    tf32 = ms["mixed, TF32 inside islands"]
    assert (
        tf32["RTX 4090"] == ms["mixed"]["RTX 4090"] and tf32["H100 SXM"] < ms["mixed"]["H100 SXM"]
    )


@pytest.mark.slow
def test_a_row_tells_float32_from_half(bundle):
    study = Study(bundle, 3, 1)
    exact = study.row(Policy("fp32", "fp32"), None)
    assert exact.equal_codes == 1 and exact.flow_px == 0 and exact.headroom is None
    half = study.row(Policy("fp16-norms", "fp16-norms", NORMS), Skeleton(bundle))
    brain = study.row(Policy("bf16", "bf16"), None)
    assert 0 < half.flow_px < brain.flow_px and half.psnr_float32_db > brain.psnr_float32_db
    assert half.headroom is not None and half.headroom > 1 and half.tightest
    lines = list(markdown([vars(half)]))
    assert len({line.count("|") for line in lines}) == 1
