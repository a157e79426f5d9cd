"""Captions are the same whether pictures are restored, as they came, or half of each."""

from __future__ import annotations

import av

from keeprt.engine.live.states import Bypass
from keeprt.engine.live.status import Settings
from keeprt.engine.live.wire.pictures import black
from keeprt.engine.live.wire.restoring import Answered
from keeprt.engine.media.info import VideoInfo
from tests.engine.live.wire.test_signals import X264, Made, captions_of, stream_of, with_captions
from tests.engine.live.wire.test_simulated import Simulated

TEXT = [b"\xfc" + bytes((0xC1 + n % 26, 0x80 | n)) for n in range(70)]
DIES_AT = 40  # pictures


class Restores:
    """Answers each picture with another one, which has no captions, until it dies."""

    def __init__(self, dies_at: int) -> None:
        self._left = dies_at

    def begin(self, like: VideoInfo, answered: Answered, frames_waiting: int) -> None:
        self._like, self._answered = like, answered

    def offer(self, slot: int, frame: av.VideoFrame, until_s: float, settings: Settings) -> None:
        self._left -= 1
        if self._left >= 0:
            self._answered(slot, black(self._like))

    @property
    def bypass(self) -> Bypass | None:
        return None if self._left > 0 else Bypass.WORKER_DOWN


def on_air(source: bytes, dies_at: int, bypass: bool) -> Simulated:
    run = Simulated(Restores(dies_at), delay="120ms", settings=Settings(bypass=bypass))
    run.feed(source)
    run.idle(0.5)
    return run


def test_the_text_is_the_same_live_in_bypass_and_with_the_restorer_killed() -> None:
    source = with_captions(stream_of(Made(options=X264), 80), TEXT)
    live = on_air(source, 1000, bypass=False)
    bypass = on_air(source, 1000, bypass=True)
    killed = on_air(source, DIES_AT, bypass=False)
    kinds = live.channel.meters.frames, bypass.channel.meters.frames, killed.channel.meters.frames
    assert not kinds[0]["original"] and not kinds[1]["restored"]
    assert kinds[2]["original"] > 10 and kinds[2]["restored"] > 10
    said = captions_of(live.data)
    assert len(said) > 80 and said in captions_of(source)
    assert captions_of(bypass.data) == captions_of(killed.data) == said
