"""The driver in host memory as a fixture: what it counted since the test began."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from tests.cuda_driver.engines import CALLBACK, driver


class Card:
    """What a test asks of the driver; every misuse that it saw fails the test."""

    def __init__(self) -> None:
        self._driver = driver()
        self._driver.hostdriver_reset()

    def count(self, call: str) -> int:
        return int(self._driver.hostdriver_count(call.encode()))

    @property
    def captures(self) -> int:
        return self.count("cuGraphInstantiate")

    @property
    def launches(self) -> int:
        return self.count("cuGraphLaunch")

    @property
    def allocations(self) -> int:
        return self.count("cuMemAllocFromPoolAsync") + self.count("cuMemAllocHost")

    @property
    def live_bytes(self) -> int:
        return int(self._driver.hostdriver_live())

    def jitter(self, microseconds: int) -> None:
        self._driver.hostdriver_jitter(microseconds)

    @contextmanager
    def slowly(self) -> Iterator[None]:
        """Operations that are submitted here wait up to 10 ms each."""
        self.jitter(10_000)
        try:
            yield
        finally:
            self.jitter(int(os.environ.get("HOSTDRIVER_JITTER_US", "0")))

    def fail_at(self, operation: int, code: int) -> None:
        """The operation that, counted from now, fails on its stream with a sticky error."""
        self._driver.hostdriver_fail_at(operation, code)

    def repair(self) -> None:
        """As a new process would find the card."""
        for device in range(2):
            self._driver.hostdriver_fault(device, 0)


@pytest.fixture
def card() -> Iterator[Card]:
    card = Card()
    yield card
    card.repair()
    assert card.count("violation") == 0, "see HOSTDRIVER VIOLATION in what was captured"


class OnCard:
    """A picture of another program, on the card; its producer is at work for `busy_s` seconds."""

    def __init__(
        self, picture: Any, *, device: int = 0, busy_s: float = 0.0, **interface: Any
    ) -> None:
        from cuda.core import Device, LegacyPinnedMemoryResource

        card = Device(device)
        card.set_current()
        self.shape, self.stream = picture.shape, card.create_stream()
        self._staging = LegacyPinnedMemoryResource().allocate(picture.nbytes)
        memory = (ctypes.c_ubyte * picture.nbytes).from_address(int(self._staging.handle))
        np.frombuffer(memory, np.uint8)[:] = picture.reshape(-1)
        self.buffer = card.allocate(picture.nbytes, stream=self.stream)
        self.buffer.fill(0, stream=self.stream)
        self.stream.sync()
        self._interface = interface
        if busy_s:
            self._work = CALLBACK(lambda _: time.sleep(busy_s))
            driver().cuLaunchHostFunc(int(self.stream.handle), self._work, None)
        self._staging.copy_to(self.buffer, stream=self.stream)
        if not busy_s:
            self.stream.sync()

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        data = (int(self.buffer.handle), False)
        return {"shape": self.shape, "typestr": "|u1", "data": data, "version": 3} | self._interface

    @property
    def picture(self) -> Any:
        """What lies there now."""
        self.stream.sync()
        size = int(np.prod(self.shape))
        memory = (ctypes.c_ubyte * size).from_address(int(self.buffer.handle))
        return np.frombuffer(memory, np.uint8).reshape(self.shape).copy()
