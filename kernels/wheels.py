"""Finds NVRTC and the CUDA headers in NVIDIA's wheels, and the driver on the system."""

import ctypes
import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from keeprt.kernels.errors import BackendError
from keeprt.kernels.installing import install

NVRTC_NAME = re.compile(r"libnvrtc\.so\.(\d+)|nvrtc64_(\d+)\d_0\.dll")
CUDA_SUCCESS = 0
CUDA_ERRORS = {
    3: "the driver is shutting down",
    34: "the driver library is a stub",
    100: "the driver sees no GPU",
    802: "the GPU is not ready yet",
    803: "the driver library and the kernel module differ: reboot after the update",
    804: "the driver is too old for this CUDA",
}


@dataclass(frozen=True)
class Compiler:
    """NVRTC of one wheel: its library, loaded, and the headers that belong to it."""

    library: Path
    headers: Path


@cache
def find_compiler() -> Compiler:
    """Load NVRTC from its wheel, so that cuda-core finds it loaded wherever the wheel lies.

    Raises BackendError, naming the extra, when cuda-core, NVRTC or the headers are not installed.
    """
    if not _importable("cuda.core"):
        raise BackendError(
            f"CUDA kernels need cuda-core, which is not installed: {install('kernels')}"
        )
    for folder in _nvidia_folders():
        headers = folder / "include"
        for library in sorted((*folder.glob("lib/*nvrtc*"), *folder.glob("bin/**/*nvrtc*"))):
            if NVRTC_NAME.fullmatch(library.name):
                _need(headers / "cuda_fp16.h", "nvidia-cuda-runtime")
                ctypes.CDLL(str(library), mode=getattr(ctypes, "RTLD_GLOBAL", 0))
                return Compiler(library, headers)
    raise BackendError(
        f"CUDA kernels need the wheel nvidia-cuda-nvrtc, which is missing: {install('kernels')}"
    )


def check_driver() -> None:
    """Raise BackendError, in one line, unless an NVIDIA driver with a GPU is at hand.

    This comes before any call that needs a device: cuda-core 1.2 can hang on its second such call
    when there is no driver.
    """
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        status = int(driver.cuInit(0))
        if status == CUDA_SUCCESS:
            return
        reason = CUDA_ERRORS.get(status, "the driver does not start")
        raise BackendError(f"no usable GPU: {reason} (CUDA error {status}); see `keeprt doctor`")
    raise BackendError("no NVIDIA driver on this machine: install one, then see `keeprt doctor`")


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


def _nvidia_folders() -> list[Path]:
    """CUDA folders of the wheels, the newest major version first."""
    found = importlib.util.find_spec("nvidia")
    roots = [Path(root) for root in (found.submodule_search_locations or ())] if found else []
    return sorted((f for root in roots for f in root.glob("cu[0-9]*")), reverse=True)


def _need(path: Path, wheel: str) -> None:
    if not path.is_file():
        raise BackendError(
            f"CUDA kernels need the wheel {wheel}, which is missing: {install('kernels')}"
        )
