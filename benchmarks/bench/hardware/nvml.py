"""A card during the run, by nvidia-ml-py: clocks, power, heat, throttling, memory, energy."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

EVERY_S = 0.1
# Bits of nvmlDeviceGetCurrentClocksEventReasons (throttle reasons before) that slow a card.
REASONS = {
    0x2: "application clocks set",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
SET_CLOCKS = 0x2
SLOWED = 0x4 | 0x8 | 0x20 | 0x40 | 0x80


@dataclass(frozen=True)
class Sample:
    """One look: MHz, watts, degrees Celsius, bits of REASONS, bytes in all and by process."""

    sm_mhz: int
    memory_mhz: int
    watts: float
    celsius: int
    reasons: int
    used_bytes: int
    processes: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CardRun:
    """What a card did during a run. `joules_per_frame` is by contender, over its own rounds."""

    samples: tuple[Sample, ...]
    joules_per_frame: Mapping[str, float]

    def facts(self) -> dict[str, str]:
        """Lines of a page's head."""
        if not self.samples:
            return {"GPU samples": "none: nvidia-ml-py gave nothing"}
        seen = self.samples
        one = max(max(s.processes.values(), default=0) for s in seen)
        facts = {
            "GPU samples": f"{len(seen)}, one every {EVERY_S:g} s of the rounds",
            "GPU clocks seen": f"SM {_range(s.sm_mhz for s in seen)} MHz, "
            f"memory {_range(s.memory_mhz for s in seen)} MHz, {self.clocks()}",
            "GPU power": f"{_range(round(s.watts) for s in seen)} W",
            "GPU temperature": f"{_range(s.celsius for s in seen)} °C",
            "GPU slowed by": self.slowed(),
            "GPU memory": f"{max(s.used_bytes for s in seen) / 1e6:.0f} MB at most, of all; "
            f"{one / 1e6:.0f} MB of one process",
        }
        energy = ", ".join(f"{name} {j:.3g}" for name, j in self.joules_per_frame.items())
        return facts | ({"joules per frame": energy} if energy else {})

    def clocks(self) -> str:
        """Whether they were set or free."""
        if any(s.reasons & SET_CLOCKS for s in self.samples):
            return "set (application clocks)"
        same = len({s.sm_mhz for s in self.samples}) == 1
        return "constant, as if locked" if same else "not locked"

    def slowed(self) -> str:
        """What held the card back, with the share of samples."""
        counts = Counter(bit for s in self.samples for bit in REASONS if s.reasons & bit & SLOWED)
        shares = (f"{REASONS[bit]} in {n / len(self.samples):.0%}" for bit, n in counts.items())
        return ", ".join(shares) or "nothing"


class CardWatch:
    """Looks at one card from a thread of its own, while a contender is measured."""

    def __init__(self, index: int = 0, nvml: Any = None) -> None:
        """`nvml` is the module pynvml, found if None. Raises ImportError without nvidia-ml-py."""
        self._nvml: Any = nvml or import_module("pynvml")
        self._nvml.nvmlInit()
        self._card = self._nvml.nvmlDeviceGetHandleByIndex(index)
        self.samples: list[Sample] = []
        self._joules: dict[str, float] = {}
        self._frames: dict[str, int] = {}

    def facts(self) -> dict[str, str]:
        """What does not change: driver, VBIOS, limits."""
        nvml, card = self._nvml, self._card
        sm = nvml.NVML_CLOCK_SM
        return {
            "GPU driver": _text(nvml.nvmlSystemGetDriverVersion()),
            "GPU VBIOS": _text(nvml.nvmlDeviceGetVbiosVersion(card)),
            "GPU clock at most": f"SM {nvml.nvmlDeviceGetMaxClockInfo(card, sm)} MHz",
            "GPU power limit": f"{nvml.nvmlDeviceGetPowerManagementLimit(card) / 1e3:.0f} W",
        }

    @contextmanager
    def watching(self, contender: str, frames: int) -> Iterator[None]:
        """Samples until the block ends, and counts its energy for so many frames."""
        over = threading.Event()
        thread = threading.Thread(target=self._run, args=(over,), daemon=True)
        before = self._energy()
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            after = self._energy()
            if before is not None and after is not None:
                spent = self._joules.get(contender, 0.0) + (after - before) / 1e3
                self._joules[contender] = spent
                self._frames[contender] = self._frames.get(contender, 0) + frames

    def found(self) -> CardRun:
        """The run so far."""
        each = {name: joules / self._frames[name] for name, joules in self._joules.items()}
        return CardRun(tuple(self.samples), each)

    def look(self) -> Sample:
        """One sample of now."""
        nvml, card = self._nvml, self._card
        reasons = getattr(
            nvml,
            "nvmlDeviceGetCurrentClocksEventReasons",
            getattr(nvml, "nvmlDeviceGetCurrentClocksThrottleReasons", lambda card: 0),
        )
        return Sample(
            sm_mhz=int(nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_SM)),
            memory_mhz=int(nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_MEM)),
            watts=nvml.nvmlDeviceGetPowerUsage(card) / 1e3,
            celsius=int(nvml.nvmlDeviceGetTemperature(card, nvml.NVML_TEMPERATURE_GPU)),
            reasons=int(self._asked(lambda: reasons(card), 0)),
            used_bytes=int(nvml.nvmlDeviceGetMemoryInfo(card).used),
            processes={
                one.pid: int(one.usedGpuMemory or 0)
                for one in self._asked(lambda: nvml.nvmlDeviceGetComputeRunningProcesses(card), [])
            },
        )

    def close(self) -> None:
        """Lets the library go."""
        self._nvml.nvmlShutdown()

    def _run(self, over: threading.Event) -> None:
        while True:
            self.samples.append(self.look())
            if over.wait(EVERY_S):
                return

    def _energy(self) -> float | None:
        """Millijoules since the driver was loaded, None for cards that do not count them."""
        asked = self._asked(lambda: self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._card))
        return None if asked is None else float(asked)

    def _asked(self, question: Callable[[], Any], otherwise: Any = None) -> Any:
        """An answer that some cards do not have."""
        try:
            return question()
        except self._nvml.NVMLError:
            return otherwise


def _range(values: Iterator[int] | Any) -> str:
    found = list(values)
    low, high = min(found), max(found)
    return f"{low}" if low == high else f"{low} to {high}"


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
