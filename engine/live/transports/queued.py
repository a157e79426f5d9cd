"""A sink that may be slow: a queue with an end, and a thread that empties it into a descriptor."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections import Counter, deque

MOST_BYTES = 8 << 20  # some seconds; more is no live edge
PATIENCE_S = 0.5


class QueuedSink:
    """Writes to a descriptor, which it closes; see `Sink`. A reader that is gone is no error: what
    comes then is dropped, until `connect` gives it another descriptor."""

    def __init__(self, fd: int | None, most_bytes: int = MOST_BYTES) -> None:
        self.counts: Counter[str] = Counter()
        self.reconnects = 0
        self._fd, self._most = fd, most_bytes
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="send", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """See `Sink`."""
        return self._size

    def send(self, data: bytes) -> None:
        """See `Sink`."""
        if not data:
            return
        with self._changed:
            self._queue.append(data)
            self._size += len(data)
            while self._size > self._most and len(self._queue) > 1:
                gone = self._queue.popleft()
                self._size -= len(gone)
                self.counts["dropped"] += len(gone)
            self._changed.notify()

    def connect(self, fd: int | None) -> None:
        """Another descriptor, or none for now; what waited for the last one is dropped."""
        with self._changed:
            before, self._fd = self._fd, fd
            self.counts["dropped"] += self._size
            self._queue.clear()
            self._size = 0
            self._changed.notify()
        if before is not None:
            with contextlib.suppress(OSError):
                os.close(before)

    def stats(self) -> dict[str, float]:
        """See `Sink`."""
        return {}

    def close(self) -> None:
        """See `Sink`."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(PATIENCE_S * 2)
        self.connect(None)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closing:
                    self._changed.wait()
                if not self._queue:
                    return
                data, fd = self._queue.popleft(), self._fd
                self._size -= len(data)
            self._write(data, fd)

    def _write(self, data: bytes, fd: int | None) -> None:
        view, since = memoryview(data), time.monotonic()
        while view and fd is not None and fd == self._fd:
            try:
                # Never blocked in a write: whoever closes this must be able to.
                if not select.select([], [fd], [], 0.1)[1]:
                    if self._closing and time.monotonic() - since > PATIENCE_S:
                        break
                    continue
                sent = os.write(fd, view[:4096])
            except (OSError, ValueError):
                break
            self.counts["bytes"] += sent
            view = view[sent:]
        self.counts["dropped"] += len(view)
