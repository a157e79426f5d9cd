"""The declared delay, and what it is made of.

Interface: `asked = parse_delay("160ms")` from the command line; `parts = measured(samples,
period_s)` from what a channel saw; `budget = declare(asked, parts, period_s)` once, then fixed.
`budget.deadline_s(due_s)` is when the restorer's answer must be there for a tick at `due_s`.

A frame's way: it waits for those that are decoded before it (reorder), the network brings it late
(jitter), it is decoded, restored (processing) and encoded. A delay that covers all but the
restoration puts originals on air; one that does not cover the rest repeats frames.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from keeprt.engine.errors import UsageError
from keeprt.engine.live.loss import seconds

AUTO_MEASURES_S = 10.0
MARGIN_S = 0.004  # a tick's own jitter
QUANTILE = 0.99
LONGEST_S = 10.0


@dataclass(frozen=True)
class Asked:
    """A delay in seconds or in frames; neither: measured for 10 s, then fixed."""

    delay_s: float | None = None
    frames: int | None = None

    @property
    def auto(self) -> bool:
        """Whether the delay is to be measured and then fixed."""
        return self.delay_s is None and self.frames is None


@dataclass(frozen=True)
class Parts:
    """Seconds of each part of the way; of what varies, what 99 of 100 frames stay below."""

    reorder_s: float = 0.0
    jitter_s: float = 0.0
    decode_s: float = 0.0
    processing_s: float = 0.0
    encoder_s: float = 0.0

    @property
    def wire_s(self) -> float:
        """Without the restoration: below this, frames are repeated."""
        return self.reorder_s + self.jitter_s + self.decode_s + self.encoder_s + MARGIN_S

    @property
    def total_s(self) -> float:
        """Seconds of all parts together."""
        return self.wire_s + self.processing_s


@dataclass(frozen=True)
class Samples:
    """What was measured of single frames, in seconds; `reorder_frames` by the stream's headers."""

    jitter_s: Sequence[float]
    decode_s: Sequence[float] = ()
    processing_s: Sequence[float] = ()
    encoder_s: Sequence[float] = ()
    reorder_frames: int = 0


@dataclass(frozen=True)
class Budget:
    """A delay that is declared and kept."""

    delay_s: float
    parts: Parts

    @property
    def restores(self) -> bool:
        """Whether 99 of 100 restorations are expected in time."""
        return self.delay_s + 1e-9 >= self.parts.total_s

    @property
    def repeats(self) -> bool:
        """Whether the delay is too short even for originals."""
        return self.delay_s + 1e-9 < self.parts.wire_s

    def deadline_s(self, due_s: float) -> float:
        """Until when a restored picture may come for the slot that is due at `due_s`, on the same
        clock."""
        return due_s - self.parts.encoder_s - MARGIN_S

    def __str__(self) -> str:
        parts = {
            "reorder": self.parts.reorder_s,
            "jitter": self.parts.jitter_s,
            "decode": self.parts.decode_s,
            "processing": self.parts.processing_s,
            "encoder": self.parts.encoder_s,
        }
        said = ", ".join(f"{name} {value * 1e3:.0f}" for name, value in parts.items())
        return f"{self.delay_s * 1e3:.0f} ms ({said})"


def parse_delay(text: str) -> Asked:
    """`160ms`, `0.2s`, `4f` or `auto`. Raises UsageError."""
    if text == "auto":
        return Asked()
    if found := re.fullmatch(r"(\d+)f", text):
        if int(found[1]) < 1:
            raise UsageError("a delay of 0 frames cannot be kept; give 1f or more, or auto")
        return Asked(frames=int(found[1]))
    try:
        delay_s = seconds(text)
    except UsageError as error:
        raise UsageError(f"{text!r} is no delay; give 160ms, 4f or auto") from error
    if not 0 < delay_s <= LONGEST_S:
        raise UsageError(f"a delay of {text} cannot be kept; give up to {LONGEST_S:.0f}s")
    return Asked(delay_s=delay_s)


def measured(samples: Samples, period_s: float) -> Parts:
    """The parts that samples of a running stream show; the frame period in seconds."""
    return Parts(
        samples.reorder_frames * period_s,
        quantile(samples.jitter_s),
        quantile(samples.decode_s),
        quantile(samples.processing_s),
        quantile(samples.encoder_s),
    )


def declare(asked: Asked, parts: Parts, period_s: float) -> Budget:
    """The budget; measured ones are rounded up to whole frames."""
    if asked.delay_s is not None:
        return Budget(asked.delay_s, parts)
    frames = asked.frames or max(1, ceil(parts.total_s / period_s - 1e-9))
    return Budget(frames * period_s, parts)


def quantile(values: Sequence[float], share: float = QUANTILE) -> float:
    """The value that `share` of them do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else 0.0
