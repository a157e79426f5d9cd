"""How fast a card can multiply and copy: measured on it by PyTorch, or stated by its datasheet.

It has not been seen on a card yet: tests run the measuring on a processor, and the sheets by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keeprt.benchmarks.bench.hardware.cards import CARDS, DatasheetCard
from keeprt.benchmarks.bench.hardware.rates import REPEATS, Meter, RateMeter, Rates
from keeprt.engine.errors import BackendError

MATRIX_SIZE = 8192  # a millisecond of the fastest card's tensor cores
COPY_BYTES = 512 << 20  # read and as many written: more than any card's cache
MAKERS = ("NVIDIA", "Tesla", "GeForce")
#: Cards of the sheets by the driver's name for them, without the maker's.
DRIVER_NAMES = {
    "A100-SXM4-80GB": "A100 SXM",
    "H100 80GB HBM3": "H100 SXM",
    "RTX 6000 Ada Generation": "RTX 6000 Ada",
    "RTX A2000 12GB": "RTX A2000",
    "RTX PRO 6000 Blackwell Workstation Edition": "RTX PRO 6000",
    "Orin (nvgpu)": "Orin",
}


def sheet_of(name: str) -> DatasheetCard | None:
    """The datasheet of the very card that the driver calls so, None where there is none."""
    words = name.split()
    while words and words[0] in MAKERS:
        words.pop(0)
    bare = " ".join(words)
    return CARDS.get(DRIVER_NAMES.get(bare, bare))


def open_meter(threads: int | None, card: int | None = None, name: str = "") -> Meter:
    """What measures the device that the engine computes on: the processor where `card` is None;
    else PyTorch where it sees that card, its datasheet by `name`, or, where there is neither, the
    processor, whose rates are no floors of a card. Raises BackendError."""
    if card is None:
        return RateMeter(threads)
    if _torch_sees(card):
        return TorchMeter(f"cuda:{card}", name)
    sheet = sheet_of(name)
    return SheetMeter(sheet) if sheet else RateMeter(threads)


class SheetMeter:
    """What a datasheet states, the same each time."""

    of_card = True

    def __init__(self, card: DatasheetCard) -> None:
        self.measured: list[Rates] = []
        self._rates = Rates(
            1e3 * card.fp32_tflop_s,
            card.gb_s,
            1e3 * card.fp16_tflop_s,
            of=f"this card ({card.name})",
            sheet=card.source,
        )

    def measure(self) -> Rates:
        """See Meter."""
        self.measured.append(self._rates)
        return self._rates

    def close(self) -> None:
        """See Meter."""


class TorchMeter:
    """Products in float32, without TF32, and in float16, and a copy within the card's memory."""

    of_card = True

    def __init__(self, device: str, name: str) -> None:
        """Measures once, while nobody else holds the card's memory; `device` "cpu" is for tests."""
        self.measured: list[Rates] = []
        self._device, self._of = device, f"this card ({name})"
        self.measure()

    def measure(self) -> Rates:
        """See Meter; the best of a few repeats after one that does not count. Where contenders
        leave no memory for it the sample before stands, and none is added."""
        import torch

        try:
            rates = Rates(
                self._product_gflop_s(torch.float32),
                self._copy_gb_s(),
                self._product_gflop_s(torch.float16),
                of=self._of,
            )
        except torch.cuda.OutOfMemoryError:
            if not self.measured:
                raise BackendError("the card has no memory free: end what else uses it") from None
            return self.measured[-1]
        finally:
            if self._device != "cpu":
                torch.cuda.empty_cache()
        self.measured.append(rates)
        return rates

    def close(self) -> None:
        """See Meter: memory is given back after each sample, for contenders need it."""

    def _product_gflop_s(self, dtype: Any) -> float:
        import torch

        a, b = (
            torch.ones(MATRIX_SIZE, MATRIX_SIZE, dtype=dtype, device=self._device) for _ in "ab"
        )
        out = torch.empty_like(a)
        allowed = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = False
        try:
            seconds = self._best_seconds(lambda: torch.matmul(a, b, out=out))
        finally:
            torch.backends.cuda.matmul.allow_tf32 = allowed
        return 2 * MATRIX_SIZE**3 / seconds / 1e9

    def _copy_gb_s(self) -> float:
        import torch

        source = torch.ones(COPY_BYTES, dtype=torch.uint8, device=self._device)
        target = torch.empty_like(source)
        return 2 * COPY_BYTES / self._best_seconds(lambda: target.copy_(source)) / 1e9

    def _best_seconds(self, work: Callable[[], object]) -> float:
        from keeprt.benchmarks.bench.rivals.torch_card import computing

        with computing(self._device, half=False):
            work()
            return min(self._seconds(work) for _ in range(REPEATS))

    def _seconds(self, work: Callable[[], object]) -> float:
        import torch

        from keeprt.benchmarks.bench.rivals.torch_card import mark, seconds_of

        start = mark(self._device)
        work()
        end = mark(self._device)
        if self._device != "cpu":
            torch.cuda.synchronize(self._device)
        return seconds_of([("work", start, end)], {"work": 0.0})["work"]


def _torch_sees(card: int) -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available() and card < torch.cuda.device_count()
