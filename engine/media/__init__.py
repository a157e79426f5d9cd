"""Read and write video without losing sound, timestamps or colour."""

from keeprt.engine.media.errors import MediaNotFoundError, TruncatedMediaError, redact
from keeprt.engine.media.info import ColourTags, Orientation, VideoInfo
from keeprt.engine.media.sink import Sink, open_sink
from keeprt.engine.media.source import SourceFrame, VideoSource, open_source

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
