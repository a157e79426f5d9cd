"""What `--check` finds before anything goes on air, and that it leaves nothing behind."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from keeprt.engine.cli.app import run as command
from keeprt.engine.errors import KeeprtError, MediaError
from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.status import Settings
from keeprt.engine.live.wire.checking import tried
from keeprt.engine.live.wire.run import run
from tests.engine.live.clients import HOST, free_port


def channel(**more: str) -> LiveOptions:
    ends = {"source": f"udp://{HOST}:{free_port()}", "sink": f"udp://{HOST}:{free_port()}"}
    return LiveOptions(**{**ends, **more})  # type: ignore[arg-type]


def test_a_channel_that_can_be_is_tried_twice_with_the_same_result() -> None:
    options = channel(control=f"{HOST}:{free_port()}")
    assert len(list(tried(options))) == 3
    assert list(tried(options)) == list(tried(options))


def test_an_output_file_is_neither_written_nor_needed(tmp_path: Path) -> None:
    out = tmp_path / "out.ts"
    list(tried(channel(sink=f"file:{out}")))
    assert not out.exists()
    out.write_bytes(b"kept")
    list(tried(channel(sink=f"file:{out}")))
    assert out.read_bytes() == b"kept"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"source": "udp://192.0.2.1:5000"}, "cannot listen at"),
        ({"source": "file:nowhere.ts"}, "nowhere.ts"),
        ({"sink": "file:/nowhere/x.ts"}, "no file can be written"),
        ({"sink": "udp://127.0.0.1:5000?colour=1"}, "unknown option 'colour'"),
        ({"on_loss": f"slate={__file__}"}, "is no picture"),
        ({"control": "0.0.0.0:0"}, "add --token-file"),
    ],
)
def test_what_would_only_fail_on_air_is_named(more: dict[str, str], why: str) -> None:
    with pytest.raises(KeeprtError, match=why):
        list(tried(channel(**more)))


def test_a_program_that_a_transport_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MediaError, match="srt-live-transmit is not here: apt install srt-tools"):
        list(tried(channel(source="srt://:9000?mode=listener")))


def test_a_port_of_the_page_that_is_in_use_is_named() -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        with pytest.raises(KeeprtError, match="in use"):
            list(tried(channel(control=f"{HOST}:{other.getsockname()[1]}")))


def refusal(capfd: pytest.CaptureFixture[str], sink: str, *more: str) -> str:
    """What the command says to a sink, "" where it is taken."""
    source = f"udp://{HOST}:{free_port()}"
    code = command(["live", source, sink, "--bypass", "--control", "off", "--check", *more])
    said = "".join(line for line in capfd.readouterr().err.splitlines() if "error: " in line)
    assert code == (2 if said else 0)
    return said


def test_a_file_is_replaced_only_with_leave(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.ts"
    assert refusal(capfd, f"file:{out}") == ""
    out.write_bytes(b"kept")
    assert "exists already: --overwrite replaces it" in refusal(capfd, f"file:{out}")
    assert refusal(capfd, f"file:{out}", "--overwrite") == ""
    assert out.read_bytes() == b"kept"


def test_a_stream_and_a_summary_do_not_share_a_pipe(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "both write to stdout" in refusal(capfd, "pipe:", "--json", "-")
    assert refusal(capfd, "pipe:", "--json", str(tmp_path / "status.json")) == ""


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"", "no programme"), (b"junk" * 5000, "no programme"), (b"\x47" * 9400, "no programme")],
)
def test_a_file_without_a_picture_is_no_success(data: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "in.ts").write_bytes(data)
    options = LiveOptions(
        source=f"file:{tmp_path / 'in.ts'}",
        sink=f"file:{tmp_path / 'out.ts'}",
        delay="80ms",
        settings=Settings(bypass=True),
    )
    with pytest.raises(MediaError, match=f"ended before a picture was on air: .*{why}"):
        run(options, quiet=True)
