"""What half precision costs: mixed graphs against float32 ones, run by ONNX Runtime on real frames.

Every half result is really stored in half (`keeprt.export.precision.stored`), so that rounding and
overflow both show; sums inside a node stay float32, and what a card fuses it does not store.

    python -m keeprt.benchmarks.precision.study --bundle bundle --mixed bundle-mixed --clip face.mp4
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

from keeprt.benchmarks.precision.islands import IslandRow, study_islands
from keeprt.benchmarks.precision.runs import (
    Comparison,
    compare_runs,
    compare_subgraphs,
    logits_std,
    record_run,
)
from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.media import open_source
from keeprt.engine.pipeline.aligned_clip import to_face

console = Console(width=150)


def main() -> None:
    """Prints the tables of the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="fp32 bundle")
    parser.add_argument("--mixed", type=Path, required=True, help="the same in mixed or fp16")
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=12, help="recurrent frames after the first")
    parser.add_argument("--island-frames", type=int, default=4)
    parser.add_argument("--threads", type=int, default=None)
    args = parser.parse_args()
    exact, half = load_bundle(args.bundle), load_bundle(args.mixed)
    pictures = read_faces(args.clip, args.frames + 1, exact.face_size)

    records = record_run(exact, pictures, args.threads)
    std = logits_std(exact, records[1])
    show_subgraphs(compare_subgraphs(half, records, args.threads))
    for free in (False, True):
        show_frames(compare_runs(half, pictures, records, std, free=free, threads=args.threads))
    if args.island_frames:
        rows = study_islands(exact, records[1 : args.island_frames + 1], args.threads)
        show_islands(rows)


def read_faces(clip: Path, count: int, size: int) -> list[Picture]:
    """The first frames of a clip as faces of the network's size."""
    with open_source(clip) as video:
        return [to_face(frame.rgb(), size) for frame in islice(video, count)]


def show_subgraphs(errors: dict[str, tuple[float, float]]) -> None:
    """Error of each output, every subgraph fed with the float32 run's own inputs."""
    table = Table("tensor", "mean rel. L2", "largest", title="Each subgraph on float32's inputs")
    for name, (mean, worst) in errors.items():
        table.add_row(name, f"{mean:.1e}", f"{worst:.1e}")
    console.print(table)


def show_frames(comparison: Comparison) -> None:
    """One row per frame, then the sum."""
    title = "Left to run freely" if comparison.free else "With float32's state fed in"
    columns = ("frame", "rel. L2", "PSNR dB", "equal codes", "flip gap / std", "flow EPE px")
    table = Table(*columns, title=title)
    for row in comparison.frames:
        gap = f"{row.largest_gap:.2%}" if row.flips else "-"
        epe = "-" if row.flow_error is None else f"{row.flow_error:.4f}"
        equal = f"{row.tokens - row.flips} / {row.tokens}"
        table.add_row(str(row.frame), f"{row.error:.1e}", f"{row.psnr:.1f}", equal, gap, epe)
    console.print(table)
    console.print(comparison.summary(), highlight=False)


def show_islands(rows: Sequence[IslandRow]) -> None:
    """What each island buys."""
    table = Table(
        "graphs", "float32 share", "latent", "gain", "EPE px", "predicted", "margin", "flips",
        "restored", title="Islands: relative L2 error with all of them, without each, with none",
    )  # fmt: skip
    for row in rows:
        table.add_row(
            row.name, f"{row.float32_share:.2%}", *(f"{value:.1e}" for value in row.errors[:2]),
            f"{row.flow_error:.4f}", *(f"{value:.1e}" for value in row.errors[2:4]),
            f"{row.flips} / {row.tokens}", f"{row.errors[4]:.1e}",
        )  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    main()
