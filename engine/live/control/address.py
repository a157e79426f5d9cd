"""Where the control page listens, and who may reach it: decided before anything goes on air.

Interface: `listening = listen("127.0.0.1:8787", token_file)` gives the bound socket, or None for
`off`; the wire passes it on, so that a port in use stops the command and not the channel, and a
control process that is started anew has the same port. `read_token(path)` reads the secret.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from importlib.util import find_spec
from pathlib import Path

from keeprt.engine.errors import UsageError
from keeprt.kernels.installing import install

OFF = "off"
NEEDED = ("aiohttp", "prometheus_client")
DEFAULT_ADDRESS = "127.0.0.1:8787"
WAITING_CONNECTIONS = 64
_LOOPBACK_NAMES = ("localhost", "ip6-localhost")


def parse_address(text: str) -> tuple[str, int] | None:
    """Host and port of `HOST:PORT` (IPv6 in brackets), None of `off`. Raises UsageError."""
    if text == OFF:
        return None
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})", text)
    if found is None or int(found[3]) > 65535:
        raise UsageError(
            f"--control {text!r} is no address: give HOST:PORT, such as {DEFAULT_ADDRESS}, or {OFF}"
        )
    return found[1] or found[2], int(found[3])


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach it."""
    if host.lower() in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_token(path: str | Path) -> str:
    """The token of a file: its one line, without the blanks around it. Raises UsageError."""
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"cannot read --token-file {path}: {why}") from None
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            f"--token-file {path} holds no token: write one line of letters and digits there, "
            "such as `openssl rand -hex 24` prints"
        )
    return token


def listen(text: str, token_file: str | Path | None = None) -> socket.socket | None:
    """The bound and listening socket, None for `off`.

    Raises UsageError for no address, one that cannot be had, a token that cannot be read, and for
    an address that others reach where no token is given.
    """
    if token_file is not None:
        read_token(token_file)
    place = parse_address(text)
    if place is None:
        return None
    for name in NEEDED:
        if find_spec(name) is None:
            raise UsageError(
                f"the control page needs {name}: {install('live')}, or --control {OFF}"
            )
    host, port = place
    if token_file is None and not is_loopback(host):
        raise UsageError(
            f"--control {text} can be reached by other machines: add --token-file FILE, or use "
            "127.0.0.1"
        )
    return _bound(host, port, text)


def _bound(host: str, port: int, text: str) -> socket.socket:
    try:
        family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(where)
            bound.listen(WAITING_CONNECTIONS)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise UsageError(
            f"cannot listen on --control {text}: {error.strerror}; give another port, or {OFF}"
        ) from None
    return bound
