"""What SRC and DST say: `scheme://host:port/path?option=value`, read once, for all transports.

Interface: `address = parse_address(text, role)`; `address.option("ttl", 1)` takes an option with
the type of its default, and `address.refuse_others()` afterwards names one that nobody took.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import parse_qsl, urlsplit

from keeprt.engine.errors import UsageError
from keeprt.engine.media.errors import redact

Role = Literal["SRC", "DST"]
LOOPBACK = "127.0.0.1"
SCHEMES = ("udp", "srt", "rist", "rtmp", "file", "pipe")
Value = TypeVar("Value", str, int, float)


@dataclass
class Address:
    """`text` is what was typed, with credentials; host and port are empty for files."""

    text: str
    role: Role
    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    options: dict[str, str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    @property
    def is_multicast(self) -> bool:
        """Whether the host is a group of receivers."""
        try:
            return ip_address(self.host).is_multicast
        except ValueError:
            return False

    def has(self, name: str) -> bool:
        """Whether an option without a value, or with any, is given."""
        self._taken.add(name)
        return name in self.options

    def option(self, name: str, default: Value) -> Value:
        """Raises UsageError for a value of another type than the default's."""
        self._taken.add(name)
        if name not in self.options:
            return default
        try:
            return type(default)(self.options[name])
        except ValueError as error:
            raise UsageError(f"{self.role} {redact(self.text)!r}: {name} is no number") from error

    def is_that_of(self, other: Address) -> bool:
        """Whether both lead to one place, as far as it can be told from their text."""
        if self.scheme != other.scheme or self.scheme not in ("udp", "file"):
            return False
        if self.scheme == "file":
            return Path(self.path).resolve() == Path(other.path).resolve()
        hosts = {self.host or LOOPBACK, other.host or LOOPBACK}
        return self.port == other.port and (len(hosts) == 1 or "0.0.0.0" in hosts)

    def refuse_others(self) -> None:
        """Raises UsageError for an option that this transport does not have."""
        unknown = sorted(set(self.options) - self._taken)
        if unknown:
            known = ", ".join(sorted(self._taken)) or "none"
            where = f"{self.role} {redact(self.text)!r}"
            raise UsageError(f"{where}: unknown option {unknown[0]!r}; there is {known}")


def parse_address(text: str, role: Role) -> Address:
    """`udp://@:5000`, `udp://239.1.1.1:5000?iface=10.0.0.1`, `file:x.ts?pace`, `pipe:`. Raises
    UsageError."""
    scheme, colon, rest = text.partition(":")
    if not colon or scheme not in SCHEMES:
        raise UsageError(
            f"{role} {redact(text)!r}: give {', '.join(SCHEMES)}, such as udp://@:5000"
        )
    if scheme in ("file", "pipe"):
        path, _, query = rest.partition("?")
        if scheme == "file" and not path:
            raise UsageError(f"{role} {redact(text)!r} names no file; give file:x.ts")
        return Address(text, role, scheme, path=path, options=_options(query))
    try:
        parts = urlsplit(text)
        port = parts.port or (1935 if scheme == "rtmp" else 0)
    except ValueError as error:
        raise UsageError(f"{role} {redact(text)!r}: {error}") from None
    if not port:
        raise UsageError(f"{role} {redact(text)!r} has no port; give {scheme}://HOST:PORT")
    return Address(
        text, role, scheme, parts.hostname or "", port, parts.path, _options(parts.query)
    )


def _options(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True))
