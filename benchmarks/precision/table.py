"""What float32 is worth by the millisecond: policies of precision on a trained network.

Each restores the same degraded clip of the demo, every half result really stored in half, free from
its first frame on, and is held against float32 and against the sharp clip; what a frame costs at
least on cards comes from the full-size network's graphs and datasheets.

    keeprt export --weights demo --out small
    keeprt export --weights synthetic:1 --out full
    python -m keeprt.benchmarks.precision.table --bundle small --full full --json table.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keeprt.benchmarks.demo import SHOWN
from keeprt.benchmarks.demo_clip import DemoClip, demo_clip
from keeprt.benchmarks.evaluate.measure import averages, pictures_measures
from keeprt.benchmarks.evaluate.warping import warping_measure
from keeprt.benchmarks.precision.cost import TF32_TFLOP_S, Skeleton
from keeprt.benchmarks.precision.headroom import headroom
from keeprt.benchmarks.precision.policies import Policy, policies
from keeprt.benchmarks.precision.runs import (
    FrameRecord,
    Recorder,
    end_point_error,
    logits_std,
    psnr_db,
)
from keeprt.benchmarks.precision.storage import stored_bundle
from keeprt.engine.bundle.load import Bundle, load_bundle
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from keeprt.engine.restorer import DEFAULT_WINDOW, Restorer
from keeprt.export.precision.graph_copy import convert_bundle
from keeprt.export.precision.islands import HALF

HEADROOM_FRAMES = 2
FLOW_FRAMES = 30
DECODED = ("codes", "margin", "restored")
WINDOWS = 10  # the drift's first and last frames are averaged over so many


@dataclass(frozen=True)
class Row:
    """A policy's figures; `against` float32's run, the pictures' against the sharp clip."""

    policy: str
    frames: int
    equal_codes: float
    largest_gap_std: float
    flow_px: float
    psnr_float32_db: float
    first_db: float
    last_db: float
    psnr_sharp_db: float
    ssim_sharp: float
    e_warp: float
    headroom: float | None
    tightest: str
    predicted_ms: dict[str, float]


