"""The weights that come along: a small network that has learnt one portrait."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from keeprt.engine.errors import CheckpointError

DEMO = "demo"
_FOLDER = Path(__file__).parent
FILE, RECIPE = _FOLDER / "demo.safetensors", _FOLDER / "demo.json"

_GONE = "is missing or damaged: install keeprt again, or train them (keeprt train --recipe demo)"


def demo_file() -> Path:
    """The float16 weights, verified. Raises CheckpointError."""
    expected = demo_recipe().get("sha256")
    if not FILE.is_file() or hashlib.sha256(FILE.read_bytes()).hexdigest() != expected:
        raise CheckpointError(f"{FILE} {_GONE}")
    return FILE


def demo_recipe() -> dict[str, Any]:
    """How they were made: command, seed, steps, versions, and what they reached."""
    try:
        recipe: dict[str, Any] = json.loads(RECIPE.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{RECIPE} {_GONE}") from error
    return recipe
