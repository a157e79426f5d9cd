"""Whether the subgraphs of a bundle fit together: names, shapes and types at every border."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from keeprt.engine.bundle.specs import SubgraphSpec, TensorSpec
from keeprt.engine.errors import BundleError

REQUIRED = {
    "lq_encoder": ({"face"}, {"latent"}),
    "decoder": ({"latent", "is_first"}, {"restored", "codes", "margin"}),
}
REQUIRED_KALMAN = {
    "hq_encoder": ({"warped"}, {"predicted"}),
    "gain_net": ({"latents", "selected"}, {"gains"}),
    "flow_features": ({"face"}, {"features"}),
    "flow_matching": ({"current", "previous"}, {"flow", "mask"}),
}
# All other tensors are of a floating type.
DTYPES = {"is_first": "bool", "codes": "int64", "selected": "int64"}
FLOATS = ("float32", "float16", "bfloat16")
FLOW_STRIDE = 8
MASK_CHANNELS = 9 * FLOW_STRIDE**2  # nine neighbours for each pixel of a cell


def check_wiring(graphs: Mapping[str, SubgraphSpec], file: Path) -> None:
    """Raises BundleError, naming the manifest `file`, where a frame could not be computed."""
    kalman = "gain_net" in graphs
    required = REQUIRED | (REQUIRED_KALMAN if kalman else {})
    if missing := sorted(required.keys() - graphs.keys()):
        raise BundleError(f"{file} lacks subgraph {', '.join(missing)}: it is of another network")
    for name, (inputs, outputs) in required.items():
        found = ({t.name for t in graphs[name].inputs}, {t.name for t in graphs[name].outputs})
        if lacking := sorted((inputs - found[0]) | (outputs - found[1])):
            raise BundleError(f"{file}: {name} has no tensor {', '.join(lacking)}")
    _check_types(graphs, file)
    _check_decoder(graphs, file)
    for reader, source in _equal_pairs(graphs, kalman):
        if (reader.shape, reader.dtype) != (source.shape, source.dtype):
            raise BundleError(
                f"{file}: {reader.name!r} is {reader.dtype} {reader.shape}, but {source.name!r}, "
                f"where it comes from, is {source.dtype} {source.shape}; export again"
            )
    if kalman:
        _check_free_and_derived_shapes(graphs, file)


def _check_types(graphs: Mapping[str, SubgraphSpec], file: Path) -> None:
    for name, graph in graphs.items():
        for tensor in (*graph.inputs, *graph.outputs):
            expected = (DTYPES[tensor.name],) if tensor.name in DTYPES else FLOATS
            if tensor.dtype not in expected:
                raise BundleError(f"{file}: {name}.{tensor.name} cannot be {tensor.dtype}")


def _check_decoder(graphs: Mapping[str, SubgraphSpec], file: Path) -> None:
    """Every input of the decoder must come from some output of the same shape and type."""
    made = {spec.name: spec for graph in graphs.values() for spec in graph.outputs}
    for spec in graphs["decoder"].inputs:
        source = made.get("gains" if spec.name == "gain" else spec.name.removeprefix("previous_"))
        if spec.name == "is_first":
            continue
        if (
            source is None
            or (spec.shape[0], *source.shape[-3:]) != ("faces", *spec.shape[1:])
            or source.dtype != spec.dtype
        ):
            raise BundleError(f"{file}: no subgraph makes the decoder's input {spec.name!r}")


def _equal_pairs(
    graphs: Mapping[str, SubgraphSpec], kalman: bool
) -> Iterator[tuple[TensorSpec, TensorSpec]]:
    """Tensors that share memory or are copied into each other: reader and source."""
    face = graphs["lq_encoder"].input("face")
    yield graphs["decoder"].output("restored"), face
    if kalman:
        features = graphs["flow_features"].output("features")
        yield graphs["flow_features"].input("face"), face
        yield graphs["hq_encoder"].input("warped"), face
        yield graphs["flow_matching"].input("current"), features
        yield graphs["flow_matching"].input("previous"), features


def _check_free_and_derived_shapes(graphs: Mapping[str, SubgraphSpec], file: Path) -> None:
    cells = int(graphs["lq_encoder"].input("face").shape[-1]) // FLOW_STRIDE
    latent = graphs["lq_encoder"].output("latent").shape
    gain = graphs["decoder"].input("gain").shape
    matching, gain_net = graphs["flow_matching"], graphs["gain_net"]
    expected = [
        (gain_net.input("latents"), ("faces", "frames", *latent[1:])),
        (gain_net.input("selected"), ("selected",)),
        (gain_net.output("gains"), ("faces", "selected", *gain[1:])),
        (matching.output("flow"), ("faces", 2, cells, cells)),
        (matching.output("mask"), ("faces", MASK_CHANNELS, cells, cells)),
    ]
    for spec, shape in expected:
        if spec.shape != shape:
            raise BundleError(f"{file}: {spec.name!r} is {spec.shape}, not {shape}; export again")
