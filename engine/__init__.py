"""The deployment side of keeprt: faces in, restored faces out. Never imports torch."""

from __future__ import annotations

from importlib import import_module
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


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    # Loaded on first use: `keeprt --version` needs no inference library.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
