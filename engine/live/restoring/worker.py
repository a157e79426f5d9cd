"""The restorer's process: loads, warms up, says that it is ready, and restores what it is sent."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from keeprt.engine.errors import KeeprtError
from keeprt.engine.live.restoring.chain import Chain, Painted
from keeprt.engine.live.restoring.frames import Buffers
from keeprt.engine.live.restoring.messages import Done, Failed, Ready, Start, Work, receive, send
from keeprt.engine.pipeline.loading import card_of, plans_of
from keeprt.engine.pipeline.looking import load_detector
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.restorer import Restorer

NICE = 5  # the wire comes first
WARM_FRAMES = 2
ORPHAN_S = 0.2
#: Of the time that frames took, the newest counts so much; one in so many is tried in any case.
NEWEST, TRIED_EVERY = 0.2, 25


def main(fd: int) -> int:
    """Until the wire closes its end."""
    _end_with(os.getppid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the wire hears it, and ends this one
    os.nice(NICE)
    cv2.setNumThreads(1)
    end = socket.socket(fileno=fd)
    end.setblocking(True)
    start = receive(end)
    if not isinstance(start, Start):
        return 0
    try:
        worker = Worker(end, start)
    except KeeprtError as error:
        send(end, Failed(str(error)))
        return 2
    send(end, Ready())
    return worker.run()


class Worker:
    """Everything loaded, and run once, before the first frame that counts."""

    def __init__(self, end: socket.socket, start: Start) -> None:
        options = start.options
        self._end = end
        self._buffers = Buffers(start.like, start.buffers, start.memory_fd)
        self._waiting: deque[tuple[Work, float]] = deque()  # not answered yet, and since when
        self._usual_s, self._skipped = 0.0, 0
        self._resets, self._settings = 0, options.settings
        network = None if options.bundle is None else load_network(start)
        how = vars(options)
        card = None if network is None else card_of(how)
        plans = plans_of(options.bundle, how)
        finds = RestoreOptions(detect_side=options.detect_side, card=card, plans=plans)
        detector = load_detector(finds)
        self._chain = Chain(start.like, options, network, detector)
        self._warm(network)

    def run(self) -> int:
        """See `main`."""
        while True:
            if self._waiting and not self._is_asked():  # nothing would run beside it
                self._take(self._chain.collect)
            work = receive(self._end)
            if not isinstance(work, Work):
                return 0
            self._step(work)

    def _is_asked(self) -> bool:
        return bool(select.select([self._end], [], [], 0)[0])

    def _step(self, work: Work) -> None:
        if work.resets != self._resets:
            self._resets = work.resets
            self._forget()
        if self._comes_too_late(work):
            send(self._end, Done(work.slot, work.buffer, late=True))
            return
        self._waiting.append((work, time.monotonic()))
        self._take(partial(self._restore, work))

    def _restore(self, work: Work) -> list[Painted]:
        frame = self._buffers.read(work.buffer)
        return self._chain.step(frame, work.settings, work.chosen)

    def _take(self, painted: Callable[[], list[Painted]]) -> None:
        try:
            done = painted()
        except Exception as error:  # the frame goes on air as it came; the next has another chance
            self._forget(f"{type(error).__name__}: {error}")
            return
        for one in done:
            work, began_s = self._waiting.popleft()
            self._usual_s += NEWEST * (time.monotonic() - began_s - self._usual_s)
            self._answer(work, one)

    def _comes_too_late(self, work: Work) -> bool:
        """A frame that would be late costs the next one its time, too, and so all that follow."""
        now_s = time.monotonic()
        late = now_s + self._usual_s > work.until_s
        self._skipped = self._skipped + 1 if late else 0
        return late and (now_s > work.until_s or self._skipped % TRIED_EVERY != 0)

    def _answer(self, work: Work, one: Painted) -> None:
        if one.frame is not None:
            self._buffers.write(work.buffer, one.frame)
        done = Done(
            work.slot,
            work.buffer,
            painted=one.frame is not None,
            faces=one.faces,
            seconds=one.seconds,
        )
        send(self._end, done)

    def _forget(self, error: str = "") -> None:
        while self._waiting:
            work, _ = self._waiting.popleft()
            send(self._end, Done(work.slot, work.buffer, error=error))
        self._chain.reset()

    def _warm(self, network: Restorer | None) -> None:
        """Nothing is compiled or allocated on air."""
        for _ in range(WARM_FRAMES):
            self._chain.step(self._buffers.read(0), self._settings)
        self._chain.reset()
        if network is not None:
            size = network.bundle.face_size
            state = network.new_state()
            for _ in range(WARM_FRAMES):
                _, state = network.restore(np.zeros((size, size, 3), np.uint8), state)


def load_network(start: Start) -> Restorer:
    """As the options say, for the faces that may be in a frame."""
    options = start.options
    count = RestoreOptions(faces=options.settings.faces).batch
    return Restorer.load(
        Path(options.bundle or ""),
        mode="stream",
        backend=options.backend,
        provider=options.provider,
        device=options.device,
        threads=options.threads or 1,
        window=options.window,
        max_faces=count,
    )


def _end_with(parent: int) -> None:
    """A wire that was killed leaves no process: not even one that is busy."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(ORPHAN_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
