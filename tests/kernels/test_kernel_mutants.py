"""Faults put into the kernels' sources one by one: the quick tests of the executed PTX see each."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import test_executed_kernels as quick
from host_kernels import needs_compiler
from ptx.twins import Executed, executed
from test_loader import needs_nvrtc

from keeprt.kernels import loader

pytestmark = [pytest.mark.slow, needs_compiler, needs_nvrtc]


def warp(kernels: Executed) -> None:
    quick.test_warp(kernels, 3, 5)


#: Name, file, what stands there, what is put there, the quick test that must fail.
MUTANTS: tuple[tuple[str, str, str, str, Callable[[Executed], None]], ...] = (
    (
        "grid stride off by one",
        "paste_back.cu",
        "site += gridDim.x * BLOCK)",
        "site += gridDim.x * BLOCK + 1)",
        quick.test_a_region_of_more_sites_than_threads_is_pasted_whole,
    ),
    (
        "one element beyond an array is read",
        "frame.cuh",
        "clamp(near + 1, 0, size - 1)",
        "clamp(near + 1, 0, size)",
        quick.test_kernels_on_nv12,
    ),
    ("a barrier is gone", "warp_by_flow.cu", "    BARRIER();\n", "", warp),
    (
        "half rounded towards zero",
        "portable.cuh",
        "__float2half_rn",
        "__float2half_rz",
        quick.test_every_code_is_rounded_to_the_nearest_half,
    ),
    (
        "row times pitch in 32 bits",
        "frame.cuh",
        "static_cast<long long>(y) * format.pitch[k]",
        "y * format.pitch[k]",
        quick.test_rows_beyond_two_gigabytes_are_found,
    ),
    (
        "a face that is not finite is pasted",
        "paste_back.cuh",
        "        if (!is_finite(pair.restored[k * plane + pixel])) return change;\n",
        "",
        quick.test_kernels_on_nv12,
    ),
    (
        "the last sample that a small pixel stands for is left out",
        "shrink.cuh",
        "floorf(high + 0.5f)",
        "floorf(high - 0.5f)",
        quick.test_kernels_on_nv12,
    ),
    (
        "small pictures begin half a pixel late",
        "shrink.cuh",
        "* scale - 0.5f",
        "* scale",
        quick.test_kernels_on_nv12,
    ),
    (
        "shared memory where two threads meet",
        "warp_by_flow.cu",
        "return pixel + pixel / 32;",
        "return pixel - pixel / 32;",
        warp,
    ),
)


@pytest.mark.parametrize("name, file, old, new, test", MUTANTS, ids=[m[0] for m in MUTANTS])
def test_fault_is_seen(
    name: str, file: str, old: str, new: str, test: Callable[[Executed], None], tmp_path: Path
) -> None:
    for path in (*loader.FOLDER.glob("*.cu"), *loader.FOLDER.glob("*.cuh")):
        shutil.copy(path, tmp_path)
    text = (tmp_path / file).read_text()
    assert old in text, f"{file} has changed: say anew where the fault {name!r} goes"
    (tmp_path / file).write_text(text.replace(old, new))
    kernels = executed("sm_75", tmp_path, quick.FEW, tmp_path)
    with pytest.raises(AssertionError):
        test(kernels)
