"""KEEP in PyTorch, one file per idea; names and shapes are those of the released checkpoint."""

from keeprt.export.model.config import KeepConfig
from keeprt.export.model.keep import FrameResult, Keep, RecurrentState

__all__ = ["FrameResult", "Keep", "KeepConfig", "RecurrentState"]
