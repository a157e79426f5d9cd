"""What a test needs that runs on a card: the marker, and the reason where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keeprt.engine.errors import BackendError
from keeprt.kernels.wheels import check_driver, find_compiler

try:
    check_driver()
    find_compiler()
    REASON = ""
except BackendError as error:
    REASON = str(error)

NEEDS_GPU = [pytest.mark.gpu, pytest.mark.skipif(bool(REASON), reason=REASON)]


def build_tiny_plans(path: Path, window: int) -> tuple[Any, Any]:
    """The bundle at `path` with TensorRT-RTX plans for two faces in its folder, and their sizes."""
    pytest.importorskip("tensorrt_rtx")
    from keeprt.engine import load_bundle
    from keeprt.engine.libraries.tensorrt.build_all import BuildRequest, build_plans
    from keeprt.engine.libraries.tensorrt.plan_store import Profile

    bundle, profile = load_bundle(path), Profile(faces=(1, 1, 2), frames=(2, window, window))
    build_plans(bundle, BuildRequest(profile=profile))
    return bundle, profile
