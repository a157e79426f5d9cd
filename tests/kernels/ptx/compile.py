"""The PTX that NVRTC makes of the kernels, with the loader's own options; needs no driver."""

from __future__ import annotations

from pathlib import Path

from keeprt.kernels import loader
from keeprt.kernels.wheels import find_compiler


def compile_ptx(source: str, architecture: str, folder: Path = loader.FOLDER) -> str:
    """PTX of `folder`/SOURCE.cu. Raises AssertionError with the compiler's log."""
    find_compiler()
    from cuda.bindings import nvrtc

    name = f"{source}.cu"
    options = loader._options(name, architecture).as_bytes("nvrtc")
    ours = f"={loader.FOLDER}".encode()
    options = [o.replace(ours, f"={folder}".encode()) for o in options]
    text = (folder / name).read_bytes()
    status, program = nvrtc.nvrtcCreateProgram(text, name.encode(), 0, [], [])
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    log = bytearray(size)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert status == nvrtc.nvrtcResult.NVRTC_SUCCESS, log.decode()
    _, size = nvrtc.nvrtcGetPTXSize(program)
    ptx = bytearray(size)
    nvrtc.nvrtcGetPTX(program, ptx)
    nvrtc.nvrtcDestroyProgram(program)
    return ptx.rstrip(b"\0").decode()
