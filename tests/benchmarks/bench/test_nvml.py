"""A card's samples, by a made stand-in for nvidia-ml-py: no figure here is of a real card."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from keeprt.benchmarks.bench.hardware import nvml
from keeprt.benchmarks.bench.hardware.nvml import CardRun, CardWatch, Sample

MADE = Sample(1980, 2619, 600.0, 61, 0x4, 9_000_000_000, {7: 8_000_000_000})


@dataclass
class MadeNvml:
    """The calls of pynvml that are made, over made values; each look advances the clock by one."""

    sm: list[int]
    millijoules: list[int]
    reasons: int = 0
    counts_energy: bool = True
    closed: bool = False
    NVML_CLOCK_SM: int = 1
    NVML_CLOCK_MEM: int = 2
    NVML_TEMPERATURE_GPU: int = 0
    NVMLError: type[Exception] = field(default=OSError)

    def nvmlInit(self) -> None:  # noqa: N802
        self.looks = 0

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.closed = True

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlSystemGetDriverVersion(self) -> bytes:  # noqa: N802
        return b"580.65.06"

    def nvmlDeviceGetVbiosVersion(self, card: int) -> str:  # noqa: N802
        return "96.00.A5"

    def nvmlDeviceGetMaxClockInfo(self, card: int, which: int) -> int:  # noqa: N802
        return 1980

    def nvmlDeviceGetPowerManagementLimit(self, card: int) -> int:  # noqa: N802
        return 700_000

    def nvmlDeviceGetClockInfo(self, card: int, which: int) -> int:  # noqa: N802
        if which == self.NVML_CLOCK_MEM:
            return 2619
        self.looks += 1
        return self.sm[min(self.looks, len(self.sm)) - 1]

    def nvmlDeviceGetPowerUsage(self, card: int) -> int:  # noqa: N802
        return 512_400

    def nvmlDeviceGetTemperature(self, card: int, which: int) -> int:  # noqa: N802
        return 58

    def nvmlDeviceGetCurrentClocksEventReasons(self, card: int) -> int:  # noqa: N802
        return self.reasons

    def nvmlDeviceGetMemoryInfo(self, card: int) -> Any:  # noqa: N802
        return SimpleNamespace(used=3_000_000_000)

    def nvmlDeviceGetComputeRunningProcesses(self, card: int) -> list[Any]:  # noqa: N802
        return [SimpleNamespace(pid=11, usedGpuMemory=2_000_000_000)]

    def nvmlDeviceGetTotalEnergyConsumption(self, card: int) -> int:  # noqa: N802
        if not self.counts_energy:
            raise self.NVMLError
        return self.millijoules.pop(0)


def test_a_run_has_samples_and_joules_per_frame_of_each_contender(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nvml, "EVERY_S", 30.0)
    made = MadeNvml([1755, 1980], [0, 4_000_000, 4_000_000, 5_000_000, 5_000_000, 9_000_000])
    watch = CardWatch(nvml=made)
    for name, frames in (("keeprt", 10), ("eager", 5), ("keeprt", 10)):
        with watch.watching(name, frames):
            pass
    found = watch.found()
    assert found.joules_per_frame == {"keeprt": 400.0, "eager": 200.0}
    facts = found.facts()
    assert facts["GPU clocks seen"] == "SM 1755 to 1980 MHz, memory 2619 MHz, not locked"
    assert facts["GPU power"] == "512 W" and facts["GPU slowed by"] == "nothing"
    assert facts["GPU memory"] == "3000 MB at most, of all; 2000 MB of one process"
    assert facts["joules per frame"] == "keeprt 400, eager 200"
    assert watch.facts()["GPU VBIOS"] == "96.00.A5" and watch.facts()["GPU driver"] == "580.65.06"
    watch.close()
    assert made.closed


def test_what_slows_a_card_is_named_with_its_share() -> None:
    free = Sample(1980, 2619, 300.0, 50, 0, 1)
    run = CardRun((MADE, free, free, free), {})
    assert run.facts()["GPU slowed by"] == "power cap in 25%"
    assert CardRun((free, free), {}).clocks() == "constant, as if locked"
    assert CardRun((Sample(1000, 1, 1.0, 1, 0x2, 1),), {}).clocks() == "set (application clocks)"
    assert "nothing" in CardRun((), {}).facts()["GPU samples"]


def test_a_card_that_counts_no_energy_has_no_joules() -> None:
    watch = CardWatch(nvml=MadeNvml([1000], [], counts_energy=False))
    with watch.watching("keeprt", 3):
        pass
    assert watch.found().joules_per_frame == {} and len(watch.samples) >= 1
