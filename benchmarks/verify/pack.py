"""A golden pack: the reference's frames and the limits in one file, sealed by hashes.

It judges a bundle or a plan on a machine that has neither torch nor the weights' source. A ZIP of
`header.json` and one `.npy` per distinct array, named by the SHA-256 of its bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.benchmarks.verify.judging.thresholds import (
    Thresholds,
    thresholds_content,
    thresholds_of,
)
from keeprt.benchmarks.verify.measuring.reference_frame import ReferenceFrame
from keeprt.engine.bundle.load import Bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.libraries.tensorrt.plan_store import write_atomically

FORMAT, VERSION = "keeprt-golden-pack", 1
PACK_FRAMES = 4
HEADER = "header.json"
Array = NDArray[Any]


@dataclass(frozen=True)
class Pack:
    """What a pack holds: `frames` as the reference made them, of which nothing else is needed."""

    digest: str
    subject: Mapping[str, Any]
    notes: Mapping[str, Any]
    thresholds: Mapping[str, Any]
    frames: tuple[ReferenceFrame, ...]

    def limits(self, precision: str) -> Thresholds:
        """Those of the pack. Raises UsageError for a precision that it has none of."""
        return thresholds_of(dict(self.thresholds), precision, "the pack")

    def check(self, bundle: Bundle) -> None:
        """Raises UsageError for a bundle of other weights or another network."""
        for name, found in (
            ("weights_sha256", bundle.manifest.weights_sha256),
            ("configuration", bundle.manifest.configuration),
        ):
            if json.loads(json.dumps(found)) != self.subject[name]:
                raise UsageError(f"the pack is of another network: its {name} is not the bundle's")


class StoredReference:
    """The frames of a pack in place of the network."""

    def __init__(self, frames: Sequence[ReferenceFrame]) -> None:
        self._frames = iter(frames)

    def restore(self, pictures: Sequence[Picture]) -> Iterator[ReferenceFrame]:
        """The frames that were stored for these pictures."""
        for _ in pictures:
            yield next(self._frames)


def write_pack(
    path: Path,
    bundle: Bundle,
    frames: Sequence[ReferenceFrame],
    subject: Mapping[str, Any],
    notes: Mapping[str, Any],
    thresholds: Path | None,
) -> str:
    """Writes the file whole or not at all and gives its digest. Raises UsageError."""
    arrays: dict[str, bytes] = {}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "subject": dict(subject)
        | {
            "frames": len(frames),
            "weights_sha256": bundle.manifest.weights_sha256,
            "configuration": bundle.manifest.configuration,
        },
        "notes": dict(notes),
        "thresholds": thresholds_content(thresholds),
        "frames": [_stored(frame, arrays) for frame in frames],
    }
    text = json.dumps(header, sort_keys=True, indent=1, default=str)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(HEADER, text)
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    return hashlib.sha256(text.encode()).hexdigest()


def read_pack(path: Path) -> Pack:
    """A pack all of whose hashes are right. Raises UsageError."""
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(HEADER)
            header = json.loads(text)
            if header.get("format") != FORMAT or header.get("version") != VERSION:
                raise UsageError(f"{path} is no golden pack of this version of keeprt")
            frames = tuple(_restored(frame, archive, path) for frame in header["frames"])
        return Pack(
            hashlib.sha256(text).hexdigest(),
            header["subject"],
            header["notes"],
            header["thresholds"],
            frames,
        )
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no golden pack, or is damaged: {error}") from None


def _stored(frame: ReferenceFrame, arrays: dict[str, bytes]) -> dict[str, Any]:
    def keep(value: Array) -> str:
        file = io.BytesIO()
        np.save(file, np.ascontiguousarray(value).reshape(value.shape), allow_pickle=False)
        digest = hashlib.sha256(file.getvalue()).hexdigest()
        arrays.setdefault(digest, file.getvalue())
        return digest

    def keep_all(values: Mapping[str, Array]) -> dict[str, str]:
        return {name: keep(value) for name, value in values.items()}

    return {
        "face": keep(frame.face),
        "inputs": {name: keep_all(values) for name, values in frame.inputs.items()},
        "outputs": {name: keep_all(values) for name, values in frame.outputs.items()},
        "before": keep_all(frame.before),
        "after": keep_all(frame.after),
        "frames_before": frame.frames_before,
        "logits_std": frame.logits_std,
    }


def _restored(stored: Mapping[str, Any], archive: zipfile.ZipFile, path: Path) -> ReferenceFrame:
    def load(digest: str) -> Array:
        content = archive.read(f"{digest}.npy")
        if hashlib.sha256(content).hexdigest() != digest:
            raise UsageError(f"{path} was changed: an array does not have the hash of its name")
        loaded: Array = np.load(io.BytesIO(content), allow_pickle=False)
        return loaded

    def load_all(digests: Mapping[str, str]) -> dict[str, Array]:
        return {name: load(digest) for name, digest in digests.items()}

    return ReferenceFrame(
        load(stored["face"]),
        {name: load_all(values) for name, values in stored["inputs"].items()},
        {name: load_all(values) for name, values in stored["outputs"].items()},
        load_all(stored["before"]),
        load_all(stored["after"]),
        int(stored["frames_before"]),
        float(stored["logits_std"]),
    )
