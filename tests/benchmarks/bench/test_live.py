"""How many streams go on air: the search, what counts as missed, and a run for real."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.benchmarks.bench.on_air import run as live
from keeprt.benchmarks.bench.on_air import source as live_source
from keeprt.benchmarks.bench.on_air.channel import Counted
from keeprt.benchmarks.bench.on_air.run import LiveBenchOptions, Trial, most_that_hold, run_trial
from keeprt.benchmarks.bench.on_air.source import write_stream
from keeprt.engine.errors import BackendError, FaceError
from keeprt.engine.live.ts.demux import AccessUnit, Demux
from tests.benchmarks.bench.test_command import bench  # noqa: F401

SMALL = (320, 180)


@pytest.mark.parametrize("most", range(0, 20))
@pytest.mark.parametrize("bound", [16, 7])
def test_the_most_that_hold_are_found_in_few_trials(most: int, bound: int) -> None:
    tried: list[int] = []
    found = most_that_hold(lambda count: tried.append(count) or count <= most, bound)  # type: ignore[func-returns-value]
    assert found == min(most, bound)
    assert len(tried) == len(set(tried)) <= 9 and max(tried) <= bound


def counted(**shown: int) -> Counted:
    return Counted(shown, {"late": shown.get("original", 0)}, 100, 1.0, 2.0, 3.0, 10, 20)


def test_a_stream_that_misses_more_than_one_in_a_hundred_fails_all() -> None:
    whole, near, bad = (
        counted(restored=200),
        counted(restored=198, original=2),
        counted(restored=197, original=1, repeat=1, dropped=1),
    )
    assert (whole.missed, near.missed, bad.missed) == (0, 2, 3)
    assert Trial((whole, near)).holds and not Trial((whole, bad, near)).holds
    assert Trial((whole, bad, near)).worst == bad


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(60000, 1001)])
def test_the_stream_that_is_made_has_its_rate_and_a_face_that_moves(
    tmp_path: Path, rate: Fraction
) -> None:
    path = tmp_path / "face.ts"
    write_stream(path, SMALL, rate, 40)
    demux = Demux()
    units = [*demux.push(path.read_bytes(), 0.0), *demux.finish()]
    times = [one.pts for one in units if isinstance(one, AccessUnit) and one.pts is not None]
    assert len(times) == 40 and not demux.counts
    assert (times[-1] - times[0]) / 39 == pytest.approx(float(90_000 / rate), abs=0.1)
    first, second = live_source.pictures(SMALL, 8)[:2]
    assert first.shape == (180, 320, 3) and not np.array_equal(first, second)


@pytest.mark.slow
@pytest.mark.realtime
def test_streams_are_searched_for_and_counted_by_what_goes_on_air(
    bench: Any,  # noqa: F811
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "MOST_STREAMS", 2)
    out, page = tmp_path / "bench.json", tmp_path / "bench.html"
    code, printed, errors = bench(
        *(tiny_bundle, "--scenario", "live", "--rates", "10", "--size", "320x180"),
        *("--frames", 20, "--delay", "400ms", "--json", out, "--report", page),
    )
    assert code == 0, errors
    result = json.loads(out.read_text())["result"]["live"]
    (rate,) = result["rates"]
    assert rate["fps"] == "10" and 0 <= rate["streams"] <= 2 and result["complete"]
    for number, streams in enumerate(rate["trials"], start=1):
        assert len(streams) == number
        for one in streams:
            assert 20 <= one["ticks"] <= 22, "more where a tick and the count meet"
            assert one["missed"] == one["ticks"] - one["shown"].get("restored", 0)
            assert one["painted"] >= one["shown"].get("restored", 0) // 2
    assert "streams that are restored on air: 320x180" in printed
    assert "Streams on air" in page.read_text() and str(tmp_path) not in page.read_text()


@pytest.mark.slow
@pytest.mark.realtime
def test_what_was_not_restored_is_not_counted(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = Fraction(10)
    options = LiveBenchOptions(tiny_bundle, (rate,), SMALL, "400ms", 10)
    grey = np.full((180, 320, 3), 90, np.uint8)
    monkeypatch.setattr(live_source, "pictures", lambda size, count: [grey] * count)
    write_stream(tmp_path / "grey.ts", SMALL, rate, 60)
    with pytest.raises(FaceError, match="no face was found in the stream"):
        run_trial(options, rate, tmp_path / "grey.ts", 1)
    with pytest.raises(BackendError, match="a channel failed: no restorer"):
        run_trial(
            LiveBenchOptions(tmp_path, (rate,), SMALL, "400ms", 10), rate, tmp_path / "grey.ts", 1
        )
