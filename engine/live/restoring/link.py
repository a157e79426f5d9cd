"""The restorer as the wire has it: frames offered, answers taken, a process that may fall.

Interface: `restoring = ProcessRestoring(options)` is the channel's `Restoring`; `restoring.offer`
never waits. `restoring.reset()`, `choose(place)` and `reload(bundle)` are the operator's. A thread
takes the answers and starts the process anew, after a pause, when it has died, failed or hung; with
`reload` the old one serves until the new one is warm. `restoring.close()` leaves nothing.
"""

from __future__ import annotations

import select
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import av

from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.restoring.child import Asked, BackOff, Child
from keeprt.engine.live.restoring.frames import Buffers
from keeprt.engine.live.restoring.messages import Done
from keeprt.engine.live.states import Bypass
from keeprt.engine.live.status import Face, Settings, Worker
from keeprt.engine.live.wire.meters import memory_bytes
from keeprt.engine.media.info import VideoInfo

COMMAND = [sys.executable, "-P", "-m", "keeprt.engine.live.restoring"]
POLL_S = 0.02
RETIRING_S = 1.0
MOST_BUFFERS = 48
Answered = Callable[[int, "av.VideoFrame | None"], None]
Tell = Callable[[str, str, str], object]


class ProcessRestoring:
    """`tell(level, name, text)` takes events, `stage(name, seconds)` times; both from a thread."""

    def __init__(
        self,
        options: LiveOptions,
        command: list[str] | None = None,
        tell: Tell = lambda level, name, text: None,
        stage: Callable[[str, float], None] = lambda name, seconds: None,
    ) -> None:
        self.options, self._command = options, command or COMMAND
        self.tell, self.stage = tell, stage
        self.faces: tuple[Face, ...] = ()
        self.restarts, self.refused, self.last_reason = 0, 0, ""
        self._lock = threading.RLock()
        self._like: VideoInfo | None = None
        self._count = 0
        self._answered: Answered = lambda slot, frame: None
        self._child: Child | None = None
        self._next: Child | None = None  # warms up beside the one that serves
        self._retired: list[tuple[Child, float]] = []
        self._wanted: str | None = None
        self._backoff, self._error = BackOff(), False
        self._asked = Asked(options.settings)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="restorer", daemon=True)

    # What the channel calls.

    def begin(self, like: VideoInfo, answered: Answered, frames_waiting: int = 8) -> None:
        """Starts the process for such pictures; one that was begun for them before goes on."""
        if self._like == like:
            self._answered = answered
            return
        self._count = min(MOST_BUFFERS, frames_waiting + self.options.lookahead + 2)
        self._like, self._answered = like, answered
        self._thread.start()

    def offer(self, slot: int, frame: av.VideoFrame, until_s: float, settings: Settings) -> None:
        """See `channel.Restoring`."""
        with self._lock:
            asked = replace(self._asked, settings=settings)
            if self._child is None or not self._child.work(slot, frame, until_s, asked):
                self.refused += 1

    @property
    def bypass(self) -> Bypass | None:
        """See `channel.Restoring`."""
        child = self._child
        if child is None:
            return Bypass.WORKER_DOWN
        if not child.ready:
            return Bypass.WARMING
        return Bypass.ERROR if self._error else None

    @property
    def busy(self) -> int:
        """Frames that are being restored."""
        child = self._child
        return 0 if child is None else child.busy

    # What the operator calls.

    def reset(self) -> None:
        """The state of all faces is forgotten, from the next frame that is offered on."""
        with self._lock:
            self._asked = replace(self._asked, resets=self._asked.resets + 1)

    def choose(self, place: tuple[float, float] | None) -> None:
        """The face at a place (0 to 1) alone is restored; None: as the settings say."""
        with self._lock:
            self._asked = replace(self._asked, chosen=place)

    def reload(self, bundle: str) -> None:
        """Another bundle, once it is warm."""
        self._wanted = bundle

    @property
    def worker(self) -> Worker:
        """For the status."""
        child = self._child
        state = "backing off" if child is None else "ready" if child.ready else "warming"
        pid = None if child is None else child.process.pid
        return Worker(
            state,
            pid,
            self.restarts,
            (child.options.bundle if child else self.options.bundle) or "",
            self.last_reason,
            0 if pid is None else memory_bytes(pid),
        )

    def close(self) -> None:
        """No process and no memory is left."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(2)
        with self._lock:
            for child in (self._child, self._next, *(one for one, _ in self._retired)):
                if child is not None:
                    child.end()
            self._child = self._next = None
            self._retired = []

    # The thread.

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._keep(time.monotonic())
            children = [self._child, self._next, *(one for one, _ in self._retired)]
            open_ = [child for child in children if child is not None and not child.gone]
            if open_:
                select.select(open_, [], [], POLL_S)
            else:
                time.sleep(POLL_S)
            for child in open_:
                self._take(child)

    def _keep(self, now_s: float) -> None:
        if self._child is None and now_s >= self._backoff.until_s:
            self._hold(self._new_child(self.options))
        if self._child is not None and (why := self._child.fallen(now_s)):
            self._fell(self._child, why, now_s)
        if self._wanted is not None:
            options, self._wanted = replace(self.options, bundle=self._wanted), None
            self._retire(self._next)
            self._next = self._new_child(options)
        if self._next is not None and (why := self._next.fallen(now_s)):
            self.tell("error", "reload", f"the new bundle is not used: {why}")
            self._retire(self._next)
            self._next = None
        if self._next is not None and self._next.ready:
            self._swap(self._next)
        for child, until_s in list(self._retired):
            if now_s > until_s or child.gone or not child.busy:
                self._retired.remove((child, until_s))
                child.end()

    def _hold(self, child: Child | None) -> None:
        # Nothing slow under the lock: a tick may be waiting behind a frame that is offered.
        with self._lock:
            self._child = child

    def _swap(self, child: Child) -> None:
        old, self.options, self._next = self._child, child.options, None
        self._hold(child)
        self._retire(old)
        self.tell("info", "reload", f"restored by {child.options.bundle}")

    def _retire(self, child: Child | None) -> None:
        if child is not None:
            self._retired.append((child, time.monotonic() + RETIRING_S))

    def _fell(self, child: Child, why: str, now_s: float) -> None:
        self._hold(None)
        self.last_reason, self.faces = why, ()
        self.restarts += 1
        self._backoff.fell(now_s, now_s - child.started_s)
        self.tell("error", "worker down", f"{why}; again in {self._backoff.pause_s:g} s")
        child.process.kill()
        child.end()

    def _take(self, child: Child) -> None:
        for one in child.messages():
            if isinstance(one, Done):
                with self._lock:
                    frame = child.read(one)
                self._done(one, frame)
            elif child.ready and child is self._child:
                self.tell("info", "worker", f"ready, process {child.process.pid}")

    def _done(self, one: Done, frame: av.VideoFrame | None) -> None:
        if self._error != bool(one.error):
            self._error = bool(one.error)
            if one.error:
                self.tell("error", "restore", one.error)
        for name, seconds in one.seconds.items():
            self.stage(name, seconds)
        if one.seconds:
            self.stage("restore", sum(one.seconds.values()))
        if not one.late and not one.error:
            self.faces = one.faces
            self._answered(one.slot, frame)

    def _new_child(self, options: LiveOptions) -> Child:
        assert self._like is not None
        return Child(self._command, options, Buffers(self._like, self._count))
