"""Which restorer a video is restored by: whole frames stay on a card where they can."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from keeprt.engine.libraries.tensorrt.flavours import FLAVOURS
from keeprt.engine.media import VideoInfo
from keeprt.engine.opening import on_a_card
from keeprt.engine.pipeline.options import Plans, RestoreOptions
from keeprt.engine.pipeline.whole_frames import host_reason, whole_frame_format
from keeprt.engine.restorer import Mode, Restorer
from keeprt.engine.video_restorer import VideoRestorer
from keeprt.kernels.frame import FrameFormat

log = logging.getLogger(__name__)


@cache
def warn_once(said: str) -> None:
    """A warning about what this machine cannot do on its card, once in a process."""
    log.warning("%s", said)


def reason_on_host(info: VideoInfo, options: RestoreOptions, mode: Mode = "stream") -> str:
    """Why the host cuts out and paints for a network on a card; empty where the card does."""
    return "a chunk is restored at once" if mode == "clip" else host_reason(info, options)


def card_of(how: Mapping[str, Any]) -> int | None:
    """The number of the card that a network which is loaded so runs on, None for the host.

    `how` as `Restorer.load` takes it.
    """
    there = on_a_card(how.get("backend", "onnxruntime"), how.get("provider", "cpu"))
    return int(how.get("device", 0)) if there else None


def plans_of(bundle: str | Path | None, how: Mapping[str, Any]) -> Plans | None:
    """Where the plans are that a network is loaded from, None for one that has none.

    `how` as `Restorer.load` takes it.
    """
    backend = how.get("backend", "onnxruntime")
    if bundle is None or backend not in FLAVOURS:
        return None
    return Plans(Path(bundle), backend)


def card_format(
    info: VideoInfo, options: RestoreOptions, how: Mapping[str, Any]
) -> FrameFormat | None:
    """The format of whole frames that stay on a card, None where the host cuts out and paints.

    `how` as `Restorer.load` takes it.
    """
    if card_of(how) is None or reason_on_host(info, options, how.get("mode", "stream")):
        return None
    return whole_frame_format(info)


def load_for(
    bundle: str | Path, format: FrameFormat | None, how: Mapping[str, Any]
) -> Restorer | VideoRestorer:
    """A restorer of whole frames of that format, or of faces for None; raises as their `load`."""
    if format is None:
        return Restorer.load(bundle, **how)
    return VideoRestorer.load(bundle, format, **how)
