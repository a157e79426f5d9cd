"""Whether the same subgraph on the same input says the same, bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from keeprt.benchmarks.precision.runs import run_subgraph
from keeprt.benchmarks.verify.measuring.reference_frame import Array
from keeprt.engine.bundle.load import Bundle
from keeprt.engine.devices.cpu.device import Backend

Tensors = Mapping[str, Array]
REPEATS = 10


def distinct_answers(
    bundle: Bundle,
    backend: Backend,
    tensors: Mapping[str, tuple[Tensors, Tensors]],
    times: int = REPEATS,
) -> dict[str, int]:
    """For each subgraph in `tensors` (inputs, outputs of the right shapes) how many different
    outputs so many runs gave: 1 where it is deterministic."""
    found = {}
    for name, (inputs, like) in tensors.items():
        seen = set()
        for _ in range(times):
            outputs = run_subgraph(bundle, backend, name, inputs, like)
            content = hashlib.sha256()
            for output in sorted(outputs):
                content.update(outputs[output].tobytes())
            seen.add(content.digest())
        found[name] = len(seen)
    return found
