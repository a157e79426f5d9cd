"""What a test needs that runs on a card: the marker, and the reason where there is none."""

from __future__ import annotations

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
