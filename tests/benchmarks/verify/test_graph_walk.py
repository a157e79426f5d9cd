"""Walking through a half-precision graph: what each node stores is what is seen."""

from __future__ import annotations

import numpy as np

from keeprt.benchmarks.verify.measuring.graph_walk import GraphWalk
from tests.export.precision.test_stored import two_convolutions, typed


def test_an_overflow_between_two_half_nodes_is_seen_where_it_happens() -> None:
    walk = GraphWalk(typed(two_convolutions()), threads=1)
    made = {m.name: m.value for m in walk.run({"x": np.full((1, 1, 1, 1), 100, np.float32)})}
    assert made["between"].dtype == np.float16 and np.isinf(made["between"]).all()
    assert not np.isfinite(made["y"]).any()
