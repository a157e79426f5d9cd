"""Runs of a bundle whose every border tensor is kept, and how another precision differs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from keeprt.benchmarks.precision.storage import stored_backend
from keeprt.engine.bundle.load import Bundle
from keeprt.engine.bundle.specs import numpy_dtype
from keeprt.engine.devices.cpu.device import Backend
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.libraries.onnxruntime.sessions import Arrays, OnnxRuntimeBackend
from keeprt.engine.restorer import Restorer
from keeprt.engine.state import FaceState
from keeprt.kernels.warp_by_flow import upsample_flow

Array = NDArray[Any]

PEAK = 2.0  # of faces in [-1, 1]


@dataclass
class FrameRecord:
    """One frame of a run: what went into and came out of each subgraph, and the state before."""

    before: FaceState
    inputs: dict[str, dict[str, Array]] = field(default_factory=dict)
    outputs: dict[str, dict[str, Array]] = field(default_factory=dict)

    def flow(self) -> Array:
        """Full-resolution flow, (1, 2, S, S) in pixels."""
        return full_flow(self.outputs)


def full_flow(outputs: Mapping[str, Mapping[str, Array]]) -> Array:
    """Full-resolution flow (1, 2, S, S) in pixels from what the subgraphs put out."""
    matching = outputs["flow_matching"]
    return upsample_flow(matching["flow"].astype(np.float32), matching["mask"].astype(np.float32))


class Recorder:
    """A library on host memory that keeps copies of all it reads and writes in `record`."""

    record: FrameRecord | None = None

    def __init__(self, backend: Backend) -> None:
        self.library = backend

    def bind(self, subgraph: str, inputs: Arrays, outputs: Arrays) -> Callable[[], None]:
        """Binds one subgraph so that each call of it is recorded."""
        run = self.library.bind(subgraph, inputs, outputs)

        def run_and_record() -> None:
            run()
            if self.record is not None:
                # Copies: the frame's buffers share memory, and the next operation may reuse it.
                self.record.inputs[subgraph] = {n: a.copy() for n, a in inputs.items()}
                self.record.outputs[subgraph] = {n: a.copy() for n, a in outputs.items()}

        return run_and_record


def record_run(
    bundle: Bundle, pictures: list[Picture], threads: int | None = None
) -> list[FrameRecord]:
    """Streams a clip through a bundle; about 60 MB a frame at full size."""
    return list(record_frames(bundle, pictures, threads))


def record_frames(
    bundle: Bundle, pictures: Iterable[Picture], threads: int | None = None
) -> Iterator[FrameRecord]:
    """`record_run` frame by frame."""
    backend = Recorder(OnnxRuntimeBackend(bundle, threads=threads))
    restorer = Restorer(bundle, backend)
    state = restorer.new_state()
    for picture in pictures:
        backend.record = record = FrameRecord(state.snapshot())
        _, state = restorer.restore(picture, state)
        yield record


def compare_subgraphs(
    bundle: Bundle, records: list[FrameRecord], threads: int | None = None
) -> dict[str, tuple[float, float]]:
    """Mean and largest relative L2 error of each real output on the recorded inputs."""
    backend = stored_backend(bundle, threads)
    errors: dict[str, list[float]] = {}
    for record in records[1:]:
        for name in record.outputs:
            found = run_subgraph(bundle, backend, name, record.inputs[name], record.outputs[name])
            for output, value in found.items():
                if np.issubdtype(value.dtype, np.floating):
                    error = relative(value, record.outputs[name][output])
                    errors.setdefault(f"{name}.{output}", []).append(error)
    return {name: (float(np.mean(found)), max(found)) for name, found in errors.items()}


def run_subgraph(
    bundle: Bundle,
    backend: Backend,
    name: str,
    inputs: Mapping[str, Array],
    like: Mapping[str, Array],
) -> dict[str, Array]:
    """Outputs of one subgraph, of the shapes of `like`, on inputs cast to its border's types."""
    spec = bundle.subgraphs[name]
    given = {
        tensor.name: np.ascontiguousarray(inputs[tensor.name], numpy_dtype(tensor.dtype))
        for tensor in spec.inputs
    }
    outputs = {
        tensor.name: np.empty(like[tensor.name].shape, numpy_dtype(tensor.dtype))
        for tensor in spec.outputs
    }
    backend.bind(name, given, outputs)()
    return outputs


