"""Tables on the plans of a bundle, as far as they are built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.errors import BackendError
from keeprt.engine.libraries.tensorrt.detector import DETECTOR, detector_of
from keeprt.engine.libraries.tensorrt.plan_store import PlanNote, plans_folder, read_note


def plan_tables(bundle: Bundle) -> Iterator[Table]:
    """One table of sizes over all plans, then one of layers per subgraph."""
    notes, damaged = plan_notes(bundle)
    if not notes and not damaged:
        return
    yield _sizes(bundle, notes, damaged)
    subgraphs = {note.key.subgraph: note for note in notes if _is_current(bundle, note)}
    for name, note in subgraphs.items():
        yield _layers(name, note)


def plan_notes(bundle: Bundle) -> tuple[list[PlanNote], list[str]]:
    """The notes of a bundle's plans, and what is wrong with those that cannot be read."""
    found = [_note_or_reason(file) for file in sorted(plans_folder(bundle).glob("*.plan"))]
    notes = [note for note in found if isinstance(note, PlanNote)]
    return notes, [reason for reason in found if isinstance(reason, str)]


def _note_or_reason(file: Path) -> PlanNote | str:
    try:
        return read_note(file)
    except BackendError as error:
        return str(error)


def _is_current(bundle: Bundle, note: PlanNote) -> bool:
    spec = bundle.subgraphs.get(note.key.subgraph)
    return spec is not None and spec.sha256 == note.key.onnx_sha256


def _state(bundle: Bundle, note: PlanNote) -> str:
    """Of which file a plan is, where it is not the one that is there now."""
    if note.key.subgraph == DETECTOR:
        ours = detector_of(None, bundle.path).spec.sha256
        return "" if note.key.onnx_sha256 == ours else " (of another file)"
    return "" if _is_current(bundle, note) else " (of an older bundle)"


def _sizes(bundle: Bundle, notes: list[PlanNote], damaged: list[str]) -> Table:
    columns = ("plan", "built by", "target", "sizes", "plan MB", "weights MB", "activations MB")
    table = Table(*columns, "seconds", title="plans", title_justify="left")
    for note in notes:
        key = note.key
        table.add_row(
            key.subgraph + _state(bundle, note),
            f"{key.flavour} {key.version}",
            key.target,
            key.profile,
            f"{note.size_bytes / 1e6:.1f}",
            f"{note.weights_bytes / 1e6:.1f}",
            f"{note.activation_bytes / 1e6:.1f}",
            f"{note.seconds:.1f}",
        )
    for message in damaged:
        table.add_row(message)
    return table


def _layers(name: str, note: PlanNote) -> Table:
    """Layers of the parsed network by kind, one column per type."""
    types = sorted({entry.split()[1] for entry in note.layers})
    table = Table("layers", *types, title=f"{name}: {note.casts} casts", title_justify="left")
    for kind in sorted({entry.split()[0] for entry in note.layers}):
        counts = (note.layers.get(f"{kind} {dtype}", 0) for dtype in types)
        table.add_row(kind, *(str(count or "") for count in counts))
    return table
