"""The detector of faces as a plan of its own, beside the plans of a bundle."""

from __future__ import annotations

import contextlib
import hashlib
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from keeprt.engine.bundle.load import bundle_folder
from keeprt.engine.bundle.specs import SubgraphSpec, TensorSpec
from keeprt.engine.devices.cuda.driver import require_card
from keeprt.engine.errors import BackendError, KeeprtError
from keeprt.engine.faces.centerface import MODEL, MULTIPLE, STRIDE, read_graph
from keeprt.engine.faces.onnx_shapes import Port, read_signature
from keeprt.engine.faces.upright import NEAR_SIDE
from keeprt.engine.libraries.tensorrt.build_all import BuildRequest
from keeprt.engine.libraries.tensorrt.choice import built_for
from keeprt.engine.libraries.tensorrt.flavours import flavour_named, load_flavour
from keeprt.engine.libraries.tensorrt.graphs import Sizes
from keeprt.engine.libraries.tensorrt.plan_store import plans_folder
from keeprt.engine.libraries.tensorrt.run import TensorRtBackend
from keeprt.engine.libraries.tensorrt.staging import Arrays

DETECTOR = "detector"  # in the names of plans, where a subgraph has its own
_FLOAT32 = 1  # ONNX's number of the type
_PICTURE, _MAPS = ("height", "width"), ("rows", "columns")