@dataclass(frozen=True)
class FrameDifference:
    """How one restored frame differs; gaps in standard deviations of the logits."""

    frame: int
    error: float
    psnr: float
    tokens: int
    flips: int
    largest_gap: float
    flow_error: float | None


@dataclass(frozen=True)
class Comparison:
    """A run against the recorded one, freely or with the recorded states fed in."""

    free: bool
    frames: list[FrameDifference]

    def summary(self) -> str:
        """The figures that the targets name, in one line."""
        tokens = sum(row.tokens for row in self.frames)
        flips = sum(row.flips for row in self.frames)
        gap = max((row.largest_gap for row in self.frames), default=0.0)
        flow = [row.flow_error for row in self.frames if row.flow_error is not None]
        same = [row.psnr for row in self.frames if not row.flips]
        return (
            f"{len(self.frames)} frames: {1 - flips / tokens:.3%} of {tokens} codes equal, "
            f"largest gap of a flip {gap:.3%} of the logits' std; PSNR where none flips at least "
            f"{min(same, default=math.nan):.1f} dB ({len(same)} frames); flow EPE median over "
            f"frames {float(np.median(flow)) if flow else math.nan:.4f} px"
        )


def compare_runs(
    bundle: Bundle,
    pictures: list[Picture],
    records: list[FrameRecord],
    std: float,
    *,
    free: bool,
    threads: int | None = None,
) -> Comparison:
    """Restores the recurrent frames with another precision of the same network."""
    backend = Recorder(stored_backend(bundle, threads))
    restorer = Restorer(bundle, backend)
    state, rows = records[1].before.snapshot(), []
    for index in range(1, len(records)):
        backend.record = FrameRecord(state)
        start = state if free else records[index].before.snapshot()
        _, state = restorer.restore(pictures[index], start)
        rows.append(_difference(index, backend.record, records[index], std))
    return Comparison(free, rows)


def _difference(frame: int, found: FrameRecord, exact: FrameRecord, std: float) -> FrameDifference:
    ours, theirs = found.outputs["decoder"], exact.outputs["decoder"]
    flipped = ours["codes"] != theirs["codes"]
    flow_error = None
    if "flow_matching" in exact.outputs:
        flow_error = end_point_error(found.flow(), exact.flow())
    return FrameDifference(
        frame=frame,
        error=relative(ours["restored"], theirs["restored"]),
        psnr=psnr_db(ours["restored"], theirs["restored"]),
        tokens=flipped.size,
        flips=int(flipped.sum()),
        largest_gap=float(theirs["margin"][flipped].max(initial=0)) / std,
        flow_error=flow_error,
    )


def relative(value: Array, exact: Array) -> float:
    """Relative L2 error."""
    difference = value.astype(np.float64) - exact.astype(np.float64)
    return float(np.linalg.norm(difference) / np.linalg.norm(exact.astype(np.float64)))


def psnr_db(value: Array, exact: Array) -> float:
    """PSNR of faces in [-1, 1]; infinite where equal, minus infinite where not finite."""
    difference = value.astype(np.float64) - exact.astype(np.float64)
    error = float(np.mean(np.square(difference)))
    if not math.isfinite(error):
        return -math.inf
    return 10 * math.log10(PEAK**2 / error) if error else math.inf


def end_point_error(flow: Array, exact: Array) -> float:
    """Median length of the difference of two flows (B, 2, H, W), in pixels."""
    return float(np.median(np.linalg.norm(flow - exact, axis=1)))


def logits_std(bundle: Bundle, record: FrameRecord) -> float:
    """Standard deviation of a frame's logits, which the decoder keeps inside."""
    model = onnx.load(bundle.file("decoder"))
    (top,) = (node for node in model.graph.node if node.op_type == "TopK")
    model.graph.output.append(onnx.ValueInfoProto(name=top.input[0]))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (logits,) = session.run([top.input[0]], record.inputs["decoder"])
    return float(np.std(logits))
