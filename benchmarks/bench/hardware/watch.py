"""The machine during a run: what else ran on it, and what the card did where one is used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from keeprt.benchmarks.bench.hardware.load import Load, LoadWatch
from keeprt.benchmarks.bench.hardware.machine import card_facts
from keeprt.benchmarks.bench.hardware.nvml import CardWatch


@dataclass
class Watch:
    """`card` is None where no card is used or nvidia-ml-py is not installed."""

    load_watch: LoadWatch = field(default_factory=LoadWatch)
    card: CardWatch | None = None
    card_used: bool = False
    device: int = 0

    @classmethod
    def open(cls, card_used: bool, device: int = 0) -> Watch:
        """Starts to watch, a second before anything is measured."""
        watch = cls(card=_card_watch(device) if card_used else None, card_used=card_used)
        watch.device = device
        watch.load_watch.start()
        return watch

    @contextmanager
    def watching(self, contender: str, frames: int) -> Iterator[None]:
        """Around one contender's calls of a round."""
        if self.card is None:
            yield
            return
        with self.card.watching(contender, frames):
            yield

    def end_round(self) -> None:
        """After all contenders had their turn."""
        self.load_watch.end_round()

    def facts(self) -> dict[str, str]:
        """Name and limits of the card, and what was seen of it."""
        facts = card_facts(self.device, by_tool=self.card_used and self.card is None)
        if self.card is not None:
            facts |= self.card.facts() | self.card.found().facts()
        return facts

    def load(self) -> Load:
        """What else ran."""
        return self.load_watch.load()

    def close(self) -> None:
        """Lets the card's library go."""
        if self.card is not None:
            self.card.close()
            self.card = None


def _card_watch(device: int) -> CardWatch | None:
    try:
        return CardWatch(device)
    except ImportError:
        return None
