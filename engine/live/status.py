"""What a channel says of itself, and what it can be told: the wire's side of the control page.

Interface. The wire and the control process share one socket of messages, each a JSON object:

* wire to control: `{"kind": "status", ...Status}` five times a second; `{"kind": "event",
  ...Event}` at once; `{"kind": "answer", ...Answer}` to each command.
* control to wire: `{"kind": "command", ...Command}`.

`message(thing)` makes one, `read_message(bytes)` gives the dataclass again. `link.py` carries them.

Commands, their `values`, and from when they hold; `Answer.frame` is the number of the first tick
that shows it:

| name | values |
| --- | --- |
| `set` | any of `strength` (0 to 1), `faces` (all, largest, center, N), `bypass`, `detect_every` |
| `reset` | none: the state of all faces is forgotten |
| `choose` | `x`, `y`: a place, 0 to 1; the face there alone is restored. None given: undone |
| `reload` | `bundle`: a folder, or none for the same; the old one serves until the new is warm |
| `preview` | `rate`: pictures a second that the preview is to get; 0 for none |
| `stop` | none: the channel ends with exit code 0 |
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from keeprt.engine.errors import UsageError
from keeprt.engine.live.states import State

KEPT_EVENTS = 200
MOST_EVERY = 10
#: Upper ends, in milliseconds.
DELAY_BUCKETS = (20, 40, 60, 80, 100, 120, 160, 200, 240, 320, 400, 500, 640, 800, 1000, 2000, 5000)
JITTER_BUCKETS = (0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 40, 80)
STAGE_BUCKETS = (0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 40, 60, 80, 120, 160, 320, 1000)
COMMANDS = ("set", "reset", "choose", "reload", "preview", "stop")


@dataclass
class Histogram:
    """Counts of values by upper end, as Prometheus has them (not cumulative); the last: above."""

    ends: Sequence[float]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.ends) + 1)

    def see(self, value: float) -> None:
        """Counts a value."""
        self.counts[bisect_left(self.ends, value)] += 1
        self.total += value


@dataclass(frozen=True)
class Quantiles:
    """Of the last values: milliseconds."""

    count: int = 0
    median: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    most: float = 0.0


@dataclass(frozen=True)
class Settings:
    """What can be changed on air."""

    strength: float = 1.0
    faces: str = "largest"
    bypass: bool = False
    detect_every: int = 3

    def check(self) -> None:
        """Raises UsageError for what cannot be."""
        if not isinstance(self.strength, (int, float)) or not 0 <= self.strength <= 1:
            raise UsageError(f"strength is {self.strength!r}: give a number from 0 to 1")
        if self.faces not in ("all", "largest", "center") and not str(self.faces).isdigit():
            raise UsageError(f"faces is {self.faces!r}: give all, largest, center or a number")
        if not isinstance(self.bypass, bool):
            raise UsageError(f"bypass is {self.bypass!r}: give true or false")
        if not isinstance(self.detect_every, int) or not 1 <= self.detect_every <= MOST_EVERY:
            raise UsageError(f"detect_every is {self.detect_every!r}: give 1 to {MOST_EVERY}")


@dataclass(frozen=True)
class Picture:
    """The format that goes out, and the codecs of both sides; empty before a picture came."""

    width: int = 0
    height: int = 0
    pixel_format: str = ""
    rate: str = ""  # frames a second, such as 25 or 30000/1001
    interlaced: bool = False
    codec_in: str = ""
    codec_out: str = ""


@dataclass(frozen=True)
class Delay:
    """What is declared, the parts that it is made of, and what pictures really waited (from their
    arrival to their sending), all in milliseconds."""

    declared_ms: float = 0.0
    parts_ms: Mapping[str, float] = field(default_factory=dict)
    measured_ms: Quantiles = Quantiles()
    restores: bool = True  # whether 99 of 100 restorations are expected in time
    repeats: bool = False  # whether the delay is too short even for originals


@dataclass(frozen=True)
class Worker:
    """The restorer's process. `state`: none, starting, warming, ready, backing off."""

    state: str = "none"
    pid: int | None = None
    restarts: int = 0
    bundle: str = ""
    last_reason: str = ""  # why the last one ended
    memory_bytes: int = 0


@dataclass(frozen=True)
class Event:
    """Something that happened. `level`: info, warning or error; `time_s`: Unix time."""

    number: int
    time_s: float
    frame: int
    level: str
    name: str  # such as "state", "worker down", "source lost", "command"
    text: str


