"""`keeprt export --calibrate`: half precision only for what has room for it on real frames."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from keeprt.benchmarks.precision.headroom import HeadroomMeter
from keeprt.benchmarks.precision.runs import record_frames
from keeprt.benchmarks.verify.measuring.faces import FaceSource
from keeprt.engine.bundle.load import Bundle, load_bundle
from keeprt.engine.errors import FaceError
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.media import open_source
from keeprt.export.bundle_writer import check_target
from keeprt.export.pipeline import export_weights
from keeprt.export.precision.graph_copy import convert_bundle
from keeprt.export.precision.headroom import LEAST_HEADROOM, headroom_islands
from keeprt.export.precision.islands import HALF, HALF_BORDERS, islands_of

FRAMES = 25


def export_calibrated(
    source: str | Path,
    out: Path,
    clip: Path,
    *,
    changes: Mapping[str, Any],
    precision: str,
    overwrite: bool = False,
    on_bytes: Callable[[int, int | None], None] | None = None,
    on_stage: Callable[[str], None] = lambda name: None,
    notify: Callable[[str], None] = lambda text: None,
) -> None:
    """As `export_weights`; what comes too near to float16's range on the clip stays float32.

    Raises BundleError, naming the tensor, where it cannot; MediaError and FaceError for the clip.
    """
    check_target(out, overwrite)
    with tempfile.TemporaryDirectory() as folder:
        exact = Path(folder) / "bundle"
        export_weights(
            source, exact, changes=changes, on_bytes=on_bytes, on_stage=on_stage, notify=notify
        )
        bundle = load_bundle(exact)
        on_stage("what the clip shows")
        faces = faces_of(clip, bundle.face_size)
        convert_calibrated(bundle, out, precision, faces, overwrite=overwrite, notify=notify)


def convert_calibrated(
    exact: Bundle,
    out: Path,
    precision: str,
    faces: Iterable[Picture],
    *,
    overwrite: bool = False,
    notify: Callable[[str], None] = lambda text: None,
) -> None:
    """Converts a float32 bundle, with an island round each tensor of too little head-room."""
    islands = islands_of(precision)
    if HALF.get(precision) == "float16":
        meter = HeadroomMeter(exact, precision, islands)
        for record in record_frames(exact, faces):
            meter.see(record)
        tensors = meter.told()
        specs = [t for spec in exact.subgraphs.values() for t in (*spec.inputs, *spec.outputs)]
        borders = {tensor.name for tensor in specs if HALF_BORDERS.fullmatch(tensor.name)}
        added = headroom_islands(meter.graphs, tensors, borders)
        for tensor in tensors:
            if tensor.headroom < LEAST_HEADROOM:
                notify(f"{tensor.statement()}: it and what reads it stay float32")
        if not added and tensors:
            notify(f"least head-room of {len(tensors)} tensors: {tensors[0].statement()}")
        islands += added
    convert_bundle(exact, out, precision, islands=islands, overwrite=overwrite, notify=notify)


def faces_of(clip: Path, size: int) -> list[Picture]:
    """The first FRAMES faces of a clip: of a square picture the whole, else the largest found."""
    with open_source(clip) as video:
        width, height = video.info.upright_size
    faces = list(FaceSource(clip, aligned=width == height).faces(FRAMES, size))
    if len(faces) < 2:
        raise FaceError(f"{clip} has fewer than 2 frames with a face; nothing recurrent is seen")
    return faces
