"""Writes a bundle: every subgraph through torch.onnx, then the manifest, then the final name."""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from keeprt.engine.bundle.load import MANIFEST, Manifest, file_sha256
from keeprt.engine.bundle.specs import SubgraphSpec
from keeprt.engine.errors import BundleError
from keeprt.export.graph_forms import phased
from keeprt.export.model import Keep
from keeprt.export.onnx_passes import drop_unused_constants, fold_pads, keep_scopes
from keeprt.export.precision.bundle import convert_subgraph
from keeprt.export.precision.islands import islands_of
from keeprt.export.subgraphs import FACES, FRAMES, SELECTED, Subgraph, example_inputs, split

OPSET = 21
FREE_AXES = {FACES: (1, 64), FRAMES: (2, 64), SELECTED: (1, 64)}
# Sizes of the free axes while tracing: all different, so that no two are taken for one.
EXAMPLE_SIZES = {FACES: 2, FRAMES: 5, SELECTED: 3}
TOOLS = ("keeprt", "torch", "onnx", "onnxscript")


def export_bundle(
    network: Keep,
    path: str | Path,
    *,
    weights_source: str,
    weights_sha256: str,
    precision: str = "fp32",
    overwrite: bool = False,
    progress: Callable[[str], None] = lambda name: None,
    notify: Callable[[str], None] = lambda text: None,
) -> None:
    """Exports all subgraphs of a network to the folder `path`, which appears only when complete.

    `precision` is one of PRECISIONS. `progress` hears the name of each subgraph, `notify` one line
    on what half precision did to its weights. Raises BundleError where the folder exists (unless
    `overwrite` and it is a bundle), cannot be written, or a weight does not fit into half;
    UsageError for an unknown precision.
    """
    islands_of(precision)
    with new_bundle_folder(Path(path), overwrite) as work:
        subgraphs = {}
        for graph in split(phased(network.eval())):
            progress(graph.name)
            spec = _export_subgraph(graph, work)
            subgraphs[graph.name] = convert_subgraph(work, graph.name, spec, precision, notify)
        manifest = Manifest(
            configuration=network.config.as_dict(),
            precision=precision,
            weights_source=weights_source,
            weights_sha256=weights_sha256,
            tools={tool: version(tool) for tool in TOOLS},
            subgraphs=subgraphs,
        )
        (work / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")


@contextmanager
def new_bundle_folder(target: Path, overwrite: bool) -> Iterator[Path]:
    """A folder to fill, which becomes `target` when the block ends well. Raises BundleError."""
    check_target(target, overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise BundleError(f"cannot write to {target.parent}: {error.strerror}") from None
    try:
        yield work
        work.chmod(0o755)
        _move_into_place(work, target)
    except OSError as error:
        raise BundleError(f"cannot write the bundle {target}: {error.strerror}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_target(target: Path, overwrite: bool) -> None:
    """Raises BundleError where `target` holds anything but, with `overwrite`, an old bundle."""
    if not target.exists():
        return
    empty = target.is_dir() and not any(target.iterdir())
    if not empty and not (overwrite and (target / MANIFEST).is_file()):
        raise BundleError(
            f"{target} exists already; give another folder, or --force if it is an old bundle"
        )


def _move_into_place(work: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(target)
    work.rename(target)


def _export_subgraph(graph: Subgraph, folder: Path) -> SubgraphSpec:
    file = folder / f"{graph.name}.onnx"
    save_onnx(graph, file)
    return SubgraphSpec(
        file=file.name,
        sha256=file_sha256(file),
        size_bytes=file.stat().st_size,
        inputs=graph.inputs,
        outputs=graph.outputs,
    )


class Positional(nn.Module):
    """Gives all subgraphs one signature: the exporter wants shapes nested as arguments are."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *tensors: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.module(*tensors)


def save_onnx(graph: Subgraph, file: Path) -> None:
    """Traces one subgraph to ONNX, its tensors named and its free axes free."""
    dims = {
        axis: torch.export.Dim(axis, min=low, max=high) for axis, (low, high) in FREE_AXES.items()
    }
    shapes = tuple(
        {i: dims[axis] for i, axis in enumerate(spec.shape) if isinstance(axis, str)}
        for spec in graph.inputs
    )
    with _quiet_exporter(), torch.no_grad():
        program = torch.onnx.export(
            Positional(graph.module),
            example_inputs(graph, EXAMPLE_SIZES),
            dynamo=True,
            opset_version=OPSET,
            input_names=[spec.name for spec in graph.inputs],
            output_names=[spec.name for spec in graph.outputs],
            dynamic_shapes=(shapes,),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    fold_pads(model)
    drop_unused_constants(model)
    keep_scopes(model)
    _name_free_axes(model, graph)
    onnx.save(model, file)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hides the exporter's remarks on itself: deprecations, optional packages, skipped folds."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _name_free_axes(model: onnx.ModelProto, graph: Subgraph) -> None:
    """Writes the manifest's own words for the free axes into the graph's border."""
    pairs = [
        *zip(model.graph.input, graph.inputs, strict=True),
        *zip(model.graph.output, graph.outputs, strict=True),
    ]
    for value, spec in pairs:
        for dim, axis in zip(value.type.tensor_type.shape.dim, spec.shape, strict=True):
            if isinstance(axis, str):
                dim.dim_param = axis
            else:
                dim.dim_value = axis
