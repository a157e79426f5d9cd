"""What is said of a machine: its libraries, other load, and its card, for which tools stand in."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from keeprt.benchmarks.bench.hardware import machine
from keeprt.benchmarks.bench.hardware.load import (
    Load,
    LoadWatch,
    net_rounds,
    pace_seconds,
    waited_seconds,
)
from keeprt.benchmarks.bench.hardware.watch import Watch
from keeprt.engine.devices.cuda.driver import Card as DriverCard
from keeprt.engine.devices.cuda.driver import Driver
from keeprt.engine.errors import BackendError

CARD = DriverCard(0, "A card", "sm89", 8 << 30)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_driver", lambda: Driver((13, 0), (CARD,)))


def test_facts_name_the_processor_and_every_library_and_no_place() -> None:
    facts = machine.machine_facts(3)
    assert facts["threads used"] == "3" and facts["CPU"]
    assert {"keeprt", "onnxruntime", "av", "numpy"} <= set(facts)
    assert not any("/" in value for value in facts.values())


def test_no_driver_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Driver:
        raise BackendError("no NVIDIA driver")

    monkeypatch.setattr(machine, "find_driver", missing)
    assert machine.card_facts() == {"GPU": "none"}


def test_without_nvml_a_cards_clocks_come_from_nvidia_smi(
    driver: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '1200 MHz, 2500 MHz, 9001 MHz, 300.00 W, 580.1'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(LoadWatch, "start", lambda watch: None)
    watch = Watch.open(card_used=True)
    assert watch.card is None
    facts = watch.facts()
    assert facts["GPU clocks.sm"] == "1200 MHz" and facts["GPU power.limit"] == "300.00 W"
    tool.unlink()
    assert "neither nvidia-ml-py nor nvidia-smi" in watch.facts()["GPU clocks"]
    assert machine.card_facts() == {"GPU": "A card"}, "where no card is used, none is asked"


def test_other_load_is_what_all_did_without_us() -> None:
    """Busy for 10 s in 10 s, of which ours are 6: others kept 0.4 cores busy."""
    busy, ours = iter([100.0, 110.0, 111.0]), iter([50.0, 56.0, 57.0])
    clock = iter([0.0, 10.0, 20.0])
    watch = LoadWatch(lambda: next(busy), lambda: next(ours), lambda: next(clock))
    watch._look()
    watch.end_round()
    watch.end_round()
    assert watch.rounds == pytest.approx([0.4, 0.0]), "ours alone is no other load"


def test_a_loaded_machine_is_called_one() -> None:
    quiet = Load(2, 0.01, (0.02, 0.08), 0.3)
    assert not quiet.is_loaded and not quiet.warning()
    assert quiet.statement().startswith("quiet: other processes kept 0.01 of 2 cores busy")
    for loaded in (Load(2, 0.5, (0.0,)), Load(2, 0.0, (0.0, 0.4))):
        assert loaded.is_loaded and loaded.statement().startswith("LOADED")
        assert "other load was there" in loaded.warning()


def test_a_call_is_counted_without_its_waiting_and_in_units_of_the_pace() -> None:
    assert net_rounds([[10.0, 30.0], [8.0]], [[2.0, 10.0], [0.0]], [2.0, 4.0]) == [[4, 10], [2]]
    assert net_rounds([[10.0]], [], []) == [[10.0]]


def test_pace_and_waiting_are_measured_here() -> None:
    assert 0 < pace_seconds() < 1
    before = waited_seconds()
    time.sleep(0.01)
    assert waited_seconds() >= before
