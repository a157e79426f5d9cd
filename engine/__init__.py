"""The deployment side of keeprt: faces in, restored faces out. Never imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keeprt.engine.bundle import Bundle, load_bundle
    from keeprt.engine.restorer import Restorer
    from keeprt.engine.state import FaceState
    from keeprt.engine.video_restorer import VideoRestorer

__all__ = ["Bundle", "FaceState", "Restorer", "VideoRestorer", "load_bundle"]

_HOMES = {
    "Bundle": "bundle",
    "FaceState": "state",
    "Restorer": "restorer",
    "VideoRestorer": "video_restorer",
    "load_bundle": "bundle",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: the kernels import this package's errors, and the restorer the kernels.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
