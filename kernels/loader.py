"""Compiles the CUDA sources with NVRTC from wheels, caches the cubins, loads them on the card."""

import ctypes
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, SupportsInt, cast

import numpy as np

from keeprt.kernels import cubin_cache
from keeprt.kernels.errors import BackendError, UsageError
from keeprt.kernels.launch import BLOCK, Argument, Launch
from keeprt.kernels.ptxas_report import KernelReport, parse_report
from keeprt.kernels.wheels import check_driver, find_compiler

if TYPE_CHECKING:
    from cuda.core import Kernel, ProgramOptions, Stream
    from cuda.core.graph import GraphBuilder

FOLDER = Path(__file__).parent / "sources"
SOURCES = ("crop_align", "warp_by_flow", "paste_back", "face_picture", "shrink")
# What the tests compile for: Turing to Blackwell, as far as the installed NVRTC goes.
ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120", "sm_121")


@dataclass(frozen=True)
class CompiledSource:
    """One source for one architecture: the cubin and what the assembler said of its kernels."""

    source: str
    architecture: str
    cubin: bytes
    reports: tuple[KernelReport, ...]
    from_cache: bool


def compile_kernels(
    architectures: Iterable[str], cache_folder: Path | None = None
) -> list[CompiledSource]:
    """Compile every source for every architecture ("sm_89"), ahead of time; needs no driver.

    Cubins are kept in `cache_folder`, by default the user's cache. Raises BackendError when a
    wheel is missing or the compiler gives an error or a warning, UsageError for an architecture
    that this NVRTC does not know.
    """
    folder = cache_folder or cubin_cache.default_folder()
    wanted = tuple(architectures)
    known = supported_architectures()
    for architecture in wanted:
        if architecture not in known:
            raise UsageError(
                f"NVRTC {'.'.join(map(str, nvrtc_version()))} compiles for {', '.join(known)}, "
                f"not for {architecture}: update nvidia-cuda-nvrtc, or name another architecture"
            )
    return [_cached(source, arch, folder) for arch in wanted for source in SOURCES]


def load_kernels(device_id: int = 0, cache_folder: Path | None = None) -> dict[str, "Kernel"]:
    """The kernels by name, compiled for this card or taken from the cache; makes the card current.

    It joins the primary context, so it works inside a PyCUDA, CuPy or torch program. Raises
    BackendError without a driver, a GPU or the wheels.
    """
    check_driver()
    find_compiler()
    from cuda.core import Device, ObjectCode

    device = Device(device_id)
    device.set_current()
    kernels: dict[str, Kernel] = {}
    for compiled in compile_kernels([f"sm_{device.arch}"], cache_folder):
        code = ObjectCode.from_cubin(compiled.cubin, name=compiled.source)
        for report in compiled.reports:
            kernels[report.kernel] = code.get_kernel(report.kernel)
    return kernels


def submit(kernels: dict[str, "Kernel"], stream: "Stream | GraphBuilder", launch: Launch) -> None:
    """Put one launch on the stream; inside a capture it becomes a node of the graph.

    Raises BackendError, with the driver's name of the error, where the driver refuses it.
    """
    prepared(kernels, launch)(stream)


def prepared(
    kernels: dict[str, "Kernel"], launch: Launch
) -> "Callable[[Stream | GraphBuilder], None]":
    """One launch, to be put on streams as often as wanted, with the errors of `submit`."""
    from cuda.bindings import driver

    # cuda.core.launch takes no structures; this is the call that it makes.
    config = driver.CUlaunchConfig()
    config.gridDimX, config.gridDimY, config.gridDimZ = launch.grid
    config.blockDimX, config.blockDimY, config.blockDimZ = BLOCK, 1, 1
    handle = cast(SupportsInt, kernels[launch.kernel].handle)  # "object" in the stubs
    function = driver.CUfunction(int(handle))
    values = [_c_value(argument) for argument in launch.arguments]
    addresses = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))

    where, launched, last = ctypes.addressof(addresses), driver.cuLaunchKernelEx, None

    def put(stream: "Stream | GraphBuilder", kept: object = (values, addresses)) -> None:
        nonlocal last
        _, queue = stream.__cuda_stream__()
        if queue != last:
            config.hStream, last = driver.CUstream(int(queue)), queue
        (status,) = launched(config, function, where, 0)
        if status:
            raise BackendError(f"{launch.kernel} cannot be launched: {status.name}")

    return put