def main() -> None:
    """Measures what the JSON file does not hold yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="trained, fp32")
    parser.add_argument("--full", type=Path, help="full-size, fp32, for the predicted times")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--only", nargs="+", metavar="POLICY", help="these, in this order")
    parser.add_argument("--threads", type=int, default=None)
    args = parser.parse_args()
    known = json.loads(args.json.read_text()) if args.json.exists() else {}
    bundle = load_bundle(args.bundle)
    named = {policy.name: policy for policy in policies()}
    wanted = [named[name] for name in args.only or named]
    missing = [policy for policy in wanted if policy.name not in known]
    if missing:
        skeleton = Skeleton(load_bundle(args.full)) if args.full else None
        study = Study(bundle, args.frames, args.threads)
        for policy in missing:
            row = study.row(policy, skeleton)
            known[policy.name] = asdict(row)
            args.json.write_text(json.dumps(known, indent=1))
            print(row, flush=True)
    print("\n".join(markdown([known[p.name] for p in policies() if p.name in known])))


class Study:
    """One clip, restored in float32 first."""

    def __init__(self, bundle: Bundle, frames: int, threads: int | None) -> None:
        self.bundle, self.threads = bundle, threads
        self.clip = demo_clip(frames, size=bundle.face_size, degradation=SHOWN)
        self.exact = list(restore(bundle, self.clip, False, threads))
        self.std = logits_std(bundle, self.exact[1])

    def row(self, policy: Policy, skeleton: Skeleton | None) -> Row:
        """Restores the clip by a policy and measures it."""
        found = self.exact if policy.precision == "fp32" else list(self._restored(policy))
        pairs = list(zip(found, self.exact, strict=True))
        flips = [a.outputs["decoder"]["codes"] != b.outputs["decoder"]["codes"] for a, b in pairs]
        gaps = [
            b.outputs["decoder"]["margin"][flip].max(initial=0)
            for flip, (_, b) in zip(flips, pairs, strict=True)
        ]
        near = [min(_psnr(a, b), 120.0) for a, b in pairs]
        tensors = []
        if HALF.get(policy.precision) == "float16":
            seen = self.exact[1 : 1 + HEADROOM_FRAMES]
            tensors = headroom(self.bundle, seen, policy.precision, policy.islands, self.threads)
        return Row(
            policy=policy.name,
            frames=len(found),
            equal_codes=float(1 - np.mean(flips)),
            largest_gap_std=float(max(gaps)) / self.std,
            flow_px=float(
                np.median([end_point_error(a.flow(), b.flow()) for a, b in pairs[1:FLOW_FRAMES]])
            ),
            psnr_float32_db=float(np.mean(near)),
            first_db=float(np.mean(near[:WINDOWS])),
            last_db=float(np.mean(near[-WINDOWS:])),
            **self._pictures(found),
            headroom=tensors[0].headroom if tensors else None,
            tightest=f"{tensors[0].subgraph} {tensors[0].scope}" if tensors else "",
            predicted_ms=skeleton.predicted_ms(policy, DEFAULT_WINDOW) if skeleton else {},
        )

    def _restored(self, policy: Policy) -> Iterator[FrameRecord]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bundle"
            convert_bundle(self.bundle, path, policy.precision, islands=policy.islands)
            yield from restore(load_bundle(path), self.clip, policy.tf32, self.threads)

    def _pictures(self, found: Sequence[FrameRecord]) -> dict[str, float]:
        pictures = [_picture(record) for record in found]
        figures: dict[str, float] = {}
        names = ("psnr_sharp_db", "ssim_sharp", "e_warp")
        for name, measure in zip(names, (*pictures_measures(), warping_measure()), strict=True):
            assert measure.values is not None
            series = measure.values(measure.prepare(self.clip.sharp), pictures)
            figures[name] = averages(measure, series)[measure.column.key] or 0.0
        return figures


def restore(
    bundle: Bundle, clip: DemoClip, tf32: bool, threads: int | None
) -> Iterator[FrameRecord]:
    """The degraded clip from frame to frame; of each frame what left the subgraphs."""
    with tempfile.TemporaryDirectory() as folder:
        stored = stored_bundle(bundle, Path(folder), tf32=tf32, wide_borders=True)
        backend = Recorder(OnnxRuntimeBackend(stored, threads=threads))
    restorer = Restorer(stored, backend)
    state = restorer.new_state()
    for index, face in enumerate(clip.degraded):
        backend.record = FrameRecord(state)
        _, state = restorer.restore(face, state)
        record, backend.record = backend.record, None
        if index > HEADROOM_FRAMES:
            record.inputs.clear()
        told = {"decoder": {n: record.outputs["decoder"][n] for n in DECODED}}
        if 0 < index < FLOW_FRAMES:
            told["flow_matching"] = record.outputs["flow_matching"]
        yield FrameRecord(record.before, record.inputs, told)


def _picture(record: FrameRecord) -> Any:
    face = record.outputs["decoder"]["restored"][0]
    scaled = np.nan_to_num((face.transpose(1, 2, 0) + 1) * 127.5)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _psnr(found: FrameRecord, exact: FrameRecord) -> float:
    return psnr_db(found.outputs["decoder"]["restored"], exact.outputs["decoder"]["restored"])


def markdown(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The table, its quickest column last."""
    cards = list(TF32_TFLOP_S)
    yield (
        "| policy | codes equal | largest margin of a flip | flow, px | to float32, dB "
        "| first / last 10 frames | sharp: PSNR, dB | SSIM | E_warp, 1e-3 | head-room | "
        + " | ".join(f"{card}, ms" for card in cards)
        + " |"
    )
    yield "| --- |" + " --- |" * (9 + len(cards))
    for row in rows:
        exact = row["policy"] == "fp32"
        yield (
            "| "
            + " | ".join(
                [
                    row["policy"],
                    f"{100 * row['equal_codes']:.2f} %",
                    "-" if exact else f"{100 * row['largest_gap_std']:.2g} %",
                    f"{row['flow_px']:.4f}",
                    "-" if exact else f"{row['psnr_float32_db']:.1f}",
                    "-" if exact else f"{row['first_db']:.1f} / {row['last_db']:.1f}",
                    f"{row['psnr_sharp_db']:.3f}",
                    f"{row['ssim_sharp']:.4f}",
                    f"{1e3 * row['e_warp']:.4f}",
                    f"{row['headroom']:.0f}" if row["headroom"] else "-",
                    *(f"{row['predicted_ms'][card]:.2f}" for card in cards if row["predicted_ms"]),
                ]
            )
            + " |"
        )


if __name__ == "__main__":
    main()
