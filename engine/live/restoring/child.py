"""One process of the restorer as the wire holds it: started, watched, ended.

Interface: `child = Child(command, options, buffers)`; `child.work(slot, frame, ...)` gives it a
frame, False where it takes none; `child.messages()` what it has answered; `child.fallen(now_s)`
says why it is of no use any more. Nothing here waits, but `end`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from dataclasses import dataclass, field

import av

from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.restoring.frames import Buffers
from keeprt.engine.live.restoring.messages import (
    Done,
    Failed,
    Message,
    Ready,
    Start,
    Work,
    receive,
    send,
)
from keeprt.engine.live.status import Settings

HANGS_S = 1.0  # after its deadline a frame that is not answered is one that hangs
WARMS_S = 900.0  # plans of a card may have to be built
ENDING_S = 0.3


@dataclass
class Asked:
    """What a frame is to be restored with."""

    settings: Settings
    resets: int = 0
    chosen: tuple[float, float] | None = None


class Child:
    """`command`: what to run, the number of its socket is added."""

    def __init__(self, command: list[str], options: LiveOptions, buffers: Buffers) -> None:
        self.options, self._buffers = options, buffers
        self.ready, self.failed = False, ""
        self.started_s = time.monotonic()
        self._free = set(range(buffers.count))
        self._asked: dict[int, float] = {}  # buffers that it has, and until when
        self._end, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._end.setblocking(False)
        self.gone = False
        fds = [theirs.fileno(), buffers.memory.fd]
        environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads or 1)}
        with theirs:
            self.process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment,
            )
        send(self._end, Start(options, buffers.like, buffers.count, buffers.memory.fd))

    def fileno(self) -> int:
        """To wait on."""
        return self._end.fileno()

    @property
    def busy(self) -> int:
        """Frames that it has not answered."""
        return len(self._asked)

    def work(self, slot: int, frame: av.VideoFrame, until_s: float, asked: Asked) -> bool:
        """Whether it takes the frame."""
        if not self.ready or self.gone or not self._free:
            return False
        buffer = self._free.pop()
        self._buffers.write(buffer, frame)
        self._asked[buffer] = until_s
        work = Work(slot, buffer, until_s, asked.settings, asked.resets, asked.chosen)
        try:
            send(self._end, work)
        except OSError:
            self._done(buffer)
            return False
        return True

    def messages(self) -> list[Message]:
        """What it has answered; a buffer is free once `read` has had it."""
        found: list[Message] = []
        while not self.gone:
            try:
                one = receive(self._end)
            except BlockingIOError:
                break
            except (OSError, EOFError, ValueError):
                one = None
            if one is None:
                self.gone = True
                break
            self._note(one)
            found.append(one)
        return found

    def read(self, done: Done) -> av.VideoFrame | None:
        """The painted frame; None where there is none. Once for each answer."""
        frame = self._buffers.read(done.buffer) if done.painted else None
        self._done(done.buffer)
        return frame

    def fallen(self, now_s: float) -> str | None:
        """Why it is of no use; None while it is."""
        if self.failed:
            return self.failed
        code = self.process.poll()
        if code is None and self.gone:  # a moment before it can be asked why
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self.process.wait(ENDING_S)
        if code is not None:
            return f"{'signal' if code < 0 else 'exit code'} {abs(code)}"
        if self.gone:
            return "it closed its socket"
        if not self.ready:
            return "not warm in time" if now_s - self.started_s > WARMS_S else None
        late = min(self._asked.values(), default=now_s)
        return "it hangs" if now_s - late > HANGS_S else None

    def end(self) -> None:
        """It is gone afterwards."""
        with contextlib.suppress(OSError):
            self._end.close()
        self.gone = True
        self.process.kill()  # it has nothing to save, and libraries take their time to end
        self.process.wait()
        with contextlib.suppress(BufferError):  # a view that is just being copied
            self._buffers.memory.close()

    def _note(self, one: Message) -> None:
        if isinstance(one, Ready):
            self.ready = True
        elif isinstance(one, Failed):
            self.failed = one.why

    def _done(self, buffer: int) -> None:
        self._asked.pop(buffer, None)
        self._free.add(buffer)


@dataclass
class BackOff:
    """Half a second at first, twice as long each time, at most 8 s; a steady minute forgives."""

    first_s: float = 0.5
    longest_s: float = 8.0
    pause_s: float = field(default=0.0)
    until_s: float = float("-inf")

    def fell(self, now_s: float, lasted_s: float) -> None:
        """After a fall: when the next may start."""
        steady = lasted_s > 60 or not self.pause_s
        self.pause_s = self.first_s if steady else min(self.longest_s, 2 * self.pause_s)
        self.until_s = now_s + self.pause_s
