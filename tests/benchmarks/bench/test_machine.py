"""What is said of a machine and its card; the card's tools are stand-ins, for there is none."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keeprt.benchmarks.bench import machine
from keeprt.benchmarks.bench.run import Card
from keeprt.engine.errors import BackendError
from keeprt.engine.nvidia_driver import Card as DriverCard
from keeprt.engine.nvidia_driver import Driver

CARD = DriverCard(0, "A card", "sm89", 8 << 30)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_driver", lambda: Driver((13, 0), (CARD,)))


def stand_in(used: list[int]) -> Any:
    """The calls of nvidia-ml-py that are made; each look at the memory takes the next value."""
    return SimpleNamespace(
        NVML_CLOCK_SM=1,
        NVML_CLOCK_MEM=2,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetClockInfo=lambda card, which: 1000 * which,
        nvmlDeviceGetMaxClockInfo=lambda card, which: 2500,
        nvmlDeviceGetPowerManagementLimit=lambda card: 300_000,
        nvmlDeviceGetMemoryInfo=lambda card: SimpleNamespace(used=used.pop(0)),
    )


def test_facts_name_the_processor_and_the_libraries_and_no_place() -> None:
    facts = machine.machine_facts(3)
    assert facts["threads used"] == "3" and facts["CPU"] and "onnxruntime" in facts
    assert not any("/" in value for value in facts.values())


def test_no_driver_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Driver:
        raise BackendError("no NVIDIA driver")

    monkeypatch.setattr(machine, "find_driver", missing)
    assert machine.card_facts() == {"GPU": "none"}


def test_clocks_and_power_limit_come_from_nvml(
    driver: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", stand_in([]))
    assert machine.card_facts() == {
        "GPU": "A card",
        "GPU clocks": "SM 1000 of 2500 MHz, memory 2000 MHz",
        "GPU power limit": "300 W",
    }


def test_without_nvml_they_come_from_nvidia_smi(
    driver: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '1200 MHz, 2500 MHz, 9001 MHz, 300.00 W, 580.1'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    facts = machine.card_facts()
    assert facts["GPU clocks.sm"] == "1200 MHz" and facts["GPU power.limit"] == "300.00 W"
    tool.unlink()
    assert "neither nvidia-ml-py nor nvidia-smi" in machine.card_facts()["GPU clocks"]
    assert machine.device_memory_bytes() == 0


def test_memory_of_a_card_is_the_most_seen(driver: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", stand_in([500_000_000, 900_000_000, 700_000_000]))
    card = Card(used=True)
    for _ in range(3):
        card.observe()
    assert card.facts["GPU memory"].startswith("900 MB")
