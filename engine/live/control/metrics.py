"""The status of a channel as Prometheus reads it: `exposition(status, accept)`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from keeprt.engine.live.control.catalogue import METRICS
from keeprt.engine.live.control.declared import PREFIX, Declared
from keeprt.engine.live.status import Histogram, Status

MS_PER_S = 1e3
FAMILIES = {
    "gauge": GaugeMetricFamily,
    "counter": CounterMetricFamily,
    "histogram": HistogramMetricFamily,
}


def exposition(status: Status, accept: str) -> tuple[bytes, str]:
    """The text in the format that `accept` asks for, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Of(status))
    encode, kind = choose_encoder(accept)
    return encode(registry), kind


class _Of(Collector):
    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        for one in METRICS:
            yield _family(one, self._status)


def _family(one: Declared, status: Status) -> Metric:
    names = one.label.split()
    family: Any = FAMILIES[one.kind](PREFIX + one.name, one.meaning, labels=names)
    for key, value in one.of(status).items():
        labels = list(key) if isinstance(key, tuple) else [key][: len(names)]
        if isinstance(value, Histogram):
            family.add_metric(labels, buckets=_buckets(value), sum_value=value.total / MS_PER_S)
        elif value is not None:
            family.add_metric(labels, float(value))
    return family  # type: ignore[no-any-return]


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    ends = [*(f"{end / MS_PER_S:g}" for end in histogram.ends), "+Inf"]
    return list(zip(ends, accumulate(histogram.counts), strict=True))
