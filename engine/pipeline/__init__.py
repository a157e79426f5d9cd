"""Whole videos: every face found, followed, restored and put back, nothing else changed."""

from keeprt.engine.pipeline.options import Encoding, RestoreOptions
from keeprt.engine.pipeline.video import restore_video
from keeprt.engine.pipeline.work import Summary, TrackSpan

__all__ = ["Encoding", "RestoreOptions", "Summary", "TrackSpan", "restore_video"]
