"""The bundle: a folder of ONNX subgraphs and the manifest that seals them."""

from keeprt.engine.bundle.load import Bundle, Manifest, load_bundle
from keeprt.engine.bundle.specs import SubgraphSpec, TensorSpec

__all__ = ["Bundle", "Manifest", "SubgraphSpec", "TensorSpec", "load_bundle"]
