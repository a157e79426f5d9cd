"""Which restorer `keeprt restore` loads, and what its card did and what the host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keeprt.engine.cli.terminal.console import warn_synthetic
from keeprt.engine.media import VideoInfo
from keeprt.engine.opening import on_a_card
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.whole_frames import host_reason, whole_frame_format
from keeprt.engine.restorer import Mode, Restorer
from keeprt.engine.video_restorer import VideoRestorer


def reason_on_host(info: VideoInfo, options: RestoreOptions, mode: Mode = "stream") -> str:
    """Why the host cuts out and paints for a network on a card; empty where the card does."""
    return "a chunk is restored at once" if mode == "clip" else host_reason(info, options)


def load_restorer(
    bundle: Path, info: VideoInfo, options: RestoreOptions, aligned: bool, **how: Any
) -> Restorer | VideoRestorer:
    """`how` as `Restorer.load` takes it; whole frames stay on a card where they can."""
    format = whole_frame_format(info)
    reason = reason_on_host(info, options, how.get("mode", "stream"))
    whole = on_a_card(how["backend"], how["provider"]) and not aligned and not reason
    if whole and format is not None:
        restorer: Restorer | VideoRestorer = VideoRestorer.load(bundle, format, **how)
    else:
        restorer = Restorer.load(bundle, **how)
    if restorer.bundle.is_synthetic:
        warn_synthetic()
    return restorer


def where_stages_run(hwaccel: str | None, codec: str, aligned: bool, reason: str) -> str:
    """Which stages a card did and which the host, between which frames are copied; `reason`: why
    the host cut out and painted, empty where the card did."""
    decoded, encoded = hwaccel is not None, "nvenc" in codec
    stages = {"the network": True, "decoding": decoded, "encoding": encoded}
    if not aligned:
        stages |= {"finding faces": False, "cutting out": not reason, "painting": not reason}
    card, host = (
        ", ".join(stage for stage, there in stages.items() if there is where)
        for where in (True, False)
    )
    why = f" ({reason})" if reason and not aligned else ""
    return f"on the card: {card}; on the host: {host or 'copies only'}{why}"
