"""`keeprt bench --scenario live`: how many streams go on air restored, at which frame rate.

Each stream is a channel of `keeprt live` with its own wire and its own restorer, in processes of
their own as on air; its source is a file at the file's own speed. A tick that does not show its
restored picture has missed its deadline. The most streams are found by doubling, then by halving.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

from keeprt.benchmarks.bench.hardware.load import Load
from keeprt.benchmarks.bench.hardware.machine import bundle_facts, machine_facts
from keeprt.benchmarks.bench.hardware.watch import Watch
from keeprt.benchmarks.bench.on_air.channel import Counted
from keeprt.benchmarks.bench.on_air.source import Size, write_stream
from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.devices.cuda.driver import require_card
from keeprt.engine.errors import BackendError, FaceError, UsageError
from keeprt.engine.live.clock import CALM_FRAMES
from keeprt.engine.live.options import LiveOptions
from keeprt.engine.opening import on_a_card

MOST_STREAMS = 64
MOST_MISSED = 0.01  # of a stream's ticks
LEAST_PAINTED = 0.5  # of the ticks; below, no face is being restored
SETTLES_S = 1.0  # on air, before anything counts
SPARE_S, SPARE_FRAMES = 1.0, 2 * CALM_FRAMES  # of the file: the first pictures tell its clock
TOGETHER_S = 0.5  # from the word to the first byte
RULE = (
    f"n streams are sustained if of n channels at once none misses more than {MOST_MISSED:.0%} of "
    f"its deadlines; their pictures come evenly spread over a frame's time; at most {MOST_STREAMS} "
    "are tried"
)


@dataclass(frozen=True)
class LiveBenchOptions:
    """What to run. frames: ticks of each stream that count. delay: as `keeprt live` takes it."""

    bundle: Path
    rates: tuple[Fraction, ...]
    size: Size
    delay: str
    frames: int
    backend: str = "onnxruntime"
    provider: str = "cpu"
    threads: int | None = None
    window: int = 20
    device: int = 0
    command: str = ""

    @property
    def on_a_card(self) -> bool:
        """Whether the network runs on a GPU."""
        return on_a_card(self.backend, self.provider)

    def channel(self, source: Path) -> LiveOptions:
        """One stream's options. Raises UsageError."""
        return LiveOptions(
            f"file:{source}?pace",
            f"file:{os.devnull}",
            bundle=str(self.bundle),
            delay=self.delay,
            preset="ultrafast",
            backend=self.backend,
            provider=self.provider,
            threads=self.threads,
            window=self.window,
            device=self.device,
        )


@dataclass(frozen=True)
class Trial:
    """So many streams at once."""

    streams: tuple[Counted, ...]

    @property
    def worst(self) -> Counted:
        """The stream that missed most."""
        return max(self.streams, key=lambda one: one.missed / max(1, one.ticks))

    @property
    def holds(self) -> bool:
        """Whether all of them are sustained."""
        return self.worst.missed <= MOST_MISSED * self.worst.ticks


@dataclass(frozen=True)
class RateResult:
    """Of one frame rate: all trials, and the most streams that held."""

    rate: Fraction
    sustained: int
    trials: tuple[Trial, ...]

    @property
    def name(self) -> str:
        """As broadcasters say it."""
        return f"{float(self.rate):.4g}"


@dataclass
class LiveResult:
    """A whole run, as far as it came."""

    options: LiveBenchOptions
    machine: Mapping[str, str] = field(default_factory=dict)
    bundle: Mapping[str, str] = field(default_factory=dict)
    rates: list[RateResult] = field(default_factory=list)
    load: Load | None = None
    complete: bool = False

    def content(self) -> dict[str, Any]:
        """For the envelope's result."""
        options, load = self.options, self.load
        rates = [
            {
                "fps": one.name,
                "streams": one.sustained,
                "trials": [
                    [asdict(s) | {"ticks": s.ticks, "missed": s.missed} for s in trial.streams]
                    for trial in one.trials
                ],
            }
            for one in self.rates
        ]
        size = f"{options.size[0]}x{options.size[1]}"
        how = {"size": size, "delay": options.delay, "frames": options.frames, "rule": RULE}
        found = {"bundle": dict(self.bundle), "load": load and asdict(load)}
        return how | found | {"complete": self.complete, "rates": rates}


