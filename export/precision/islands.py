"""What stays float32 in a mixed graph: one table of islands, and the types that cross borders."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import onnx

from keeprt.engine.bundle.specs import TensorSpec
from keeprt.engine.errors import UsageError

PRECISIONS = ("fp32", "fp16-norms", "mixed", "fp16", "bf16")
HALF = {
    "fp16-norms": "float16",
    "mixed": "float16",
    "fp16": "float16",
    "bf16": "bfloat16",
}

# Borders that are stored in half: large maps that only the decoder's half convolutions read. All
# else crosses in float32: it is state (so that a state may go on under another precision), it
# reaches the warp, or it is small.
HALF_BORDERS = re.compile(r"tap_\d+")

SCOPE = "scope"


@dataclass(frozen=True)
class Island:
    """Nodes kept in float32: those of a subgraph, in modules whose path matches, of some kinds.

    `nodes` names them one by one instead.
    """

    name: str
    subgraph: str  # regular expressions, matched against the whole text
    scope: str = ".*"
    kinds: frozenset[str] = frozenset()  # ONNX operators; none means all of them
    nodes: frozenset[str] = frozenset()

    def holds(self, subgraph: str, scope: str, kind: str, node: str = "") -> bool:
        """Whether a node belongs to the island."""
        return (
            (not self.kinds or kind in self.kinds)
            and (not self.nodes or node in self.nodes)
            and re.fullmatch(self.subgraph, subgraph) is not None
            and re.fullmatch(self.scope, scope) is not None
        )


# Chosen by `python -m keeprt.benchmarks.precision.study`. The flow does most: its error moves every
# pixel that the next latent is predicted from. The LQ encoder's first blocks work at full
# resolution, and what they round goes through all the others. LayerNorm and softmax make no
# difference in the study, whose CPU kernels sum in float32; float32 keeps that so where sums would
# be half, and no figure of a GPU has spoken against it. Elsewhere GroupNorm and InstanceNorm stay
# half: a cast would break their fusion with the activation behind them.
ISLANDS = (
    Island("layer_norm", ".*", kinds=frozenset({"LayerNormalization"})),
    Island("softmax", ".*", kinds=frozenset({"Softmax"})),
    Island("first_block", "lq_encoder", r"encoder\.blocks\.[01](\..*)?"),
    Island("flow_features", "flow_features"),
    Island("flow_transformer", "flow_matching", r"flow\.transformer\..*"),
    Island("flow_matching", "flow_matching", r"|flow\.(feature_flow_attn|upsampler)(\..*)?"),
    Island("lookup", "decoder", r"|network\.(feat_emb|ft_layers|idx_pred_layer)(\..*)?"),
)

# Hold no product, so that float32 costs them no arithmetic.
NORMS = tuple(island for island in ISLANDS if island.name in ("layer_norm", "softmax"))
BY_PRECISION = {"fp16-norms": NORMS, "mixed": ISLANDS}


def islands_of(precision: str) -> tuple[Island, ...]:
    """The islands of a precision. Raises UsageError for an unknown one."""
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}; choose {', '.join(PRECISIONS)}")
    return BY_PRECISION.get(precision, ())


def island_of(node: onnx.NodeProto, subgraph: str, islands: tuple[Island, ...]) -> str | None:
    """Name of the first island that holds a node."""
    scope = next((entry.value for entry in node.metadata_props if entry.key == SCOPE), "")
    for island in islands:
        if island.holds(subgraph, scope, node.op_type, node.name):
            return island.name
    return None


def border(specs: tuple[TensorSpec, ...], precision: str) -> tuple[TensorSpec, ...]:
    """The specs of a float32 border with the types that they have in another precision."""
    half = HALF.get(precision, "float32")
    return tuple(
        replace(spec, dtype=half) if HALF_BORDERS.fullmatch(spec.name) else spec for spec in specs
    )
