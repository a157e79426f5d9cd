"""What a channel is asked to do: one value for the command line, the wire, and the processes.

Interface: `options = LiveOptions(source=..., sink=...)` refuses what cannot be; `options.text()`
and `LiveOptions.read(text)` carry it to another process.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from fractions import Fraction

from keeprt.engine.errors import UsageError
from keeprt.engine.live.budget import Asked, parse_delay
from keeprt.engine.live.loss import DEFAULT_LADDER, Ladder, parse_ladder
from keeprt.engine.live.status import Settings

CODECS = ("auto", "h264", "hevc", "libx264", "libx265", "h264_nvenc", "hevc_nvenc")
INTERLACED = ("bypass", "frame")
LEAST_RATE, MOST_RATE = 1, 240


@dataclass(frozen=True)
class LiveOptions:
    """source, sink: addresses. bundle: a folder; none with `settings.bypass` alone, where nothing
    is restored. rate: frames a second, or "auto". lookahead: frames seen ahead, to tell cuts.
    bitrate: bits a second; None by the size of the picture. control: HOST:PORT, or "off"."""

    source: str
    sink: str
    bundle: str | None = None
    delay: str = "auto"
    rate: str = "auto"
    settings: Settings = field(default_factory=Settings)
    lookahead: int = 0
    detect_side: int = 320
    min_size: float = 32.0
    on_loss: str = DEFAULT_LADDER
    codec: str = "auto"
    bitrate: int | None = None
    preset: str = "superfast"
    interlaced: str = "bypass"
    programme: int | None = None
    backend: str = "onnxruntime"
    provider: str = "cpu"
    device: int = 0
    threads: int | None = None
    window: int = 20
    control: str = "off"
    token_file: str = ""
    preview: bool = True

    def __post_init__(self) -> None:
        _ = self.asked_delay, self.ladder, self.asked_rate
        if self.codec not in CODECS:
            raise UsageError(f"codec is {self.codec!r}; give {', '.join(CODECS)}")
        if self.interlaced not in INTERLACED:
            raise UsageError(f"interlaced is {self.interlaced!r}; give bypass or frame")

    @property
    def asked_delay(self) -> Asked:
        """Raises UsageError."""
        return parse_delay(self.delay)

    @property
    def ladder(self) -> Ladder:
        """Raises UsageError."""
        return parse_ladder(self.on_loss)

    @property
    def asked_rate(self) -> Fraction | None:
        """None for the source's. Raises UsageError."""
        return None if self.rate == "auto" else parse_rate(self.rate)

    def text(self) -> str:
        """For another process."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> LiveOptions:
        """What `text` gave."""
        values = json.loads(text)
        return cls(**{**values, "settings": Settings(**values["settings"])})


def parse_rate(text: str) -> Fraction:
    """`25`, `30000/1001` or `29.97`. Raises UsageError."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"{text!r} is no rate; give 25, 30000/1001 or auto") from error
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise UsageError(f"a rate of {text} frames a second; give {LEAST_RATE} to {MOST_RATE}")
    broadcast = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    return broadcast if abs(rate - broadcast) < Fraction(1, 200) and rate.denominator > 1 else rate
