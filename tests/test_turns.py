"""A test in real time runs alone, and is not kept waiting by tests that go on beginning."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from tests.turns import turn

pytest.importorskip("fcntl")


def test_who_is_alone_sees_nobody_and_comes_soon(tmp_path: Path) -> None:
    running: set[int] = set()
    seen: list[set[int]] = []
    begun = [0]
    ended = threading.Event()

    def others(number: int) -> None:
        while not ended.is_set():
            with turn(tmp_path, alone=False):
                running.add(number)
                begun[0] += 1
                time.sleep(0.01)
                running.discard(number)

    threads = [threading.Thread(target=others, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    before = begun[0]
    with turn(tmp_path, alone=True):
        waited = begun[0] - before
        for _ in range(10):
            seen.append(set(running))
            time.sleep(0.005)
    ended.set()
    for thread in threads:
        thread.join()
    assert seen == [set()] * 10
    assert before >= 3 and waited <= 6, "others go on beginning before the one that waits"
