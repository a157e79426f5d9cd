"""The latent state of one face: what the next frame needs of the past."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.errors import StateError

Latents = NDArray[np.float32]

FILE_FORMAT = "keeprt-state"
FILE_VERSION = 1
# What the readers of ZIP, NPY and JSON raise on damage; too deep a nesting is a RuntimeError.
UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass
class FaceState:
    """A face's past, a value that each frame consumes and gives back.

    Arrays of a full-size face, float32: `restored` (3, 512, 512), the last face, unclamped;
    `features` (128, 64, 64), its frame's flow features; `cache_16` and `cache_32` of the CFA; and
    `latents` (window, 256, 16, 16), of which the first min(frames, window) rows count: the anchor
    frame's, then the latest in order. `frames` is how many frames this face has had; 0 starts
    anew. An ablated network has fewer arrays.

    `Restorer.restore` advances the memory in place and returns a new handle to it; the old handle
    is spent and refused from then on. `snapshot` gives a copy to come back to. On a card the
    memory is a slot there, and reading one of `arrays` copies it to the host.
    """

    network: str
    window: int
    frames: int
    arrays: Mapping[str, NDArray[np.float32]]
    spent: bool = False

    @classmethod
    def new(cls, bundle: Bundle, window: int) -> FaceState:
        """The state before a face's first frame."""
        arrays = {name: np.zeros(s, np.float32) for name, s in state_shapes(bundle, window).items()}
        return cls(network_identity(bundle), window, 0, arrays)

    @property
    def seen(self) -> int:
        """How many latents the gain's window holds."""
        return min(self.frames, self.window)

    @property
    def per_frame(self) -> list[str]:
        """Names of the arrays that each frame replaces; the window is kept up by `push`."""
        return [name for name in self.arrays if name != "latents"]

    def reset(self) -> FaceState:
        """The same memory as before a first frame, for a cut or a new person; spends this one."""
        self.check_usable()
        return self.advanced(0)

    def advanced(self, frames: int) -> FaceState:
        """A fresh handle to the same memory at another frame count; spends this one."""
        self.spent = True
        return FaceState(self.network, self.window, frames, self.arrays)

    def snapshot(self) -> FaceState:
        """An independent copy."""
        self.check_usable()
        arrays = {name: array.copy() for name, array in self.arrays.items()}
        return FaceState(self.network, self.window, self.frames, arrays)

    def window_with(self, latent: Latents) -> tuple[Latents, ...]:
        """Latents that the next frame's gain sees, in order, as pieces (n, C, h, w); no copy.

        `latent` (C, h, w) is the next frame's own; the state stays as it is.
        """
        latents = self.arrays["latents"]
        if self.frames < self.window:
            return latents[: self.frames], latent[None]
        return latents[:1], latents[2:], latent[None]

    def push(self, latent: Latents) -> None:
        """Keeps the latent of the frame just restored, dropping the oldest after the anchor."""
        latents = self.arrays["latents"]
        if self.frames >= self.window:
            for row in range(1, self.window - 1):  # one by one: overlapping slices would be copied
                latents[row] = latents[row + 1]
        latents[min(self.frames, self.window - 1)] = latent

    def check_usable(self) -> None:
        """Raises StateError for a handle whose memory has moved on to a later frame."""
        if self.spent:
            raise StateError(
                "this state was already advanced by another frame; keep the state that restore() "
                "returned, or take a snapshot() before"
            )

    def save(self, path: str | Path) -> None:
        """Writes the state to a file (NumPy .npz), atomically. Raises StateError."""
        self.check_usable()
        file = Path(path)
        header = {
            "format": FILE_FORMAT,
            "version": FILE_VERSION,
            "network": self.network,
            "window": self.window,
            "frames": self.frames,
        }
        partial = file.with_name(f".{file.name}.{os.getpid()}.part")
        try:
            with partial.open("wb") as stream:
                arrays: dict[str, Any] = {"header": np.array(json.dumps(header)), **self.arrays}
                np.savez(stream, **arrays)
            partial.replace(file)
        except OSError as error:
            raise StateError(f"cannot write the state to {file}: {error.strerror}") from None
        finally:
            partial.unlink(missing_ok=True)


def check_states(states: Sequence[FaceState], network: str, window: int) -> None:
    """Raises StateError unless each is its own, usable, and of this network and window.

    `network` is what `network_identity` says.
    """
    if len({id(state.arrays) for state in states}) < len(states):
        raise StateError("two faces share one state; each needs its own new_state()")
    for state in states:
        state.check_usable()
        if (state.network, state.window) != (network, window):
            raise StateError("this state belongs to another network, or to another window")


def load_state(path: str | Path, bundle: Bundle, window: int) -> FaceState:
    """Reads a state that `FaceState.save` wrote, for this network and window.

    Raises StateError for a file that is missing, damaged, or of another network or window.
    """
    file = Path(path)
    try:
        arrays = _read(file)
        header = json.loads(str(arrays.pop("header")))
    except FileNotFoundError:
        raise StateError(f"no state file {file}") from None
    except UNREADABLE as error:
        raise StateError(f"{file} is no state file, or damaged: {error}") from None
    _check_header(file, header, bundle, window)
    expected = {name: (s, np.dtype(np.float32)) for name, s in state_shapes(bundle, window).items()}
    if {name: (array.shape, array.dtype) for name, array in arrays.items()} != expected:
        raise StateError(f"{file} holds other tensors than this network's state")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise StateError(f"{file} holds values that are not finite; start from a new state")
    return FaceState(header["network"], window, header["frames"], arrays)


def _read(file: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an archive, each against its checksum: reading a member may stop before it."""
    with zipfile.ZipFile(file) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"the checksum of {damaged} differs")
    with np.load(file, allow_pickle=False) as content:
        return dict(content)


def _check_header(file: Path, header: Any, bundle: Bundle, window: int) -> None:
    if not isinstance(header, dict) or header.get("format") != FILE_FORMAT:
        raise StateError(f"{file} is no keeprt state")
    if header.get("version") != FILE_VERSION:
        raise StateError(f"{file} has state version {header.get('version')}, not {FILE_VERSION}")
    if header.get("network") != network_identity(bundle):
        raise StateError(f"{file} is the state of another network or of other weights")
    if header.get("window") != window:
        raise StateError(f"{file} has a window of {header.get('window')} frames, not {window}")
    if type(header.get("frames")) is not int or header["frames"] < 0:
        raise StateError(f"{file} is damaged: impossible frame count {header.get('frames')!r}")


def state_shapes(bundle: Bundle, window: int) -> dict[str, tuple[int, ...]]:
    """Shape of each array of one face's state, by its name in the frame's buffers."""
    decoder = bundle.subgraphs["decoder"]
    caches = [spec for spec in decoder.outputs if spec.name.startswith("cache_")]
    shapes = {spec.name: spec.sized(faces=1)[1:] for spec in caches}
    if bundle.has_kalman:
        features = bundle.subgraphs["flow_features"].output("features")
        latent = bundle.subgraphs["lq_encoder"].output("latent")
        shapes["restored"] = decoder.output("restored").sized(faces=1)[1:]
        shapes["features"] = features.sized(faces=1)[1:]
        shapes["latents"] = (window, *latent.sized(faces=1)[1:])
    return shapes


def network_identity(bundle: Bundle) -> str:
    """What a state belongs to: the weights and the configuration, whatever the precision."""
    configuration = json.dumps(bundle.manifest.configuration, sort_keys=True)
    return f"{bundle.manifest.weights_sha256}:{configuration}"
