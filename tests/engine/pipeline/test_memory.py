"""A long video takes no more memory than a short one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from keeprt.engine.pipeline import Encoding, RestoreOptions, restore_video
from tests.engine.pipeline_clips import background, with_face

pytest.importorskip("skimage")

FRAMES, EARLY = 3000, 300


def long_clip(path: Path) -> Path:
    """3,000 frames of 1080p with a face that drifts, made of 25 pictures there and back."""
    scene = background(1080, 1920)
    stills = [with_face(scene, 600 + 4 * n, 200, 500) for n in range(25)]
    order = [*range(25), *range(23, 0, -1)]
    frames = [
        av.VideoFrame.from_ndarray(still, "rgb24").reformat(format="yuv420p") for still in stills
    ]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=1920, height=1080)
        stream.codec_context.options = {"preset": "ultrafast", "crf": "30", "g": "25"}
        stream.codec_context.thread_count = 2
        for n in range(FRAMES):
            frame = frames[order[n % len(order)]]
            frame.pts, frame.time_base = n, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.slow
def test_3000_frames_of_1080p_take_no_more_memory_than_300(tmp_path: Path) -> None:
    process = psutil.Process()
    peaks = np.zeros(FRAMES, np.int64)
    done = 0

    def on_frame() -> None:
        nonlocal done
        peaks[done] = process.memory_info().rss
        done += 1

    source = long_clip(tmp_path / "long.mp4")
    options = RestoreOptions(detect_every=10, encoding=Encoding(crf=35, preset="ultrafast"))
    summary = restore_video(source, tmp_path / "out.mp4", None, options, on_frame)
    assert (summary.frames, len(summary.tracks)) == (FRAMES, 1)
    # Where it turns back between two detections a frame may stay as it is.
    assert summary.tracks[1].frames > 0.98 * FRAMES
    early, late = peaks[:EARLY].max(), peaks.max()
    print(
        f"peak after {EARLY} frames {early / 2**20:.0f} MiB, after {FRAMES} {late / 2**20:.0f} MiB"
    )
    assert late <= 1.03 * early
