"""Stages of a pipeline that overlap: threads, bounded queues, and one error that stops them all.

    with Stages() as stages:
        decoded = stages.ahead(decode(file))
        restored = stages.ahead(restore(decoded))
        for frame in restored:
            write(frame)

A stage is any iterable; `ahead` runs it in a thread of its own, at most `capacity` items before
its consumer. Without threads the same lines run one after the other in the caller's thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class _Stopped(BaseException):
    """Ends a stage that waits in a pipeline that was stopped; no `except Exception` catches it."""


class Stages(AbstractContextManager["Stages"]):
    """The threads of one pipeline; use it in a `with`, from one thread.

    The first error of any stage, or of the block, stops every stage and is the one that the block
    raises. Leaving the block, by an error, Ctrl-C or a `break` too, ends all threads: what they
    use may be closed afterwards. A stage that is busy is waited for, it is not torn down.
    """

    def __init__(self, threaded: bool = True) -> None:
        self._threaded = threaded
        # One condition for all queues: a pipeline has a handful of threads.
        self._changed = threading.Condition()
        self._stopped = False
        self._error: BaseException | None = None
        self._threads: list[threading.Thread] = []
        self._owner = threading.get_ident()

    def ahead(self, items: Iterable[T], capacity: int = 2) -> Iterator[T]:
        """The same items, made in a thread of their own up to `capacity` before they are used."""
        if not self._threaded:
            return iter(items)
        queue: _Queue[T] = _Queue(self, capacity)
        thread = threading.Thread(target=self._run, args=(items, queue), daemon=True)
        self._threads.append(thread)
        thread.start()
        return queue.drain()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop(error)
        for thread in self._threads:
            thread.join()
        first = self._error
        if first is not None and first is not error and not isinstance(error, KeyboardInterrupt):
            raise first

    def _run(self, items: Iterable[T], queue: _Queue[T]) -> None:
        try:
            iterator = iter(items)
            try:
                for item in iterator:
                    queue.put(item)
            finally:
                # A generator's own `finally` has to run here, not when it is collected.
                close = getattr(iterator, "close", None)
                if close is not None:
                    close()
            queue.end()
        except _Stopped:
            pass
        except BaseException as error:
            self._stop(error)

    def _stop(self, error: BaseException | None) -> None:
        with self._changed:
            if self._error is None and not self._stopped:
                self._error = error
            self._stopped = True
            self._changed.notify_all()

    def _check(self) -> None:
        """Ends whoever waits in vain: the block by the first error, a stage quietly."""
        if not self._stopped:
            return
        if self._error is not None and threading.get_ident() == self._owner:
            raise self._error
        raise _Stopped


class _Queue(Generic[T]):
    """A bounded queue between two stages; its waits end when the pipeline is stopped."""

    def __init__(self, stages: Stages, capacity: int) -> None:
        self._stages, self._capacity = stages, capacity
        self._items: deque[T] = deque()
        self._ended = False

    def put(self, item: T) -> None:
        with self._stages._changed:
            while len(self._items) >= self._capacity and not self._stages._stopped:
                self._stages._changed.wait()
            self._stages._check()
            self._items.append(item)
            self._stages._changed.notify_all()

    def end(self) -> None:
        with self._stages._changed:
            self._ended = True
            self._stages._changed.notify_all()

    def drain(self) -> Iterator[T]:
        while True:
            with self._stages._changed:
                while not (self._items or self._ended or self._stages._stopped):
                    self._stages._changed.wait()
                self._stages._check()
                if not self._items:
                    return
                item = self._items.popleft()
                self._stages._changed.notify_all()
            yield item
            del item