@dataclass(frozen=True)
class PictureSizes:
    """Sizes of the picture that the detector sees, in pixels, multiples of 32."""

    height: Sizes = (MULTIPLE, 384, 640)
    width: Sizes = (MULTIPLE, 640, 640)

    def axes(self) -> dict[str, Sizes]:
        """Sizes of the pictures, and of the maps that the network makes of them."""
        sides = (self.height, self.width)
        maps = ((low // STRIDE, usual // STRIDE, high // STRIDE) for low, usual, high in sides)
        named = {**dict(zip(_PICTURE, sides, strict=True)), **dict(zip(_MAPS, maps, strict=True))}
        return {"pictures": (1, 1, 1), **named}

    def check(self, side: int) -> None:
        """Raises BackendError where pictures of a longer side `side` may not fit."""
        high = min(self.height[2], self.width[2])
        if -(-side // MULTIPLE) * MULTIPLE > high:
            raise BackendError(
                f"plans of the detector take pictures of up to {high} pixels a side, not of {side} "
                "(--detect-side)"
            )


SIZES = PictureSizes()


@dataclass(frozen=True)
class DetectorGraph:
    """A detector's graph as `read_graph` gives it, whose plan lies beside those of the bundle in
    the folder `path`."""

    path: Path
    content: bytes
    file: str = MODEL.name
    precision: str = "fp32"

    def __post_init__(self) -> None:
        """Raises BackendError for other types than float32."""
        ports = read_signature(self.content)
        for port in (*ports.inputs, *ports.outputs):
            if port.element_type != _FLOAT32:
                raise BackendError(f"{port.name} of {self.file} is no float32: plans are of that")

    @cached_property
    def spec(self) -> SubgraphSpec:
        """What goes in and out."""
        ports = read_signature(self.content)
        return SubgraphSpec(
            file=self.file,
            sha256=hashlib.sha256(self.content).hexdigest(),
            size_bytes=len(self.content),
            inputs=tuple(_tensor(port, _PICTURE, "picture") for port in ports.inputs),
            outputs=tuple(_tensor(port, _MAPS, "map") for port in ports.outputs),
        )

    @property
    def subgraphs(self) -> dict[str, SubgraphSpec]:
        """See `Graphs`."""
        return {DETECTOR: self.spec}

    def graph(self, name: str) -> bytes:
        """See `Graphs`."""
        return {DETECTOR: self.content}[name]


def detector_of(model: Path | None, folder: Path) -> DetectorGraph:
    """The detector that comes along, or the one in the file `model`, beside the bundle in a folder.

    Raises FaceError for a file that is missing, damaged or no such detector, BackendError for one
    that plans are not made of.
    """
    return DetectorGraph(folder, read_graph(model), (model or MODEL).name)


class Runs(Protocol):
    """What runs the detector, `TensorRtBackend` as a rule."""

    def run(self, subgraph: str, inputs: Arrays, outputs: Arrays) -> None:
        """Fills `outputs`."""

    def warmed(self) -> None:
        """What was compiled may be kept. Raises OSError."""

    def close(self) -> None:
        """Gives the card's memory back."""


class DetectorSession:
    """A plan that is asked as a session of ONNX Runtime is; by one thread at a time, any.

    The card's memory goes back with the session.
    """

    def __init__(self, runs: Runs, spec: SubgraphSpec) -> None:
        self._runs, self._spec = runs, spec
        self._seen: set[tuple[int, ...]] = set()
        weakref.finalize(self, _give_back, runs).atexit = False

    def try_out(self, sizes: Sequence[tuple[int, int]]) -> None:
        """Runs pictures of some heights and widths once, so that neither they are compiled nor a
        plan that does not run is found out on air. Raises as `run`."""
        (picture,) = self._spec.inputs
        for height, width in sizes:
            self.run([], {picture.name: np.zeros((1, 3, height, width), np.float32)})

    def run(
        self, names: Sequence[str], feeds: Mapping[str, NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """The outputs of those names for a picture (1, 3, h, w) float32, h and w multiples of 32.

        Raises UsageError for a picture of other sizes than the plan's, BackendError for a card
        that fails.
        """
        (picture,) = feeds.values()
        count, _, *sides = picture.shape
        cells = (side // STRIDE for side in sides)
        axes = {"pictures": count, **dict(zip(_MAPS, cells, strict=True))}
        maps = {t.name: np.empty(t.sized(**axes), np.float32) for t in self._spec.outputs}
        self._runs.run(DETECTOR, feeds, maps)
        if picture.shape not in self._seen:  # another size may have been compiled anew
            self._seen.add(picture.shape)
            with contextlib.suppress(OSError):  # a folder for reading: it costs the next start time
                self._runs.warmed()
        return [maps[name] for name in names]


def _give_back(runs: Runs) -> None:
    # Of a lost card nothing can be given back, and the error that lost it has been told.
    with contextlib.suppress(Exception):
        runs.close()


def session_by_plan(
    graph: bytes,
    *,
    bundle: Path,
    flavour: str,
    side: int,
    device: int = 0,
    model: Path | None = None,
) -> DetectorSession:
    """A detector's graph by its plan among those of a bundle, on card number `device`.

    `side`: of the largest picture that will come, in pixels. `model`: the file that the graph came
    from, None for keeprt's own. Raises BackendError where driver, library or plan are missing, with
    the command that makes the plan, or where pictures are larger than plans are made for.
    """
    SIZES.check(side)
    detector = DetectorGraph(bundle_folder(bundle), graph, (model or MODEL).name)
    remake = _remaking(detector, bundle, flavour, device, model)
    try:
        plan = TensorRtBackend(detector, flavour, SIZES, device=device, remake=remake)
        session = DetectorSession(plan, detector.spec)
        session.try_out([(SIZES.height[1], SIZES.width[1]), (NEAR_SIDE, NEAR_SIDE)])
    except KeeprtError:
        raise
    except Exception as error:  # the library raises a family of its own, unrelated classes
        reason = str(error).splitlines()[0]
        raise BackendError(f"the detector's plan does not load: {reason}") from error
    return session


def _remaking(
    detector: DetectorGraph, bundle: Path, flavour: str, device: int, model: Path | None
) -> str:
    """The command that makes the plan and finds those of the bundle made, where some are there."""
    kind, target = flavour_named(flavour), require_card(device).target
    version = load_flavour(kind).__version__
    profile, targets = built_for(plans_folder(detector), flavour, version, target)
    command = BuildRequest(flavour, targets, profile, len(targets) > 1).command(bundle)
    return command if model is None else f"{command} --detector {model}"


def _tensor(port: Port, axes: tuple[str, str], meaning: str) -> TensorSpec:
    channels: Any = port.dims[1]
    return TensorSpec(port.name, "float32", ("pictures", channels, *axes), meaning)
