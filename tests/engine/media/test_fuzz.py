"""Mutated inputs: bits flipped, cut, pieces dropped. One clear line or a whole output, no more."""

from __future__ import annotations

import random
import time
from pathlib import Path

import av
import pytest

from keeprt.engine.errors import KeeprtError
from keeprt.engine.media import open_sink, open_source
from tests.engine.media.clips import Clip, make_clip

CONTAINERS = ("a.mp4", "a.mov", "a.mkv", "a.ts", "a.avi", "a.mxf")
MUTATIONS = 50
HANG_S = 60


def clip_in(folder: Path, name: str) -> bytes:
    codec = "mpeg2video" if name.endswith(".mxf") else "libx264"
    sound = not name.endswith((".avi", ".mxf"))
    return make_clip(folder / name, Clip(codec=codec, audio=sound)).read_bytes()


def mutated(data: bytes, chance: random.Random) -> bytes:
    """One of: a few bits flipped, the end cut off, a piece taken out, a piece repeated."""
    changed = bytearray(data)
    kind = chance.randrange(4)
    if kind == 0:
        for _ in range(chance.randrange(1, 20)):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        return bytes(changed)
    begin = chance.randrange(len(changed))
    if kind == 1:
        return bytes(changed[:begin])
    end = min(len(changed), begin + chance.randrange(1, 2000))
    if kind == 2:
        return bytes(changed[:begin] + changed[end:])
    return bytes(changed[:end] + changed[begin:])


def restore(source: Path, out: Path, on_damage: str) -> bool:
    """Whether an output was written; anything but a clear error is raised."""
    try:
        with (
            open_source(source, on_damage=on_damage) as video,  # type: ignore[arg-type]
            open_sink(out, video, preset="ultrafast") as sink,
        ):
            for frame in video:
                sink.write(frame)
    except KeeprtError as error:
        assert "\n" not in str(error) and len(str(error)) > 10
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTAINERS)
def test_mutated_inputs_end_in_one_line_or_a_whole_output(tmp_path: Path, name: str) -> None:
    whole = clip_in(tmp_path, name)
    source, out = tmp_path / f"in-{name}", tmp_path / "out.mkv"
    chance = random.Random(name)
    written = 0
    for number in range(MUTATIONS):
        source.write_bytes(mutated(whole, chance))
        begin = time.monotonic()
        done = restore(source, out, ("stop", "skip")[number % 2])
        assert time.monotonic() - begin < HANG_S
        assert out.exists() == done
        if done:
            with av.open(str(out)) as container:
                assert sum(1 for _ in container.decode(video=0)) > 0
            out.unlink()
            written += 1
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, source.name])
    assert written > 0
