"""SIGTERM and SIGHUP end a command as Ctrl-C does: it cleans up, says so, exits 128 + signal."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any

#: A second signal while the first is being obeyed would interrupt the cleaning up.
PATIENCE_S = 10.0
OBEYED = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupted(KeyboardInterrupt):
    """A signal that ends the command; whatever handles Ctrl-C handles it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals(AbstractContextManager["Signals"]):
    """Within its block, signals become `Interrupted` in the main thread; remembers the first.

    What the parent chose to ignore (nohup) stays ignored.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._last = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in OBEYED:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._raise)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def words(self) -> str:
        """The line that says what happened."""
        name = signal.Signals(self.number or signal.SIGINT).name
        return "interrupted" if name == "SIGINT" else f"interrupted by {name}"

    @property
    def exit_code(self) -> int:
        """As a shell has it."""
        return 128 + (self.number or signal.SIGINT)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        again = self.number is not None and time.monotonic() - self._last < PATIENCE_S
        if again:
            return
        self.number, self._last = self.number or number, time.monotonic()
        raise Interrupted(number)
