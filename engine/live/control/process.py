"""The control process as the wire holds it: started, started again when it dies, ended.

Interface: `control = ControlProcess(listening, token_file, preview=True)` with the socket of
`address.listen`; `control.keep(now_s)` at times starts it when it is not there, and gives a line
for the events when it has died. `control.link` is the wire's end, None while there is no process;
`control.writer` the preview's. `control.close()` ends it: politely, and after a second by force.
The programme does not need it: whatever happens to it, frames go on.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from keeprt.engine.live.link import ControlConfig, Link
from keeprt.engine.live.memory import Memory
from keeprt.engine.live.preview import PREVIEW_BYTES, PreviewWriter

MODULE = "keeprt.engine.live.control"
ISOLATED = ("-P",)  # the folder where the command is run holds no modules of ours
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
#: After so long without a fall the next pause is the first again.
STEADY_S = 60.0
ENDING_S = 1.0


class ControlProcess:
    """`listening`: a bound socket, ours to close."""

    def __init__(
        self, listening: socket.socket, token_file: str | Path | None = None, *, preview: bool
    ) -> None:
        self.link: Link | None = None
        self.writer = PreviewWriter(Memory.create(PREVIEW_BYTES)) if preview else None
        self._listening, self._token_file = listening, str(token_file or "")
        self._process: subprocess.Popen[bytes] | None = None
        self._pause_s, self._not_before_s, self._started_s = FIRST_PAUSE_S, 0.0, 0.0

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        return None if self._process is None else self._process.pid

    @property
    def url(self) -> str:
        """Where a browser finds the page."""
        host, port = self._listening.getsockname()[:2]
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def keep(self, now_s: float) -> str | None:
        """Starts the process where it is not there and its pause is over; why it had ended."""
        why = self._fallen(now_s)
        if self._process is None and now_s >= self._not_before_s:
            self._start(now_s)
        return why

    def close(self) -> None:
        """No process and no socket is left."""
        if self.link is not None:
            self.link.close()
        if self._process is not None:
            self._end(self._process)
        self._listening.close()
        if self.writer is not None:
            self.writer.memory.close()
        self.link = self._process = self.writer = None

    def _fallen(self, now_s: float) -> str | None:
        code = None if self._process is None else self._process.poll()
        if code is None:
            return None
        steady = now_s - self._started_s > STEADY_S
        self._pause_s = FIRST_PAUSE_S if steady else min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._not_before_s = now_s + self._pause_s
        if self.link is not None:
            self.link.close()
        self.link = self._process = None
        return f"the control process ended ({'signal' if code < 0 else 'exit code'} {abs(code)})"

    def _start(self, now_s: float) -> None:
        self.link, theirs = Link.pair()
        memory_fd = self.writer.memory.fd if self.writer else -1
        config = ControlConfig(
            link_fd=theirs.fileno(),
            listen_fd=self._listening.fileno(),
            preview_fd=memory_fd,
            token_file=self._token_file,
            preview=self.writer is not None,
        )
        passed = [theirs.fileno(), self._listening.fileno(), *([memory_fd] if self.writer else [])]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *ISOLATED, "-m", MODULE, config.text()],
                pass_fds=passed,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self._started_s = now_s

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