@cache
def nvrtc_version() -> tuple[int, int]:
    """Version of the NVRTC library in use."""
    find_compiler()
    from cuda.bindings import nvrtc

    status, major, minor = nvrtc.nvrtcVersion()
    _check(status)
    return major, minor


@cache
def supported_architectures() -> tuple[str, ...]:
    """What the installed NVRTC compiles for."""
    find_compiler()
    from cuda.bindings import nvrtc

    status, numbers = nvrtc.nvrtcGetSupportedArchs()
    _check(status)
    return tuple(f"sm_{number}" for number in numbers)


def compile_source(text: str, name: str, architecture: str) -> tuple[bytes, str]:
    """Compile one source; returns the cubin and the log with the assembler's figures.

    Raises BackendError, with the compiler's log, for an error and for a warning.
    """
    find_compiler()
    from cuda.core import Program

    log = io.StringIO()
    try:
        program = Program(text, "c++", _options(name, architecture))
        cubin = program.compile("cubin", logs=log).code
    except Exception as error:  # cuda-core keeps its NVRTCError private
        raise BackendError(_complaint(name, architecture, str(error))) from error
    if re.search(r"\bwarning\b", log.getvalue()):
        raise BackendError(_complaint(name, architecture, log.getvalue()))
    if isinstance(cubin, str):
        raise BackendError(f"cuda-core gave a file name for {name} where it promises a cubin")
    return bytes(cubin), log.getvalue()


def _options(name: str, architecture: str) -> "ProgramOptions":
    from cuda.core import ProgramOptions

    # fma=False: the kernels then round as their NumPy twins and the host build do, and all three
    # agree bit for bit; they wait for memory, not for arithmetic.
    return ProgramOptions(
        name=name,
        arch=architecture,
        std="c++17",
        fma=False,
        include_path=[str(FOLDER), str(find_compiler().headers)],
        ptxas_options=["-v"],
    )


def _cached(source: str, architecture: str, folder: Path) -> CompiledSource:
    path = folder / f"{source}-{architecture}-{_key(source, architecture)[:32]}.cubin"
    held = cubin_cache.read(path)
    cubin, log = held or compile_source(_text(source), f"{source}.cu", architecture)
    if held is None:
        cubin_cache.write(path, cubin, log)
    return CompiledSource(source, architecture, cubin, parse_report(log), held is not None)


def _key(source: str, architecture: str) -> str:
    """Everything that a cubin is made of: source, headers, options, the compiler's version."""
    cuda_headers = find_compiler().headers
    headers = [*sorted(FOLDER.glob("*.cuh")), *sorted(cuda_headers.glob("cuda_fp16.h*"))]
    # The folders of the include path say nothing about what was compiled; their files do.
    options = [o for o in _options(source, architecture).as_bytes("nvrtc") if b"include" not in o]
    version = repr(nvrtc_version()).encode()
    texts = [path.read_bytes() for path in headers]
    return cubin_cache.key_of(_text(source).encode(), *texts, *options, version)


def _text(source: str) -> str:
    return (FOLDER / f"{source}.cu").read_text(encoding="utf-8")


def _complaint(name: str, architecture: str, log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    first = next((line for line in lines if re.search(r"\b(error|warning)\b", line)), lines[0])
    return f"{name} does not compile for {architecture}: {first}\n{log.strip()}"


def _c_value(argument: Argument) -> "ctypes._CDataType":
    if isinstance(argument, bytes):
        return (ctypes.c_ubyte * len(argument)).from_buffer_copy(argument)
    if isinstance(argument, np.int32):
        return ctypes.c_int32(int(argument))
    return ctypes.c_uint64(argument)


def _check(status: object) -> None:
    from cuda.bindings import nvrtc

    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise BackendError(f"NVRTC does not answer: {status}; reinstall nvidia-cuda-nvrtc")