def bench_live(
    options: LiveBenchOptions, say: Callable[[str], None], keep: Callable[[LiveResult], None]
) -> LiveResult:
    """Searches at each rate. Raises BundleError, BackendError, UsageError, FaceError.

    A run that is interrupted gives `keep` the rates that it has been through, and ends.
    """
    bundle = load_bundle(options.bundle)
    if options.channel(Path("face.ts")).asked_delay.auto:
        raise UsageError("--delay auto: a deadline that moves cannot be missed; give 160ms or 4f")
    if options.on_a_card:
        require_card(options.device)
    say("looking at what else runs here")
    watch, result = Watch.open(options.on_a_card, options.device), LiveResult(options)
    result.bundle = bundle_facts(bundle)
    try:
        for rate in options.rates:
            result.rates.append(_of_rate(options, rate, watch, say))
        result.complete = True
    finally:
        result.machine = machine_facts(options.threads or 1) | watch.facts()
        result.load = watch.load()
        watch.close()
        if result.rates and not result.complete:
            keep(result)
    return result


def _of_rate(
    options: LiveBenchOptions, rate: Fraction, watch: Watch, say: Callable[[str], None]
) -> RateResult:
    trials: list[Trial] = []

    def holds(count: int) -> bool:
        say(f"{float(rate):.4g} fps: {count} stream{'s' if count > 1 else ''} at once")
        with watch.watching(f"{count} streams at {float(rate):.4g} fps", count * options.frames):
            trials.append(run_trial(options, rate, source, count))
        watch.end_round()
        return trials[-1].holds

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "face.ts"
        more = ceil((SETTLES_S + SPARE_S) * rate) + SPARE_FRAMES
        write_stream(source, options.size, rate, options.frames + more)
        sustained = most_that_hold(holds, MOST_STREAMS)
    return RateResult(rate, sustained, tuple(trials))


def most_that_hold(holds: Callable[[int], bool], most: int) -> int:
    """The largest number up to `most` that holds, by doubling and then halving; 0 for none."""
    good, bad = 0, most + 1
    while good + 1 < bad:
        tried = min(most, 2 * good or 1) if bad > most else (good + bad) // 2
        if holds(tried):
            good = tried
        else:
            bad = tried
    return good


def run_trial(options: LiveBenchOptions, rate: Fraction, source: Path, count: int) -> Trial:
    """So many channels at once. Raises BackendError where one fails, FaceError where nothing was
    restored because no face was seen."""
    more = (str(ceil(SETTLES_S * rate)), str(options.frames))
    text = options.channel(source).text()
    with ExitStack() as started:
        channels = [started.enter_context(_channel(text, *more)) for _ in range(count)]
        for one in channels:
            _said(one)
        begins_s = time.monotonic() + TOGETHER_S
        for number, one in enumerate(channels):
            assert one.stdin is not None
            one.stdin.write(f"{begins_s + number / count / float(rate)}\n")
            one.stdin.flush()
        trial = Trial(tuple(Counted(**json.loads(_said(one))) for one in channels))
    _check_faces(trial)
    return trial


def _check_faces(trial: Trial) -> None:
    # Past pictures that were late a face coasts unpainted: that tells of the load, not of the file.
    streams = [one for one in trial.streams if trial.holds or not one.painted]
    for one in streams:
        if one.painted < LEAST_PAINTED * one.shown.get("restored", 0):
            raise FaceError("no face was found in the stream that was made: nothing was restored")


@contextmanager
def _channel(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    module = "keeprt.benchmarks.bench.on_air.channel"
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if line.startswith('{"error"'):
        raise BackendError(f"a channel failed: {json.loads(line)['error']}")
    if not line:
        raise BackendError(f"a channel ended with exit code {process.wait()}")
    return line
