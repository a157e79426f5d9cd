"""The calls on cuda-core, checked against the type stubs that its wheel ships."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.cuda_core_stubs import lay_out, mypy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed"),
]

PROBE = """
from cuda.core import Device, ObjectCode
def right(device: Device) -> str:
    return device.arch
def wrong(device: Device) -> None:
    ObjectCode.from_qubin(b"")
    device.arch + 1
"""


def test_calls_agree_with_the_stubs_of_cuda_core(tmp_path: Path) -> None:
    lay_out(tmp_path, PROBE)
    lines = mypy(tmp_path, "-p", "keeprt.kernels", "-m", "probe")
    assert [line for line in lines if line.startswith("keeprt/")] == []
    probed = [line.split(":")[1] for line in lines if line.startswith("probe.py")]
    assert probed == ["6", "7"], "the stubs were not seen, so nothing was checked"
