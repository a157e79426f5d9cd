"""Files that appear whole or not at all: checkpoints, a stage's weights, the final weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from keeprt.engine.errors import CheckpointError


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Replaces `path`; a run that is killed meanwhile leaves the old one."""
    part = path.with_name(path.name + ".part")
    torch.save(dict(state), part)
    part.replace(path)


def read_state(path: Path) -> dict[str, Any]:
    """What `write_state` wrote. Raises CheckpointError."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be read ({type(error).__name__}); delete it, or train without --resume"
        ) from error
    return state
