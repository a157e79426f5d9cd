"""Transports: addresses that are refused, bytes that arrive, sinks that never wait."""

from __future__ import annotations

import io
import os
import socket
import time
from pathlib import Path

import pytest

from keeprt.engine.errors import KeeprtError, MediaError, UsageError
from keeprt.engine.live.transports.addresses import parse_address
from keeprt.engine.live.transports.files import paced
from keeprt.engine.live.transports.opening import open_sink, open_source
from keeprt.engine.live.transports.queued import QueuedSink
from tests.engine.live.clients import HOST, free_port
from tests.engine.live.ts.streams import stream

PACKETS = bytes(range(188)) * 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://a:1", "give udp"),
        ("udp", "give udp"),
        ("udp://@", "has no port"),
        ("udp://a:99999", "out of range"),
        ("file:", "names no file"),
        ("udp://127.0.0.1:5000?colour=1", "unknown option 'colour'"),
        ("udp://127.0.0.1:5000?buffer=x", "buffer is no number"),
        ("file:/nowhere/x.ts", "cannot read"),
    ],
)
def test_a_source_that_cannot_be_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(KeeprtError, match=said):
        open_source(text)


def test_a_sink_that_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="pkt_size"):
        open_sink("udp://127.0.0.1:5000?pkt_size=20")
    with pytest.raises(MediaError, match="cannot write"):
        open_sink("file:/nowhere/x.ts")


def test_an_address_is_taken_apart() -> None:
    address = parse_address("udp://239.1.1.1:5000?ttl=4", "DST")
    assert (address.host, address.port, address.option("ttl", 1)) == ("239.1.1.1", 5000, 4)
    assert address.is_multicast
    assert not parse_address("udp://@:5000", "SRC").is_multicast


@pytest.mark.parametrize("host", [HOST, "239.255.77.7"])
def test_udp_arrives_from_one_and_by_a_group(host: str) -> None:
    port = free_port()
    group = f"?iface={HOST}" if host != HOST else ""
    source = open_source(f"udp://{host}:{port}{group}")
    sink = open_sink(f"udp://{host}:{port}{group}")
    assert source.read(0.01) is None
    sink.send(PACKETS * 3)
    assert source.read(2.0) == PACKETS * 3
    assert sink.counts["bytes"] == 3 * len(PACKETS)
    source.close()
    assert source.read(0.1) == b""
    sink.close()


def test_a_receiver_that_is_not_there_is_no_error() -> None:
    sink = open_sink(f"udp://{HOST}:{free_port()}")
    for _ in range(3):
        sink.send(PACKETS)
        time.sleep(0.01)
    sink.close()


def test_rtp_comes_without_its_header() -> None:
    port = free_port()
    source, sink = open_source(f"udp://@:{port}"), open_sink(f"udp://{HOST}:{port}?pkt_size=1400")

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.sendto(b"\x80" + bytes(11) + PACKETS, (HOST, port))
    assert source.read(2.0) == PACKETS
    source.close()
    sink.close()


def test_a_reader_that_does_not_read_costs_bytes_and_no_time() -> None:
    reading, writing = os.pipe()
    sink = QueuedSink(writing, most_bytes=1 << 20)
    for _ in range(3000):
        sink.send(PACKETS)
    assert sink.waiting <= 1 << 20
    assert sink.counts["dropped"] > 1 << 20
    os.close(reading)
    sink.close()
    assert sink.waiting == 0


def test_what_is_sent_to_a_file_is_in_it_when_it_is_closed(tmp_path: Path) -> None:
    sink = open_sink(f"file:{tmp_path / 'x.ts'}")
    sink.send(PACKETS)
    sink.send(PACKETS)
    sink.close()
    assert (tmp_path / "x.ts").read_bytes() == PACKETS * 2


def test_a_file_is_due_by_its_own_clock() -> None:
    reader = io.BytesIO(stream())
    pieces = list(paced(lambda: reader.read(10_000)))
    due = [due_s for due_s, _ in pieces]
    assert due == sorted(due)
    assert due[-1] == pytest.approx(74 / 25, abs=0.05)
    assert b"".join(data for _, data in pieces) == stream()


@pytest.mark.parametrize(
    "text",
    [
        "udp://ann:secret@127.0.0.1:5000?colour=1",
        "udp://ann:secret@127.0.0.1",
        "http://127.0.0.1:1?key=secret",
        "udp://127.0.0.1:5000?buffer=secret",
        "udp://192.0.2.1:5000?secret",
    ],
)
def test_no_message_shows_a_secret_of_an_address(text: str) -> None:
    with pytest.raises(KeeprtError) as told:
        open_source(text)
    assert "ann" not in str(told.value)
    assert "=secret" not in str(told.value)


@pytest.mark.parametrize(
    ("source", "sink", "same"),
    [
        ("udp://@:5000", "udp://127.0.0.1:5000", True),
        ("udp://0.0.0.0:5000", "udp://127.0.0.1:5000", True),
        ("udp://239.1.1.1:5000", "udp://239.1.1.1:5000?ttl=4", True),
        ("udp://239.1.1.1:5000", "udp://239.1.1.2:5000", False),
        ("udp://@:5000", "udp://127.0.0.1:5001", False),
        ("file:a.ts?pace", "file:./a.ts", True),
        ("file:a.ts", "file:b.ts", False),
        ("pipe:", "pipe:", False),
    ],
)
def test_a_channel_that_would_hear_itself_is_known(source: str, sink: str, same: bool) -> None:
    assert parse_address(source, "SRC").is_that_of(parse_address(sink, "DST")) == same


def test_a_port_that_another_channel_listens_on_is_refused() -> None:
    """With SO_REUSEADDR the second took the first one's datagrams, and nobody knew."""
    address = f"udp://{HOST}:{free_port()}"
    first = open_source(address)
    try:
        with pytest.raises(MediaError, match="in use"):
            open_source(address)
    finally:
        first.close()
