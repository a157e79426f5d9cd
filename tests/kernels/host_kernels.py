"""Runs the CUDA sources on the host: compiled by g++, one call per block of the launch."""

import ctypes
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.kernels.frame import FRAME_DTYPE
from keeprt.kernels.launch import Argument, Launch

SOURCES = Path(__file__).parents[2] / "kernels" / "sources"
FLAGS = (
    "-std=c++17",
    "-shared",
    "-fPIC",
    "-O2",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
    "-Werror",
)

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine")


class Index(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int), ("y", ctypes.c_int), ("z", ctypes.c_int))


class Format(ctypes.Structure):
    """FrameFormat, which is passed by value."""

    _fields_ = (("bytes", ctypes.c_ubyte * FRAME_DTYPE.itemsize),)


def c_argument(value: Argument) -> Any:
    if isinstance(value, bytes):
        return Format.from_buffer_copy(value)
    return ctypes.c_int(int(value)) if isinstance(value, np.int32) else ctypes.c_void_p(value)


@cache
def library(name: str) -> ctypes.CDLL:
    """The host build of kernels/NAME.cu."""
    folder = Path(tempfile.mkdtemp(prefix="keeprt-host-"))
    target = folder / f"{name}.so"
    subprocess.run(
        ["g++", "-x", "c++", *FLAGS, str(SOURCES / f"{name}.cu"), "-o", str(target)],
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = ctypes.CDLL(str(target))
    shutil.rmtree(folder)
    return loaded


def run(source: str, launch: Launch) -> None:
    """Run every block of `launch`, whose addresses are host addresses, in a shuffled order."""
    module = library(source)
    kernel = getattr(module, launch.kernel)
    arguments = [c_argument(value) for value in launch.arguments]
    blocks = list(np.ndindex(launch.grid))
    np.random.default_rng(len(blocks)).shuffle(blocks)
    for block in blocks:
        module.set_block(Index(*map(int, block)), Index(*launch.grid))
        kernel(*arguments)
