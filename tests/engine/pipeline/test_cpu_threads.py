"""`--threads` bounds all that works on pictures: FFmpeg's codecs, swscale and OpenCV."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keeprt.engine.errors import UsageError
from keeprt.engine.pipeline import RestoreOptions
from tests.engine.media.clips import Clip, make_clip

CODECS = ("libx264", "libx265", "ffv1", "mpeg2video")
# Threads of the process while each encoder is at work, beyond those that were there before.
COUNT = """
import json, os, sys
import cv2, numpy, scipy.linalg
from keeprt.engine.archive.needs import bound_threads
from keeprt.engine.archive.recipe import bounded
from keeprt.engine.faces.centerface import CenterFace
from keeprt.engine.pipeline import Encoding, RestoreOptions, restore_video
threads, source, folder, *codecs = sys.argv[1:]
bound_threads(int(threads))
numpy.ones((64, 64)) @ numpy.ones((64, 64))  # NumPy and SciPy bring a pool each, asleep
kept = CenterFace()  # ONNX Runtime has one that sleeps
count = lambda: len(os.listdir("/proc/self/task"))
before, most = count(), {}
for codec in codecs:
    encoding = Encoding(codec, preset="ultrafast" if codec.startswith("libx") else "medium")
    options = bounded(RestoreOptions(encoding=encoding), int(threads))
    seen = []
    restore_video(source, f"{folder}/{codec}.mkv", None, options, lambda: seen.append(count()))
    most[codec] = max(seen) - before
picture = numpy.zeros((2000, 2000, 3), numpy.uint8)
cv2.GaussianBlur(picture, (31, 31), 0)
most["opencv"] = count() - before
print(json.dumps(most))
"""


def more_threads(threads: int, folder: Path) -> dict[str, int]:
    source = make_clip(folder / "in.mp4", Clip(pts=tuple(range(12)), width=640, height=368))
    done = subprocess.run(
        [sys.executable, "-c", COUNT, str(threads), str(source), str(folder), *CODECS],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return dict(json.loads(done.stdout))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core: nothing would start a thread")
def test_one_thread_is_one_thread(tmp_path: Path) -> None:
    # x265 works in a thread of its own, for which its caller waits.
    expected = dict.fromkeys((*CODECS, "opencv"), 0) | {"libx265": 1}
    assert more_threads(1, tmp_path) == expected


def test_fewer_than_none_are_refused() -> None:
    with pytest.raises(UsageError, match="cpu_threads is -1"):
        RestoreOptions(cpu_threads=-1)
