"""Built plans on disk: a name that spells every input of the build, beside it a sealed note."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from keeprt.engine.bundle.load import file_sha256
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.libraries.tensorrt.graphs import GraphProfile, Graphs, Sizes, own_axes

FORMAT = "keeprt-plan"
FORMAT_VERSION = 1
FOLDER = "plans"
NOTE_SUFFIX = ".json"
# What the builder is told, in the plan's name; see `require_capturable`.
BUILD_OPTIONS = {"rtx": "tf32off-userallocation", "tensorrt": "tf32off"}


@dataclass(frozen=True)
class Profile:
    """Sizes of the free axes of a bundle's graphs."""

    faces: Sizes = (1, 1, 1)
    frames: Sizes = (2, 8, 8)
    selected: Sizes = (1, 1, 1)

    def __post_init__(self) -> None:
        for axis, (low, usual, high) in self.axes().items():
            if not 1 <= low <= usual <= high:
                raise UsageError(
                    f"--{axis} {low},{usual},{high}: give smallest,usual,largest, from 1 up"
                )
        if self.frames[0] < 2:
            raise UsageError("--frames: a gain's window has at least 2 frames")

    def axes(self) -> dict[str, Sizes]:
        """Sizes by the manifest's words for the axes."""
        return {"faces": self.faces, "frames": self.frames, "selected": self.selected}


@dataclass(frozen=True)
class PlanKey:
    """Everything that a plan was made of; two plans are interchangeable only if all is equal."""

    subgraph: str
    precision: str
    flavour: str
    version: str
    target: str
    profile: str
    options: str
    onnx_sha256: str

    @property
    def file_name(self) -> str:
        """The plan's name."""
        return (
            f"{self.subgraph}.{self.precision}.{self.flavour}-{self.version}.{self.target}."
            f"{self.profile}.{self.options}.{self.onnx_sha256[:16]}.plan"
        )


def plan_key(
    graphs: Graphs,
    subgraph: str,
    *,
    flavour: str,
    version: str,
    targets: tuple[str, ...],
    profile: GraphProfile,
) -> PlanKey:
    """The key of a subgraph's plan."""
    spec = graphs.subgraphs[subgraph]
    sizes = (f"{axis}{'-'.join(map(str, size))}" for axis, size in own_axes(profile, spec).items())
    return PlanKey(
        subgraph=subgraph,
        precision=graphs.precision,
        flavour=flavour,
        version=version,
        target="+".join(targets),
        profile=".".join(sizes),
        options=BUILD_OPTIONS[flavour],
        onnx_sha256=spec.sha256,
    )


@dataclass(frozen=True)
class PlanNote:
    """What is known about a plan: its key, its hash, and what its build told."""

    key: PlanKey
    sha256: str
    size_bytes: int
    seconds: float
    activation_bytes: int
    weights_bytes: int
    layers: dict[str, int]

    @property
    def casts(self) -> int:
        """Casts between real types in the parsed network."""
        return sum(count for kind, count in self.layers.items() if kind.startswith("CAST "))

    def to_json(self) -> str:
        """Text of the note, sealed with the hash of its own content."""
        content = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}
        content["seal"] = _seal(content)
        return json.dumps(content, indent=2) + "\n"


def plans_folder(graphs: Graphs) -> Path:
    """Where a bundle's plans live unless told otherwise."""
    return graphs.path / FOLDER


def write_plan(folder: Path, note: PlanNote, plan: Any) -> Path:
    """Writes a plan (any buffer) and its note, each whole or not at all. Raises BackendError."""
    file = folder / note.key.file_name
    try:
        write_atomically(file, plan)
        write_atomically(note_path(file), note.to_json().encode())
    except OSError as error:
        raise BackendError(
            f"cannot write the plan {file} ({note.size_bytes / 1e6:.0f} MB): {error.strerror}"
        ) from None
    return file


def note_path(plan: Path) -> Path:
    """The note beside a plan."""
    return plan.with_name(plan.name + NOTE_SUFFIX)


def read_note(plan: Path) -> PlanNote:
    """The note of a plan. Raises BackendError where it is missing, damaged or of another format."""
    file = note_path(plan)
    again = "delete it and run `keeprt build` again"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BackendError(
            f"{plan} has no readable note {file.name} ({error.strerror}); {again}"
        ) from None
    except ValueError:
        raise BackendError(f"{file} is damaged, it is no JSON; {again}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BackendError(f"{file} is not the note of a keeprt plan; {again}")
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise BackendError(f"{file} has format version {version}, not {FORMAT_VERSION}; {again}")
    if content.pop("seal", None) != _seal(content):
        raise BackendError(f"{file} was edited or damaged: its seal does not match; {again}")
    key = PlanKey(**{field.name: content["key"][field.name] for field in fields(PlanKey)})
    rest = {f.name: content[f.name] for f in fields(PlanNote) if f.name != "key"}
    return PlanNote(key=key, **rest)


def check_plan(plan: Path, key: PlanKey) -> PlanNote:
    """The note of a plan that exists, once the plan is shown to be whole and made of `key`.

    Raises BackendError.
    """
    note = read_note(plan)
    if note.key != key:
        raise BackendError(f"{plan} is under a false name: {_difference(note.key, key)}")
    size = plan.stat().st_size
    if size != note.size_bytes or file_sha256(plan) != note.sha256:
        raise BackendError(
            f"{plan} was edited or damaged: its SHA-256 differs; delete it and run `keeprt build` "
            "again"
        )
    return note


def find_plan(folder: Path, key: PlanKey, remake: str) -> tuple[Path, PlanNote]:
    """The plan of that key. Raises BackendError telling what there is instead, and the command
    `remake` that makes it.
    """
    plan = folder / key.file_name
    if plan.is_file():
        return plan, check_plan(plan, key)
    others = sorted(folder.glob(f"{key.subgraph}.*.plan")) if folder.is_dir() else []
    for other in others:
        note = read_note(other)
        raise BackendError(
            f"no plan of {key.subgraph} fits: {other.name} {_difference(note.key, key)}; "
            f"run `{remake}`"
        )
    raise BackendError(f"{folder} has no plan of {key.subgraph}; run `{remake}`")


WORDS = {
    "precision": "is {0}, the bundle {1}",
    "flavour": "is of flavour {0}, not {1}",
    "version": "was built by version {0}, this is {1}",
    "target": "is for {0}, this card is {1}",
    "profile": "is for sizes {0}, not {1}",
    "options": "was built with options {0}, not {1}",
    "onnx_sha256": "was built from another graph ({0:.8} instead of {1:.8})",
}


def _difference(found: PlanKey, wanted: PlanKey) -> str:
    said = [
        words.format(getattr(found, name), getattr(wanted, name))
        for name, words in WORDS.items()
        if getattr(found, name) != getattr(wanted, name)
    ]
    return ", ".join(said) or f"is of {found.subgraph}"


def write_atomically(file: Path, content: Any) -> None:
    """Writes a buffer to a file that appears only when whole. Raises OSError."""
    partial = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _seal(content: dict[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
