"""Each subgraph's tensors in Polygraphy's format, with the commands that take over from here."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from keeprt.benchmarks.verify.judging.thresholds import Thresholds
from keeprt.benchmarks.whole_file import write_whole_in_new_folder
from keeprt.engine.bundle.load import Bundle
from keeprt.engine.bundle.specs import numpy_dtype
from keeprt.engine.errors import UsageError
from keeprt.kernels.installing import install

Array = NDArray[Any]
Tensors = Mapping[str, Array]
README = "commands.txt"
INTRODUCTION = """# Each subgraph's tensors at the frame on which it did worst, for Polygraphy.
# NAME_input.json: its inputs, from the PyTorch reference.
# NAME_output.json: what the bundle's graph makes of them in plain ONNX Runtime on a CPU.
# NAME_reference.json: what the reference makes of them; the limits are those of the verdict.
# A plan of TensorRT in place of a graph: --model-type engine --trt.
"""


def write_polygraphy(
    folder: Path,
    bundle: Bundle,
    tensors: Mapping[str, tuple[Tensors, Tensors]],
    limits: Thresholds,
) -> list[Path]:
    """Writes the files of every subgraph in `tensors`, which has its inputs and the reference's
    outputs. Raises UsageError without Polygraphy."""
    try:
        from polygraphy.comparator import IterationResult, RunResults
        from polygraphy.json import save_json
        from polygraphy.logger import G_LOGGER
    except ImportError:
        raise UsageError(f"--polygraphy needs polygraphy: {install('all')}") from None
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    lines = [INTRODUCTION]
    for name, (inputs, outputs) in tensors.items():
        files = {kind: folder / f"{name}_{kind}.json" for kind in ("input", "output", "reference")}
        given = _as_border(bundle, name, inputs)
        with G_LOGGER.verbosity(G_LOGGER.ERROR):
            save_json([given], str(files["input"]), "inputs")
        results = {"output": run_plain(bundle.file(name), given), "reference": dict(outputs)}
        for kind, found in results.items():
            run = RunResults()
            run.append((kind, [IterationResult(outputs=found, runner_name=kind)]))
            with G_LOGGER.verbosity(G_LOGGER.ERROR):
                run.save(str(files[kind]))
        written += files.values()
        lines += _commands(bundle, name, files, _tolerances(name, outputs, limits))
    write_whole_in_new_folder(folder / README, "\n".join(lines) + "\n")
    return [*written, folder / README]


def run_plain(graph: Path, inputs: Tensors) -> dict[str, Array]:
    """Outputs of a graph by name, as any user of ONNX Runtime gets them on a CPU."""
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    asked = {one.name for one in session.get_inputs()}
    given = {name: value for name, value in inputs.items() if name in asked}
    return dict(zip(names, session.run(names, given), strict=True))


def _as_border(bundle: Bundle, name: str, inputs: Tensors) -> dict[str, Array]:
    return {
        spec.name: np.ascontiguousarray(inputs[spec.name], numpy_dtype(spec.dtype))
        for spec in bundle.subgraphs[name].inputs
    }


def _tolerances(name: str, outputs: Tensors, limits: Thresholds) -> list[str]:
    """The verdict's relative L2 as a bound on the largest element's error."""
    return [
        f"{output}:{limits.largest_error(f'{name}.{output}') * _largest(value):.3g}"
        for output, value in outputs.items()
        if np.issubdtype(value.dtype, np.floating)
    ]


def _largest(value: Array) -> float:
    return float(np.abs(value.astype(np.float64)).max(initial=0.0))


def _commands(
    bundle: Bundle, name: str, files: Mapping[str, Path], tolerances: list[str]
) -> list[str]:
    """Lines to be run in the folder, BUNDLE standing for the bundle's."""
    graph = f"BUNDLE/{bundle.file(name).name}"
    run = ["polygraphy", "run", graph, "--onnxrt", "--load-inputs", files["input"].name]
    same = [*run, "--load-outputs", files["output"].name]
    exact = [*run, "--load-outputs", files["reference"].name, "--rtol", "0", "--atol", *tolerances]
    check = shlex.join([*same[:2], "polygraphy_debug.onnx", *same[3:]])
    debug = ["polygraphy", "debug", "reduce", graph, "-o", f"{name}_reduced.onnx"]
    debug += ["--load-inputs", files["input"].name, "--check"]
    return [f"# {name}", shlex.join(same), shlex.join(exact), f"{shlex.join(debug)} {check}", ""]
