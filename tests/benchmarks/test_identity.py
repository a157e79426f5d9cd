"""The composed clips show whom they say they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from keeprt.benchmarks.identity import COUNT, HEIGHT, WIDTH, Composed, composed, look, write
from tests.engine.pipeline_clips import one_face

RED, BLUE = (255, 0, 0), (0, 0, 255)


def plain(colour: tuple[int, int, int]) -> list[np.ndarray]:
    return [np.full((300, 220, 3), colour, np.uint8) for _ in range(COUNT)]


def shown(clip: Composed, n: int) -> str | None:
    picture = clip.picture(n)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    # The board hides the middle of a face, not its edge.
    middle = picture[150:400, 400:540]
    for name, colour in (("A", RED), ("B", BLUE)):
        if (middle == colour).all(-1).mean() > 0.2:
            return name
    return None


def test_clips_show_whom_they_say() -> None:
    clips = composed(plain(RED), plain(BLUE))
    assert len(clips) == 5
    for clip in clips:
        people = [clip.who(n) for n in range(clip.count)]
        assert len(set(people)) > 1
        if "leaves" not in clip.name:
            assert [shown(clip, n) for n in range(clip.count)] == people, clip.name


@pytest.mark.slow
def test_what_is_found_is_compared_with_who_is_there(tmp_path: Path) -> None:
    pictures = one_face(12, WIDTH, HEIGHT, 300)
    clip = Composed("face", 12, lambda n: pictures[n], lambda n: "A" if n < 6 else None)
    found = look(write(tmp_path / "clip.mkv", clip), clip, None)
    assert found.frames == 12 and found.joins == 0
    assert found.faces_of_nobody == 6 and found.painted > 1000
