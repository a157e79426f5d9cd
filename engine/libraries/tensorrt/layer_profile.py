"""What TensorRT says of a plan's layers: which there are, and how long each takes.

As two files, in the form of trtexec's --exportLayerInfo and --exportProfile, which NVIDIA's engine
explorer (trex) reads. It has not been seen on a card yet.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keeprt.engine.errors import BackendError


@dataclass(frozen=True)
class LayerProfile:
    """One plan: `layers` as the library's inspector says them, `profile` as `profile_records`."""

    layers: dict[str, Any]
    profile: list[dict[str, Any]]


def layer_recorder(trt: Any) -> Any:
    """A profiler of the library's kind for one context; `ms` has each layer's times, one a run."""

    class Recorder(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.ms: dict[str, list[float]] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.ms.setdefault(layer_name, []).append(ms)

    return Recorder()


def profile_records(ms: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """The number of runs, then a record of each layer in the order of the plan; milliseconds."""
    total = sum(map(sum, ms.values()))
    records = [
        {
            "name": name,
            "timeMs": sum(times),
            "averageMs": statistics.fmean(times),
            "medianMs": statistics.median(times),
            "percentage": 100 * sum(times) / total if total else 0.0,
        }
        for name, times in ms.items()
    ]
    return [{"count": max(map(len, ms.values()), default=0)}, *records]


def layer_information(trt: Any, engine: Any, name: str) -> dict[str, Any]:
    """The layers of a plan. Raises BackendError where it was built without them."""
    inspector = engine.create_engine_inspector()
    text = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    try:
        found: dict[str, Any] = json.loads(text)
        detailed = isinstance(found["Layers"][0], dict)
    except (ValueError, KeyError, IndexError, TypeError):
        raise BackendError(f"{name}: TensorRT tells nothing of this plan's layers") from None
    if not detailed:
        raise BackendError(
            f"{name}: this plan holds the names of its layers alone; delete it and run "
            "`keeprt build` again"
        )
    return found
