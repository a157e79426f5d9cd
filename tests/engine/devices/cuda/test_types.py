"""The card's calls on cuda-core, checked against the type stubs that its wheel ships."""

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
from cuda.core import Buffer, Stream
def right(buffer: Buffer, stream: Stream) -> None:
    buffer.copy_to(buffer, stream=stream)
def wrong(buffer: Buffer, stream: Stream) -> None:
    buffer.copy_to(buffer, stream)
    stream.wait_for(buffer)
"""


def test_the_card_s_calls_agree_with_the_stubs_of_cuda_core(tmp_path: Path) -> None:
    lay_out(tmp_path, PROBE)
    modules = ("frames", "video")
    wanted = [word for name in modules for word in ("-m", f"keeprt.engine.devices.cuda.{name}")]
    lines = mypy(tmp_path, "-m", "probe", *wanted)
    assert [line for line in lines if line.startswith("keeprt/engine/devices/cuda/")] == []
    probed = {line.split(":")[1] for line in lines if line.startswith("probe.py")}
    assert probed == {"6", "7"}, "the stubs were not seen, so nothing was checked"
