"""Read and write video without losing sound, timestamps or colour."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keeprt.engine.media.errors import MediaNotFoundError, TruncatedMediaError, redact
    from keeprt.engine.media.info import ColourTags, Orientation, VideoInfo
    from keeprt.engine.media.opening import open_sink, open_source
    from keeprt.engine.media.source import SourceFrame, VideoSource
    from keeprt.engine.media.writing.sink import Sink

__all__ = [
    "ColourTags",
    "MediaNotFoundError",
    "Orientation",
    "Sink",
    "SourceFrame",
    "TruncatedMediaError",
    "VideoInfo",
    "VideoSource",
    "open_sink",
    "open_source",
    "redact",
]

_HOMES = {
    "ColourTags": "info",
    "MediaNotFoundError": "errors",
    "Orientation": "info",
    "Sink": "writing.sink",
    "SourceFrame": "source",
    "TruncatedMediaError": "errors",
    "VideoInfo": "info",
    "VideoSource": "source",
    "open_sink": "opening",
    "open_source": "opening",
    "redact": "errors",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    # Loaded on first use: live's wire reads signalling here, and must not load OpenCV.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
