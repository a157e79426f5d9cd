"""The restorer as the channel sees it; `restoring.link` has the one of a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import av

from keeprt.engine.live.states import Bypass
from keeprt.engine.live.status import Settings
from keeprt.engine.media.info import VideoInfo

#: Of a slot the restored picture; None where nothing in it was to be restored.
Answered = Callable[[int, "av.VideoFrame | None"], None]


class Restoring(Protocol):
    """The restorer as the channel sees it; see `restoring.link`."""

    def begin(self, like: VideoInfo, answered: Answered, frames_waiting: int) -> None:
        """What the pictures are like, and how many wait at most; `answered` is called from another
        thread."""

    def offer(self, slot: int, frame: av.VideoFrame, until_s: float, settings: Settings) -> None:
        """A picture to be restored until then, or not at all; never waits."""

    @property
    def bypass(self) -> Bypass | None:
        """Why nothing is restored just now; None while it works."""
