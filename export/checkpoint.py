"""`load_checkpoint` under the name that programs know; the sources are in `export/weights`."""

from keeprt.export.weights.load import checkpoint_digest, load_checkpoint, published_manifest

__all__ = ["checkpoint_digest", "load_checkpoint", "published_manifest"]
