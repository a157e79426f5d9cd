"""The time of each stage around the network, per frame of 1080p, and of compositing two ways.

    python -m keeprt.benchmarks.whole_frame --frames 75 --rounds 3

Without the network: decode, shrink (the detector's picture), detect, track (with smoothing and
cuts), align, composite, encode. Stages are timed one after the other in one thread; frames per
second also with all of them overlapping. `--clip` takes a video of yours instead of the made one.

Compositing is measured against the authors' full-frame way (section 15.5 of the model's
description) on the same faces, on one core, in alternation, in CPU time.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from keeprt.engine.faces.alignment import FACE_SIZE, TEMPLATE, crop_face, estimate_transform
from keeprt.engine.faces.compositing import Patch, composite_rgb
from keeprt.engine.faces.planes import YuvFormat, composite_planes
from keeprt.engine.pipeline import Encoding, RestoreOptions, restore_video

STAGES = ("decode", "shrink", "detect", "track", "align", "composite", "encode")
HEIGHT, WIDTH = 1080, 1920
FACE_SIDES = (180, 360, 720)  # pixels of the frame that the aligned square covers


def made_clip(path: Path, frames: int) -> Path:
    """One real face, from scikit-image, that drifts over soft texture in 1080p."""
    from skimage import data

    noise = np.random.RandomState(0).standard_normal((HEIGHT // 16, WIDTH // 16, 3))
    soft = cv2.resize(noise.astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    scene = np.clip(110 + 30 * soft, 0, 255).astype(np.uint8)
    portrait: NDArray[np.uint8] = data.astronaut()  # type: ignore[no-untyped-call]
    head = cv2.resize(portrait[:240, 110:350], (480, 480), interpolation=cv2.INTER_CUBIC)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=WIDTH, height=HEIGHT)
        for n in range(frames):
            picture = scene.copy()
            picture[300:780, 600 + 2 * n : 1080 + 2 * n] = head
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def stage_times(source: Path, out: Path, every: int, preset: str) -> dict[str, float]:
    """Milliseconds per frame of each stage, all in one thread, and of all stages overlapping."""
    encoding = Encoding(preset=preset)
    alone = RestoreOptions(detect_every=every, threads=False, encoding=encoding)
    summary = restore_video(source, out, None, alone)
    times = {stage: summary.seconds[stage] / summary.frames * 1e3 for stage in STAGES}
    start = time.perf_counter()
    restore_video(source, out, None, RestoreOptions(detect_every=every, encoding=encoding))
    return times | {"overlapping": (time.perf_counter() - start) / summary.frames * 1e3}


def authors_paste(
    picture: NDArray[np.uint8], restored: NDArray[np.uint8], affine: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Section 15.5 at scale 1, without the parsing network: the whole frame in floats."""
    height, width = picture.shape[:2]
    inverse = cv2.invertAffineTransform(affine)
    face = cv2.warpAffine(restored, inverse, (width, height))
    mask = cv2.warpAffine(np.ones(restored.shape[:2], np.float32), inverse, (width, height))
    mask = np.asarray(cv2.erode(mask, np.ones((2, 2), np.uint8)))
    edge = int(math.sqrt(mask.sum())) // 20
    soft = cv2.erode(mask, np.ones((2 * edge, 2 * edge), np.uint8))
    soft = np.asarray(cv2.GaussianBlur(soft, (2 * edge + 1, 2 * edge + 1), 0))[..., None]
    pasted = soft * (mask[..., None] * face) + (1 - soft) * picture
    return np.asarray(pasted, np.uint8)


def compositing_times(side: int, rounds: int) -> dict[str, float]:
    """CPU milliseconds for one face in 1080p on one core: native 4:2:0, RGB, the authors' way."""
    random = np.random.RandomState(0)
    frame = random.randint(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    planes = tuple(
        random.randint(16, 236, shape).astype(np.uint8)
        for shape in ((HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2))
    )
    centred = (TEMPLATE - FACE_SIZE / 2) * (side / FACE_SIZE)
    middle = np.array([WIDTH / 2 + 0.3, HEIGHT / 2 + 0.6])
    affine = estimate_transform(centred + middle)
    crop = crop_face(frame, affine)
    patch = Patch(255 - crop, crop, affine)
    ways: dict[str, Callable[[], Any]] = {
        "native 4:2:0": lambda: composite_planes(planes, YuvFormat(), patch),
        "RGB": lambda: composite_rgb(frame, patch),
        "authors' way": lambda: authors_paste(frame, 255 - crop, affine),
    }
    times: dict[str, list[float]] = defaultdict(list)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    for _ in range(rounds + 1):
        for way, paste in ways.items():
            start = time.thread_time()
            paste()
            times[way].append((time.thread_time() - start) * 1e3)
    cv2.setNumThreads(threads)
    return {way: statistics.median(values[1:]) for way, values in times.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, help="a video in place of the made one")
    parser.add_argument("--frames", type=int, default=75, help="frames of the made clip")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many is shown")
    parser.add_argument("--every", type=int, nargs="+", default=[1, 3], help="detect every k-th")
    parser.add_argument("--preset", default="medium", help="of the encoder")
    asked = parser.parse_args(arguments)
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        source = asked.clip or made_clip(Path(folder) / "clip.mp4", asked.frames)
        rounds: dict[int, list[dict[str, float]]] = defaultdict(list)
        for _ in range(asked.rounds):
            for every in asked.every:
                out = Path(folder) / "out.mp4"
                rounds[every].append(stage_times(source, out, every, asked.preset))
    console.print(_stage_table(rounds))
    console.print(_compositing_table(10 * asked.rounds))
    load = os.getloadavg()[0]
    console.print(f"{os.cpu_count()} cores, load {load:.1f}, preset {asked.preset}, {source.name}")


def _stage_table(rounds: dict[int, list[dict[str, float]]]) -> Table:
    table = Table("ms per frame", *(f"detect every {every}" for every in rounds))
    medians = {
        every: {stage: statistics.median(r[stage] for r in runs) for stage in runs[0]}
        for every, runs in rounds.items()
    }
    for stage in STAGES:
        table.add_row(stage, *(f"{times[stage]:.1f}" for times in medians.values()))
    table.add_section()
    sums = [sum(times[stage] for stage in STAGES) for times in medians.values()]
    table.add_row("sum, one thread", *(f"{total:.1f}" for total in sums))
    table.add_row("overlapping", *(f"{times['overlapping']:.1f}" for times in medians.values()))
    return table


def _compositing_table(rounds: int) -> Table:
    results = {side: compositing_times(side, rounds) for side in FACE_SIDES}
    ways = list(results[FACE_SIDES[0]])
    table = Table("one face in 1080p, one core, CPU ms", *ways)
    for side, times in results.items():
        table.add_row(f"{side} x {side} pixels", *(f"{times[way]:.2f}" for way in ways))
    return table


if __name__ == "__main__":
    main()