@dataclass(frozen=True)
class Face:
    """A face of the last restored picture; its box in shares of the picture, 0 to 1."""

    track: int
    x: float
    y: float
    width: float
    height: float
    restored: bool


@dataclass(frozen=True)
class Status:
    """All that is known, at one moment. Counters only grow; all times in milliseconds or Unix."""

    time_s: float = 0.0
    started_s: float = 0.0
    state: State = State.STARTING
    state_since_s: float = 0.0
    bypass_reason: str | None = None
    ready: bool = False
    healthy: bool = False
    frame: int = 0  # number of the last tick
    source: str = ""  # without credentials
    sink: str = ""
    picture: Picture = Picture()
    settings: Settings = Settings()
    on_loss: str = ""  # the ladder, such as "repeat=500ms,black"
    cover: str = ""  # what of it is on air: repeat, black or slate; empty: the source's picture
    delay: Delay = Delay()
    frames: Mapping[str, int] = field(default_factory=dict)
    """By kind: in, out, restored, original, repeat, black, slate, late, duplicate, dropped."""
    bypass: Mapping[str, int] = field(default_factory=dict)  # originals shown, by reason
    ts_errors: Mapping[str, int] = field(default_factory=dict)  # of the input, by kind
    decode_errors: int = 0
    delay_histogram: Histogram = field(default_factory=lambda: Histogram(DELAY_BUCKETS))
    jitter_histogram: Histogram = field(default_factory=lambda: Histogram(JITTER_BUCKETS))
    stage_histograms: Mapping[str, Histogram] = field(default_factory=dict)
    """decode, restore, encode, send; and the restorer's find, align, network, paint."""
    jitter_ms: Quantiles = Quantiles()  # how late ticks were sent, against their time
    clock_ppm: float = 0.0
    clock_steps: int = 0
    joins: int = 0  # time lines that the source began
    queues: Mapping[str, int] = field(default_factory=dict)  # slots, packets, restorer, send
    captions: Mapping[str, int] = field(default_factory=dict)  # waiting, dropped
    reconnects: Mapping[str, int] = field(default_factory=dict)  # source, sink
    transport: Mapping[str, float] = field(default_factory=dict)  # of SRT, by side and name
    sound_ms: float | None = None  # how much later sound is than it was against the picture
    bytes_in: int = 0
    bytes_out: int = 0
    memory_bytes: int = 0
    worker: Worker = Worker()
    faces: tuple[Face, ...] = ()
    last_event: int = 0


@dataclass(frozen=True)
class Command:
    """`number` is the sender's, and comes back in the answer."""

    number: int
    name: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """`frame`: the tick from which the command holds; `error`: why it was refused, else empty."""

    number: int
    frame: int = 0
    error: str = ""


Message = Status | Event | Command | Answer
_KINDS: dict[str, type] = {
    "status": Status,
    "event": Event,
    "command": Command,
    "answer": Answer,
}


def message(thing: Message) -> bytes:
    """One JSON object, with its kind."""
    return json.dumps({"kind": type(thing).__name__.lower(), **asdict(thing)}).encode()


def read_message(data: bytes) -> Message:
    """The dataclass of a message. Raises ValueError for what is none."""
    try:
        values = json.loads(data)
        kind = _KINDS[values.pop("kind")]
        thing: Message = kind(**{name: _value(name, one) for name, one in values.items()})
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no message of a channel: {error!r}") from error
    return thing


def _histogram(values: Mapping[str, Any]) -> Histogram:
    return Histogram(tuple(values["ends"]), values["counts"], values["total"])


_PARTS: dict[str, Any] = {
    "state": State,
    "picture": lambda v: Picture(**v),
    "settings": lambda v: Settings(**v),
    "delay": lambda v: Delay(**{**v, "measured_ms": Quantiles(**v["measured_ms"])}),
    "delay_histogram": _histogram,
    "jitter_histogram": _histogram,
    "stage_histograms": lambda v: {name: _histogram(one) for name, one in v.items()},
    "jitter_ms": lambda v: Quantiles(**v),
    "worker": lambda v: Worker(**v),
    "faces": lambda v: tuple(Face(**one) for one in v),
}


def _value(name: str, value: Any) -> Any:
    return _PARTS[name](value) if name in _PARTS else value
