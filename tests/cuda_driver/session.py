"""Whether this process runs on the driver in host memory, and what its tests are marked with."""

from __future__ import annotations

import ctypes

import pytest


def on_host_driver() -> bool:
    """Whether the driver that this process finds is the one in host memory."""
    try:
        return hasattr(ctypes.CDLL("libcuda.so.1"), "hostdriver_count")
    except OSError:
        return False


#: For tests that run in the sessions of `test_sessions.py`, and in no other.
ON_DRIVER = pytest.mark.skipif(
    not on_host_driver(), reason="runs on the driver in host memory, in a session of its own"
)
