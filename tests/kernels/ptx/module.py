"""PTX executed on the processor: every entry is translated to C++, with checks on every access.

Checked are, byte for byte:

* bounds and alignment of every access to global and shared memory, and stores to what is read-only;
* races: a byte that two threads of a launch touch, one of them writing. A barrier does not excuse
  it in global memory, since it orders no two blocks; in shared memory it does;
* reads of shared memory that nothing wrote, and barriers that not every thread of a block reaches;
* integer division by zero.

Arithmetic follows the PTX ISA: single rounding in the named direction, denormals kept where no .ftz
is written, minimum and maximum prefer the number to NaN, shifts clamp. ex2.approx is exact to 1 ulp
(a card: 2).
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.kernels.launch import BLOCK, Argument, Launch
from ptx.kernels import translated

HERE = Path(__file__).parent
FLAGS = ("-std=c++17", "-O1", "-w", "-shared", "-fPIC", "-ffp-contract=off")
FLAGS += ("-fno-strict-aliasing", "-fwrapv", f"-I{HERE}")
COMPLAINTS_BYTES = 4000


class Buffer(ctypes.Structure):
    """One array in `memory.hpp`."""

    _fields_ = (
        ("base", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("writable", ctypes.c_uint32),
        ("writer", ctypes.c_void_p),
        ("reader", ctypes.c_void_p),
    )


@dataclass(frozen=True)
class Held:
    """An array that a launch may touch, but for its last `slack_bytes`."""

    array: NDArray[Any]
    writable: bool = False
    slack_bytes: int = 0


@dataclass(frozen=True)
class Counts:
    """What a launch asked of global memory, summed over its warps of 32 threads."""

    loads: int
    stores: int
    load_lines: int  # of 128 bytes, as the first-level cache has them


@dataclass(frozen=True)
class Outcome:
    complaints: int
    text: str
    counts: Counts | None


class Module:
    """The kernels of PTX texts, or those named `only`, compiled for the processor."""

    def __init__(
        self, texts: Sequence[str], folder: Path, only: Container[str] | None = None
    ) -> None:
        kernels = translated(texts, only)
        self._numbers = {kernel.name: number for number, kernel in enumerate(kernels)}
        rows = ",\n".join(
            f'{{"{k.name}", run{n}, {k.shared_bytes}, {k.barriers}, (int)sizeof(R{n})}}'
            for n, k in enumerate(kernels)
        )
        code = "".join(kernel.code for kernel in kernels)
        source, built = folder / "kernels.cpp", folder / "kernels.so"
        source.write_text(
            f'#include "arithmetic.hpp"\n{code}'
            f'static const Kernel kernels[] = {{\n{rows}\n}};\n#include "driver.hpp"\n'
        )
        subprocess.run(["g++", *FLAGS, str(source), "-o", str(built)], check=True)
        self._library = ctypes.CDLL(str(built))
        self._library.launch.restype = ctypes.c_long

    @property
    def kernels(self) -> set[str]:
        return set(self._numbers)

    def run(
        self,
        what: Launch,
        held: Sequence[Held],
        *,
        order: NDArray[Any] | None = None,
        backwards: bool = False,
        count: bool = False,
    ) -> Outcome:
        """Run the blocks of a launch, in `order`, the threads of each forwards or backwards."""
        shadows: list[Any] = []
        table = (Buffer * len(held))(*(_buffer(one, shadows) for one in held))
        arguments = [_argument(value, shadows) for value in what.arguments]
        blocks = np.arange(np.prod(what.grid)) if order is None else order
        blocks = np.ascontiguousarray(blocks, np.uint32)
        text = ctypes.create_string_buffer(COMPLAINTS_BYTES)
        totals = np.zeros((4, 8), np.uint64)
        complaints = self._library.launch(
            self._numbers[what.kernel],
            (ctypes.c_uint32 * 3)(*what.grid),
            (ctypes.c_uint32 * 3)(BLOCK, 1, 1),
            (ctypes.c_uint64 * len(arguments))(*arguments),
            table,
            len(held),
            ctypes.c_void_p(blocks.ctypes.data),
            ctypes.c_uint64(len(blocks)),
            int(backwards),
            int(count),
            text,
            ctypes.c_size_t(len(text)),
            ctypes.c_void_p(totals.ctypes.data),
        )
        counts = Counts(int(totals[0, 0]), int(totals[1, 0]), int(totals[0, 4])) if count else None
        return Outcome(complaints, text.value.decode(), counts)


def _buffer(one: Held, shadows: list[Any]) -> Buffer:
    size = one.array.nbytes - one.slack_bytes
    if not one.writable:
        return Buffer(one.array.ctypes.data, size, 0, None, None)
    shadow = np.zeros((2, max(size, 1)), np.uint32)
    shadows.append(shadow)
    return Buffer(one.array.ctypes.data, size, 1, shadow[0].ctypes.data, shadow[1].ctypes.data)


def _argument(value: Argument, shadows: list[Any]) -> int:
    if not isinstance(value, bytes):
        return int(value) & (2**64 - 1)
    shadows.append(np.frombuffer(value, np.uint8).copy())
    return int(shadows[-1].ctypes.data)
