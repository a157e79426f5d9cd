"""Threads and queues: order, back-pressure, one error that stops all, no deadlock, nothing left."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeprt.engine.pipeline.stages import Stages

DEADLINE_S = 20.0


class BrokenError(Exception):
    pass


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def in_time(work: Callable[[], object]) -> None:
    """Runs `work` in a thread, so that a deadlock is a failure and no hanging test."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(DEADLINE_S)
    assert not thread.is_alive(), "deadlock"
    if errors:
        raise errors[0]


def plus_one(items: Iterable[int], fails_at: int | None = None) -> Iterator[int]:
    for n, item in enumerate(items):
        if n == fails_at:
            raise BrokenError(f"at {n}")
        yield item + 1


def run_chain(
    length: int, capacities: list[int], failing: int | None, at: int, threaded: bool = True
) -> list[int]:
    """A source, one stage per capacity, and the block; `failing` counts them, source first."""
    done = []
    with Stages(threaded) as stages:
        source = plus_one(range(-1, length - 1), at if failing == 0 else None)
        items = stages.ahead(source, 2)
        for number, capacity in enumerate(capacities, 1):
            items = stages.ahead(plus_one(items, at if failing == number else None), capacity)
        for n, item in enumerate(items):
            if failing == len(capacities) + 1 and n == at:
                raise BrokenError("in the block")
            done.append(item)
    return done


@pytest.mark.parametrize("threaded", [True, False])
def test_all_items_in_order(threaded: bool) -> None:
    assert run_chain(200, [1, 3], None, 0, threaded) == list(range(2, 202))


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(0, 40),
    capacities=st.lists(st.integers(1, 4), min_size=0, max_size=4),
    failing=st.integers(0, 6),
    at=st.integers(0, 45),
)
def test_an_error_anywhere_ends_all_and_is_the_one_raised(
    length: int, capacities: list[int], failing: int, at: int
) -> None:
    def work() -> None:
        if failing <= len(capacities) + 1 and at < length:
            with pytest.raises(BrokenError):
                run_chain(length, capacities, failing, at)
        else:
            assert len(run_chain(length, capacities, failing, at)) == length

    in_time(work)


def test_a_slow_consumer_holds_the_producers_back() -> None:
    made = 0

    def source() -> Iterator[int]:
        nonlocal made
        for n in range(60):
            made = n + 1
            yield n

    most = 0
    with Stages() as stages:
        for used, _ in enumerate(stages.ahead(plus_one(stages.ahead(source(), 3)), 2)):
            time.sleep(0.002)
            most = max(most, made - used)
    # Two queues of 3 and 2, one item in the hands of each of the three.
    assert 3 <= most <= 3 + 2 + 3


def test_the_first_error_is_reported_not_the_ones_that_follow() -> None:
    taken, ended = threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        try:
            yield 1
            taken.wait()
            raise BrokenError("first")
        finally:
            ended.set()

    def work() -> None:
        with pytest.raises(BrokenError, match="first"), Stages() as stages:
            for _ in stages.ahead(source()):
                taken.set()
                ended.wait()
                time.sleep(0.1)
                raise ValueError("second")

    in_time(work)


def test_an_error_stops_a_producer_that_waits_for_room() -> None:
    ended = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from iter(int, 1)  # zeros without end
        finally:
            ended.set()

    def work() -> None:
        with pytest.raises(BrokenError), Stages() as stages:
            for _ in stages.ahead(plus_one(stages.ahead(source(), 1)), 1):
                time.sleep(0.05)
                raise BrokenError

    in_time(work)
    assert ended.is_set()


def test_an_error_ends_a_consumer_that_waits_for_items() -> None:
    def source() -> Iterator[int]:
        time.sleep(0.1)
        raise BrokenError("early")
        yield 0

    def work() -> None:
        with pytest.raises(BrokenError, match="early"), Stages() as stages:
            list(stages.ahead(plus_one(stages.ahead(plus_one(stages.ahead(source()))))))

    in_time(work)


def test_a_stopped_source_is_closed_in_its_own_thread() -> None:
    class Source:
        closed_in: threading.Thread | None = None

        def __iter__(self) -> Source:
            return self

        def __next__(self) -> int:
            return 0

        def close(self) -> None:
            self.closed_in = threading.current_thread()

    source = Source()
    with Stages() as stages:
        next(stages.ahead(source))
    assert source.closed_in not in (None, threading.current_thread())


def test_leaving_early_ends_the_threads() -> None:
    with Stages() as stages:
        for item in stages.ahead(plus_one(iter(int, 1)), 2):
            assert item == 1
            break


def test_ctrl_c_ends_a_block_that_waits() -> None:
    def source() -> Iterator[int]:
        yield 1
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)
        yield 2
        time.sleep(DEADLINE_S)

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Stages() as stages:
        for _ in stages.ahead(source()):
            pass
    assert time.monotonic() - started < DEADLINE_S / 2


def test_causes_of_errors_are_kept() -> None:
    def source() -> Iterator[int]:
        try:
            raise ValueError("cause")
        except ValueError as error:
            raise BrokenError("effect") from error
        yield 0

    with pytest.raises(BrokenError) as raised, Stages() as stages:
        list(stages.ahead(source()))
    assert isinstance(raised.value.__cause__, ValueError)
