"""The preview for browsers: one JPEG with the picture before on the left and after on the right.

Interface: `feed = PreviewFeed(hub, reader)`; within `with feed.watching():` the wire gives
pictures, and `await feed.newer(number)` is the next one. Each is encoded once for all that watch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from keeprt.engine.live.control.hub import Hub
from keeprt.engine.live.preview import Preview, PreviewReader

RATE = 5  # pictures a second
QUALITY = 80


@dataclass(frozen=True)
class Encoded:
    """`number`: of the tick; width and height of one half, in pixels."""

    number: int
    width: int
    height: int
    jpeg: bytes


class PreviewFeed:
    """`reader` None: the channel has no preview."""

    def __init__(self, hub: Hub, reader: PreviewReader | None) -> None:
        self.reader = reader
        self._hub, self._watchers = hub, 0
        self._latest: Encoded | None = None
        self._turn = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Pictures come while anybody is in here."""
        self._watchers += 1
        if self._watchers == 1:
            self._hub.tell("preview", {"rate": RATE})
            self._task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._watchers -= 1
            if self._watchers == 0 and self._task is not None:
                self._hub.tell("preview", {"rate": 0})
                self._task.cancel()
                self._latest = None

    async def newer(self, number: int) -> Encoded:
        """The first picture of another tick than `number`."""
        while self._latest is None or self._latest.number == number:
            await self._turn.wait()
        return self._latest

    async def _run(self) -> None:
        assert self.reader is not None
        seen = -1
        while True:
            picture = self.reader.read()
            if picture is not None and picture.number != seen:
                seen = picture.number
                self._latest = await asyncio.to_thread(encoded, picture)
                turn, self._turn = self._turn, asyncio.Event()
                turn.set()
            await asyncio.sleep(1 / RATE)


def encoded(picture: Preview) -> Encoded:
    """A preview as JPEG."""
    import cv2  # only once somebody looks: it takes a third of a second to load
    import numpy as np

    shape = (picture.height, picture.width, 3)
    before = np.frombuffer(picture.before, np.uint8).reshape(shape)
    after = np.frombuffer(picture.after, np.uint8).reshape(shape)
    both = cv2.cvtColor(np.hstack([before, after]), cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", both, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return Encoded(picture.number, picture.width, picture.height, data.tobytes())
