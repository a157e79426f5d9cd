"""The bundle: a folder of ONNX subgraphs with a manifest that says, and proves, what they are."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from keeprt.engine.bundle.specs import DTYPES, FREE_AXES, SubgraphSpec, TensorSpec
from keeprt.engine.bundle.wiring import check_wiring
from keeprt.engine.errors import BackendError, BundleError

FORMAT = "keeprt-bundle"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
# The name of the bundle that comes along: a small network that has learnt one portrait.
DEMO = "demo"
DEMO_FOLDER = Path(__file__).parent / DEMO
HASHED_BYTES = 1 << 20  # at once, so that a file of any size takes little memory
T = TypeVar("T")


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` holds."""

    configuration: dict[str, Any]
    precision: str
    weights_source: str
    weights_sha256: str
    tools: dict[str, str]
    subgraphs: dict[str, SubgraphSpec]

    def to_json(self) -> str:
        """Text of the manifest, sealed with the hash of its own content."""
        content: dict[str, Any] = {"format": FORMAT, "format_version": FORMAT_VERSION}
        content |= asdict(self)
        content["seal"] = _seal(content)
        return json.dumps(content, indent=2) + "\n"


@dataclass(frozen=True)
class Bundle:
    """A checked bundle on disk."""

    path: Path
    manifest: Manifest

    @property
    def subgraphs(self) -> dict[str, SubgraphSpec]:
        """Subgraphs by name."""
        return self.manifest.subgraphs

    @property
    def precision(self) -> str:
        """What the graphs compute in."""
        return self.manifest.precision

    @property
    def has_kalman(self) -> bool:
        """False for a network without the Kalman filter: every latent is the observed one."""
        return "gain_net" in self.subgraphs

    @property
    def face_size(self) -> int:
        """Side of the faces that go in and out, in pixels."""
        return int(self.subgraphs["lq_encoder"].input("face").shape[-1])

    @property
    def identity(self) -> str:
        """Hash over the whole content; two bundles share it only if they compute the same."""
        hashes = [f"{name}:{graph.sha256}" for name, graph in sorted(self.subgraphs.items())]
        return hashlib.sha256("\n".join(hashes).encode()).hexdigest()

    def file(self, name: str) -> Path:
        """Path of a subgraph's ONNX file."""
        return self.path / self.subgraphs[name].file

    def graph(self, name: str) -> bytes:
        """A subgraph's file. Raises BackendError where it changed since it was checked."""
        file = self.file(name)
        try:
            graph = file.read_bytes()
        except OSError as error:
            raise BackendError(f"cannot read {file}: {error.strerror}") from None
        if hashlib.sha256(graph).hexdigest() != self.subgraphs[name].sha256:
            raise BackendError(f"{file} changed since the bundle was checked; export again")
        return graph

    @property
    def findable_weights(self) -> str:
        """Source of the weights where the manifest's words are enough to find them, else "": of a
        file it has only the name.
        """
        source = self.manifest.weights_source
        is_official = source.startswith("official ")
        return source if is_official or self.is_synthetic or source == DEMO else ""

    @property
    def is_synthetic(self) -> bool:
        """True where the weights are made up, so that pictures mean nothing."""
        return self.manifest.weights_source.startswith("synthetic:")


def bundle_folder(path: str | Path) -> Path:
    """Where the bundle of that name lies; see `load_bundle`."""
    folder = Path(path)
    is_ours = str(path) == DEMO and not (folder / MANIFEST).is_file()
    return DEMO_FOLDER if is_ours else folder


def load_bundle(path: str | Path) -> Bundle:
    """Reads a bundle and checks all of it: manifest, files, sizes, hashes, wiring.

    `path` "demo" is the bundle that comes along, unless a bundle lies in a folder of that name.
    Raises BundleError naming the file that is missing, truncated, edited, too new or outside.
    """
    folder = bundle_folder(path)
    file = folder / MANIFEST
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"{folder} is no bundle: it has no {MANIFEST}; make one with "
            f"`keeprt export --weights ... --out {folder}`"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{file} cannot be read: {error}") from None
    manifest = parse_manifest(text, file)
    for name, graph in manifest.subgraphs.items():
        _check_file(folder, name, graph)
    check_wiring(manifest.subgraphs, file)
    return Bundle(folder, manifest)


