"""Where the control page may listen, and what is refused before anything goes on air."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from keeprt.engine.errors import UsageError
from keeprt.engine.live.control.address import is_loopback, listen, parse_address, read_token
from keeprt.engine.live.control.process import ISOLATED, MODULE


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:8787", ("127.0.0.1", 8787)),
        ("localhost:1", ("localhost", 1)),
        ("[::1]:8787", ("::1", 8787)),
        ("studio-3.example:80", ("studio-3.example", 80)),
        ("off", None),
    ],
)
def test_an_address_is_read(text: str, place: tuple[str, int] | None) -> None:
    assert parse_address(text) == place


@pytest.mark.parametrize(
    "text", ["", "8787", ":8787", "127.0.0.1", "127.0.0.1:", "::1:8787", "a:b", "a:99999", "a:-1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no address: give HOST:PORT"):
        parse_address(text)


def test_loopback_is_told_from_the_rest() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "localhost.evil.example", "")))


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "studio.example:0"])
def test_others_reach_it_only_with_a_token(address: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="add --token-file FILE"):
        listen(address)


def test_with_a_token_any_address_is_taken(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("correct-horse\n")
    bound = listen("0.0.0.0:0", secret)
    assert bound is not None
    with bound:
        assert bound.getsockname()[1] > 0


def test_a_port_in_use_is_said_before_the_air() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=r"cannot listen on --control .*in use; give another"):
            listen(f"127.0.0.1:{port}")


def test_off_still_reads_the_token(tmp_path: Path) -> None:
    assert listen("off") is None
    with pytest.raises(UsageError, match="cannot read --token-file"):
        listen("off", tmp_path / "missing")


@pytest.mark.parametrize("text", ["", "\n", "two words", "line\nline", "naïve", "\x00"])
def test_what_is_no_token_is_refused_without_being_quoted(text: str, tmp_path: Path) -> None:
    secret = tmp_path / "file"
    secret.write_text(text)
    with pytest.raises(UsageError, match="holds no token") as told:
        read_token(secret)
    assert not text.strip() or text.strip() not in str(told.value)


def test_a_token_is_one_line(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("  correct-horse \n")
    assert read_token(secret) == "correct-horse"


def test_the_wires_side_loads_no_server() -> None:
    code = (
        "import sys, keeprt.engine.live.control.process, keeprt.engine.live.control.address; "
        "print([m for m in ('aiohttp', 'prometheus_client', 'cv2', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_file_where_the_command_is_run_is_not_taken_for_a_module(tmp_path: Path) -> None:
    """`python -m` looks there first; whoever can write there would run on air."""
    (tmp_path / "asyncio.py").write_text("raise SystemExit(7)")
    command = [sys.executable, *ISOLATED, "-m", MODULE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "IndexError" in done.stderr  # it came as far as its missing argument
