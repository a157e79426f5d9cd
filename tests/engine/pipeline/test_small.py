"""Where small pictures are made: on the host, and why, where no card can be used."""

from __future__ import annotations

import logging
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from keeprt.engine.devices.cuda import shrinking
from keeprt.engine.devices.cuda.driver import has_card
from keeprt.engine.media import open_source
from keeprt.engine.pipeline import RestoreOptions
from keeprt.engine.pipeline.loading import warn_once
from keeprt.engine.pipeline.native import yuv_format
from keeprt.engine.pipeline.pictures import Pictures
from keeprt.engine.pipeline.small import SmallPictures
from tests.engine.pipeline_clips import one_face, write_clip


@pytest.mark.skipif(has_card(), reason="there is a card")
def test_without_a_card_the_host_makes_them_and_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    warn_once.cache_clear()
    tried = Mock(wraps=shrinking.CardShrinker)
    monkeypatch.setattr(shrinking, "CardShrinker", tried)
    source = write_clip(tmp_path / "in.mp4", one_face(3))
    with open_source(source) as video:
        frames = list(video)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            small = SmallPictures(frames[0].info, RestoreOptions(card=0, detect_side=100))
            for frame in frames:
                there = Pictures().small(frame, yuv_format(frame), 100)
                np.testing.assert_array_equal(small.of(frame), there)
            small.close()
    assert caplog.text.count("made smaller for the detector on the host: ") == 1
    assert tried.call_count == 2, "once for a video, and not for each of its frames"
