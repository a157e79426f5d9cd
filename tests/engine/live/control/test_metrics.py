"""Metrics as Prometheus' own parser reads them, and as the page describes them."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from keeprt.engine.live.control.catalogue import METRICS, table
from keeprt.engine.live.control.metrics import exposition
from keeprt.engine.live.status import DELAY_BUCKETS, Histogram, Status
from tests.engine.live.control.stand_in import busy_status

PAGE = Path(__file__).parents[4] / "docs" / "live.md"
OPEN = "application/openmetrics-text; version=1.0.0"


def samples(status: Status) -> dict[tuple[str, ...], float]:
    text, _ = exposition(status, "")
    return {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
    }


def test_values_are_those_of_the_status_in_seconds() -> None:
    found = samples(busy_status(1e9))
    assert found["keeprt_live_frames_total", "restored"] == 92480
    assert found["keeprt_live_bypass_frames_total", "late"] == 15
    assert found["keeprt_live_declared_delay_seconds",] == 0.16
    assert found["keeprt_live_delay_part_seconds", "processing"] == 0.055
    assert found["keeprt_live_state", "live"] == 1
    assert found["keeprt_live_state", "slate"] == 0
    assert found["keeprt_live_worker_state", "ready"] == 1
    assert found["keeprt_live_sound_offset_seconds",] == pytest.approx(0.0004)
    assert found["keeprt_live_status_time_seconds",] == 1e9


def test_a_histogram_is_cumulative_and_complete() -> None:
    seen = Histogram(DELAY_BUCKETS)
    for value in (10, 161, 161, 9999):
        seen.see(value)
    found = samples(replace(busy_status(1e9), delay_histogram=seen))
    name = "keeprt_live_delay_seconds"
    assert found[f"{name}_bucket", "0.02"] == 1
    assert found[f"{name}_bucket", "0.16"] == 1
    assert found[f"{name}_bucket", "0.2"] == 3
    assert found[f"{name}_bucket", "+Inf"] == found[f"{name}_count",] == 4
    assert found[f"{name}_sum",] == pytest.approx(10.331)


def test_what_is_not_known_is_left_out() -> None:
    found = samples(Status())
    assert not [key for key in found if key[0] == "keeprt_live_sound_offset_seconds"]


@pytest.mark.parametrize("status", [Status(), busy_status(1e9)])
def test_openmetrics_is_served_to_those_who_ask_for_it(status: Status) -> None:
    text, kind = exposition(status, OPEN)
    assert kind.startswith("application/openmetrics-text")
    names = {family.name for family in openmetrics.text_string_to_metric_families(text.decode())}
    assert names == {one.full_name.removesuffix("_total") for one in METRICS}


def test_labels_that_a_source_chooses_break_nothing() -> None:
    text, _ = exposition(replace(busy_status(1e9), source='udp://"\n\\x'), "")
    families = list(text_string_to_metric_families(text.decode()))
    assert families[0].samples[0].labels["source"] == 'udp://"\n\\x'


def test_every_metric_is_documented_with_what_to_do() -> None:
    assert table() in PAGE.read_text(encoding="utf-8"), (
        "python -m keeprt.engine.live.control.catalogue, into docs/live.md"
    )
    assert all(one.meaning and one.remedy for one in METRICS)
    assert len({one.name for one in METRICS}) == len(METRICS)


def test_every_number_of_a_status_is_in_a_metric() -> None:
    told = {field.name for field in fields(Status)}
    elsewhere = {"bypass_reason", "cover", "frame", "jitter_ms", "last_event", "on_loss"}
    elsewhere |= {"settings", "state_since_s"}
    read: set[str] = set()

    class Watched(Status):
        def __getattribute__(self, name: str) -> object:
            read.add(name)
            return super().__getattribute__(name)

    watched = Watched(**{name: getattr(busy_status(1e9), name) for name in told})
    for one in METRICS:
        one.of(watched)
    assert told - read - elsewhere == set()
