"""SRT and RIST by Debian's programs, on the loopback; skipped where those are not installed."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from keeprt.engine.errors import MediaError
from keeprt.engine.live.transports import programs
from keeprt.engine.live.transports.addresses import parse_address
from keeprt.engine.live.transports.opening import open_sink, open_source
from keeprt.engine.live.transports.programs import rist_command, srt_command
from keeprt.engine.live.transports.srt_stats import SrtStats
from tests.engine.live.clients import free_port

PACKETS = bytes(range(188)) * 7
NEEDED = {"srt": "srt-live-transmit", "rist": "ristsender"}
LISTENS = {
    "srt": "srt://:{port}?mode=listener&latency=40",
    "rist": "rist://127.0.0.1:{port}?latency=40",
}
CALLS = {
    "srt": "srt://127.0.0.1:{port}?latency=40",
    "rist": "rist://127.0.0.1:{port}?latency=40",
}


def test_commands_are_what_the_programs_take() -> None:
    address = parse_address("srt://:9000?mode=listener&latency=80&passphrase=x", "SRC")
    *_, theirs, ours = srt_command(address, 7)
    assert theirs == "srt://:9000?mode=listener&latency=80&passphrase=x"
    assert ours == "udp://127.0.0.1:7"
    address = parse_address("srt://a:9000", "DST")
    *_, ours, theirs = srt_command(address, 7)
    assert (ours, theirs) == ("udp://127.0.0.1:7", "srt://a:9000?mode=caller&latency=120")
    assert "rist://@0.0.0.0:5000?buffer=200" in rist_command(
        parse_address("rist://@:5000", "SRC"), 7
    )
    assert "rist://a:5000?buffer=80" in rist_command(
        parse_address("rist://a:5000?latency=80", "DST"), 7
    )


def test_a_program_that_is_not_here_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(programs.shutil, "which", lambda name: None)
    with pytest.raises(MediaError, match="apt install srt-tools"):
        open_source("srt://:9000")


def test_what_srt_says_is_counted_and_anything_else_is_left_out() -> None:
    stats = SrtStats("recv")
    way = '{"packets": 10, "packetsLost": 1, "packetsBelated": 2, "msBuf": 40}'
    line = f'{{"link": {{"rtt": 0.5}}, "recv": {way}, "send": {{}}}}\n'.encode()
    stats.push(line[:30])
    assert stats.values == {}
    stats.push(line[30:] + b"Accepted SRT source connection\n[1]\n{}\n" + line)
    assert stats.values == {
        "rtt_ms": 0.5,
        "buffer_ms": 40,
        "packets": 20,
        "packets_lost": 2,
        "packets_belated": 4,
    }


def children() -> set[int]:
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["srt", "rist"])
def test_packets_cross_and_nothing_is_left(scheme: str) -> None:
    if shutil.which(NEEDED[scheme]) is None:
        pytest.skip(f"needs the program {NEEDED[scheme]}")
    before, port = children(), free_port()
    # RIST wants an even port, and takes the next one, too.
    port -= port % 2
    source = open_source(LISTENS[scheme].format(port=port))
    sink = open_sink(CALLS[scheme].format(port=port))
    try:
        came, end = b"", time.monotonic() + 30
        while PACKETS not in came and time.monotonic() < end:
            sink.send(PACKETS)
            came += source.read(0.05) or b""
        assert PACKETS in came
        while scheme == "srt" and not (source.stats() and sink.stats()):
            assert time.monotonic() < end
            sink.send(PACKETS)
            source.read(0.01)
        if scheme == "srt":
            assert source.stats()["packets"] > 0 and sink.stats()["rtt_ms"] >= 0
    finally:
        sink.close()
        source.close()
    assert children() <= before


def test_a_program_that_keeps_ending_is_started_every_two_seconds_at_last() -> None:
    pauses = [programs.FIRST_PAUSE_S]
    for _ in range(6):
        pauses.append(programs.next_pause_s(pauses[-1], lasted_s=0.1))
    assert pauses == [0.25, 0.5, 1, 2, 2, 2, 2]
    assert programs.next_pause_s(2.0, lasted_s=60) == 0.25, "what has run for long falls anew"
