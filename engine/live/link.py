"""The socket between the wire and the control process: whole messages, and nobody waits.

Interface. The wire (`control/process.py`) starts `python -m keeprt.engine.live.control JSON`, where
JSON is a `ControlConfig`; the control process calls `config = ControlConfig.read(sys.argv[1])` and
`link = Link.of(config.link_fd)`. Both sides then `link.send(thing)` (False where the other side is
too slow: a status is left out then) and `link.receive()` for all messages that lie there;
`link.fileno()` is for select and asyncio's `add_reader`, `link.closed` says that the other end is
gone. The control process ends when it is: nothing is left of a wire that was killed. With SIGTERM,
too, the wire closes the link, and gives the control process a second.
"""

from __future__ import annotations

import json
import socket
from collections import deque
from dataclasses import asdict, dataclass

from keeprt.engine.live.status import Message, Status, message, read_message

LARGEST_MESSAGE = 1 << 18
KEPT_MESSAGES = 1000


@dataclass(frozen=True)
class ControlConfig:
    """What the control process is started with."""

    link_fd: int
    preview_fd: int  # see preview.py; of PREVIEW_BYTES
    listen_fd: int  # a bound socket that listens
    token_file: str = ""  # of a file that holds the token; empty: none is needed
    preview: bool = True

    def text(self) -> str:
        """For the command line."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> ControlConfig:
        """From the command line."""
        return cls(**json.loads(text))


class Link:
    """One end."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * LARGEST_MESSAGE)
        self._socket = end
        self._unsent: deque[bytes] = deque(maxlen=KEPT_MESSAGES)
        self.closed = False

    @classmethod
    def pair(cls) -> tuple[Link, socket.socket]:
        """The wire's end, and the socket for the control process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), theirs

    @classmethod
    def of(cls, fd: int) -> Link:
        """The control process's end."""
        return cls(socket.socket(fileno=fd))

    def fileno(self) -> int:
        """To wait on."""
        return self._socket.fileno()

    def send(self, thing: Message) -> bool:
        """Never waits. What does not fit is kept and sent with the next, but for a status."""
        kept = not isinstance(thing, Status)
        if kept:
            self._unsent.append(message(thing))
        while self._unsent and self._send(self._unsent[0]):
            self._unsent.popleft()
        return not self._unsent if kept else not self._unsent and self._send(message(thing))

    def receive(self) -> list[Message]:
        """All messages that lie there; what is none is left out."""
        found: list[Message] = []
        while not self.closed:
            try:
                data = self._socket.recv(LARGEST_MESSAGE)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.closed = True
                break
            try:
                found.append(read_message(data))
            except ValueError:
                continue
        return found

    def close(self) -> None:
        """Tells the other end."""
        self.closed = True
        self._socket.close()

    def _send(self, data: bytes) -> bool:
        if self.closed:
            return False
        try:
            self._socket.send(data)
        except BlockingIOError:
            return False
        except OSError:
            self.closed = True
            return False
        return True