def parse_manifest(text: str, file: Path) -> Manifest:
    """Manifest from its text; `file` is named in errors. Raises BundleError."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{file} is damaged, it is no JSON: {error}; export again") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BundleError(f"{file} is not the manifest of a keeprt bundle")
    version = content.get("format_version")
    if type(version) is not int or version < 1:
        raise BundleError(f"{file}: format_version {version!r} is no version; export again")
    if version > FORMAT_VERSION:
        raise BundleError(
            f"{file} has format version {version}, this keeprt reads up to {FORMAT_VERSION}: "
            "update keeprt or export again with this one"
        )
    seal = content.pop("seal", None)
    if seal != _seal(content):
        raise BundleError(f"{file} was edited or damaged: its seal does not match; export again")
    try:
        return _manifest_from(content)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{file} is incomplete or malformed: {error}") from None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(HASHED_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _seal(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _manifest_from(content: Mapping[str, Any]) -> Manifest:
    subgraphs = _typed(content, "subgraphs", dict)
    return Manifest(
        configuration=_typed(content, "configuration", dict),
        precision=_typed(content, "precision", str),
        weights_source=_typed(content, "weights_source", str),
        weights_sha256=_typed(content, "weights_sha256", str),
        tools=_typed(content, "tools", dict),
        subgraphs={str(name): _subgraph_from(name, graph) for name, graph in subgraphs.items()},
    )


def _subgraph_from(name: str, content: Mapping[str, Any]) -> SubgraphSpec:
    return SubgraphSpec(
        file=_typed(content, "file", str),
        sha256=_typed(content, "sha256", str),
        size_bytes=_typed(content, "size_bytes", int),
        inputs=_tensors_from(name, _typed(content, "inputs", list)),
        outputs=_tensors_from(name, _typed(content, "outputs", list)),
        gflop=_typed(content, "gflop", dict) if "gflop" in content else {},
        float32_nodes=_typed(content, "float32_nodes", dict) if "float32_nodes" in content else {},
    )


def _tensors_from(graph: str, content: list[Any]) -> tuple[TensorSpec, ...]:
    tensors = tuple(_tensor_from(graph, tensor) for tensor in content)
    if len({tensor.name for tensor in tensors}) < len(tensors):
        raise ValueError(f"{graph} names a tensor twice")
    return tensors


def _tensor_from(graph: str, content: Mapping[str, Any]) -> TensorSpec:
    name, dtype = _typed(content, "name", str), _typed(content, "dtype", str)
    if dtype not in DTYPES:
        raise ValueError(f"{graph}.{name} has unknown dtype {dtype!r}")
    shape = tuple(_typed(content, "shape", list))
    if not all(axis in FREE_AXES or (type(axis) is int and axis > 0) for axis in shape):
        raise ValueError(f"{graph}.{name} has impossible shape {shape}")
    return TensorSpec(name, dtype, shape, _typed(content, "meaning", str))


def _typed(content: Mapping[str, Any], key: str, kind: type[T]) -> T:
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, kind):
        raise ValueError(f"{key!r} is missing or not of type {kind.__name__}")
    return value


def _check_file(folder: Path, name: str, graph: SubgraphSpec) -> None:
    # A bundle is untrusted: a plain name in the folder is the only place a file may be.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", graph.file):
        raise BundleError(f"{folder / MANIFEST}: {name} names {graph.file!r}, outside the bundle")
    file = folder / graph.file
    if file.is_symlink():
        raise BundleError(f"{file} is a link; a bundle holds its files itself")
    if not file.is_file():
        raise BundleError(f"{file} is missing from the bundle; export again")
    size = file.stat().st_size
    if size != graph.size_bytes:
        raise BundleError(
            f"{file} has {size} bytes instead of {graph.size_bytes}: truncated or replaced; "
            "export again"
        )
    if file_sha256(file) != graph.sha256:
        raise BundleError(f"{file} was edited or damaged: its SHA-256 differs; export again")
