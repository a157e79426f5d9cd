"""What a metric is, and the ways in which its values are found in a `Status`.

A histogram's values are milliseconds in a `Status` and seconds here, as Prometheus wants them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

from keeprt.engine.live.status import Histogram, Status

PREFIX = "keeprt_live_"
Values = (
    Mapping[str, float | None] | Mapping[str, Histogram] | Mapping[tuple[str, ...], float | None]
)


@dataclass(frozen=True)
class Declared:
    """One metric. `of`: its values by that of its label, by "" where it has none, by a tuple where
    it has several; what is None is left out. `remedy`: what to do where it is not as it should
    be."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    label: str  # several with blanks between
    meaning: str
    remedy: str
    of: Callable[[Status], Values]

    @property
    def full_name(self) -> str:
        """As a query has it."""
        return PREFIX + self.name + ("_total" if self.kind == "counter" else "")


def one(value: Callable[[Status], float | None]) -> Callable[[Status], Values]:
    """A value without a label."""
    return lambda status: {"": value(status)}


def which(names: tuple[str, ...], value: Callable[[Status], str]) -> Callable[[Status], Values]:
    """1 for one of some names, 0 for the others."""
    return lambda status: {name: float(name == value(status)) for name in names}


def seconds(parts: Mapping[str, float]) -> Values:
    """Milliseconds by name, in seconds."""
    return {name: value / 1e3 for name, value in parts.items()}


def info_values(status: Status) -> Values:
    """What comes in and goes out, as labels of a 1."""
    picture = status.picture
    size = f"{picture.width}x{picture.height}{'i' if picture.interlaced else 'p'}"
    codecs = picture.codec_in, picture.codec_out
    labels: tuple[str, ...] = (status.source, status.sink, size, picture.rate, *codecs)
    return {(*labels, version("keeprt")): 1.0}


def sound_s(status: Status) -> float | None:
    """How much later sound is, in seconds."""
    return None if status.sound_ms is None else status.sound_ms / 1e3
