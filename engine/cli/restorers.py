"""Which restorer `keeprt restore` loads, and what its card did and what the host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keeprt.engine.cli.terminal.console import warn_synthetic
from keeprt.engine.media import VideoInfo
from keeprt.engine.pipeline.loading import card_format, load_for
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.restorer import Restorer
from keeprt.engine.video_restorer import VideoRestorer


def load_restorer(
    bundle: Path, info: VideoInfo, options: RestoreOptions, aligned: bool, **how: Any
) -> Restorer | VideoRestorer:
    """`how` as `Restorer.load` takes it; whole frames stay on a card where they can."""
    restorer = load_for(bundle, None if aligned else card_format(info, options, how), how)
    if restorer.bundle.is_synthetic:
        warn_synthetic()
    return restorer


def where_stages_run(
    hwaccel: str | None, codec: str, aligned: bool, reason: str, finding: str = ""
) -> str:
    """Which stages a card did and which the host, between which frames are copied; `reason`: why
    the host cut out and painted, and `finding`: why it found the faces, empty where the card did.
    """
    decoded, encoded = hwaccel is not None, "nvenc" in codec
    stages = {"the network": True, "decoding": decoded, "encoding": encoded}
    if not aligned:
        found = {f"finding faces ({finding})" if finding else "finding faces": not finding}
        stages |= {**found, "cutting out": not reason, "painting": not reason}
    card, host = (
        ", ".join(stage for stage, there in stages.items() if there is where)
        for where in (True, False)
    )
    why = f" ({reason})" if reason and not aligned else ""
    return f"on the card: {card}; on the host: {host or 'copies only'}{why}"
