"""What takes longer than a run of all tests should: only when it is asked for."""

from __future__ import annotations

import os

import pytest

LONG = pytest.mark.skipif(
    not os.environ.get("KEEPRT_LONG"), reason="takes very long: KEEPRT_LONG=1 runs it"
)
