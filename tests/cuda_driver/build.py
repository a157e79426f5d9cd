"""Builds the driver in host memory and the kernels' host builds; says what to start Python with."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from keeprt.kernels.frame import FRAME_DTYPE

HERE = Path(__file__).parent
KERNELS = HERE.parents[1] / "kernels" / "sources"
#: Parameters of the kernels by the beginning of their names: p an address, i 32 bits, f the frame's
#: format by value.
PARAMETERS = {"warp": "ppppii", "crop": "pppfppi", "paste": "pppfpppii", "face": "ppi"}
PARAMETERS |= {"shrink": "pppfpii"}
DRIVER_FLAGS = ["-std=c++17", "-O1", "-shared", "-fPIC", "-fvisibility=hidden"]
DRIVER_FLAGS += ["-static-libstdc++", "-Wl,-Bsymbolic", "-Wl,--exclude-libs,ALL"]
DRIVER_FLAGS += ["-Wl,-soname,libcuda.so.1"]
KERNEL_FLAGS = ["-x", "c++", "-std=c++17", "-shared", "-fPIC", "-O2", "-ffp-contract=off"]


def cuda_headers() -> Path | None:
    """The folder of cuda.h in NVIDIA's wheels."""
    found = importlib.util.find_spec("nvidia")
    for root in (found.submodule_search_locations or ()) if found else ():
        for folder in sorted(Path(root).glob("cu[0-9]*/include"), reverse=True):
            if (folder / "cuda.h").is_file():
                return folder
    return None


def missing() -> str:
    """Why the driver cannot be built on this machine; empty where it can."""
    if shutil.which("g++") is None:
        return "no g++ on this machine"
    if cuda_headers() is None:
        return "nvidia-cuda-runtime is not installed, which has cuda.h"
    if importlib.util.find_spec("cuda") is None:
        return "cuda-core is not installed"
    return ""


def build(kernels_folder: Path = KERNELS) -> Path:
    """The folder of libcuda.so.1 and the kernels' builds, made once for the same sources."""
    sources = [*sorted(HERE.glob("*.cpp")), *sorted(HERE.glob("*.h"))]
    kernels = sorted(kernels_folder.glob("*.cu"))
    digest = hashlib.sha256()
    for file in (Path(__file__), *sources, *kernels, *sorted(kernels_folder.glob("*.cuh"))):
        digest.update(file.read_bytes())
    folder = Path(tempfile.gettempdir()) / f"keeprt-cuda-driver-{os.getuid()}"
    made = folder / digest.hexdigest()[:16]
    if not made.is_dir():
        folder.mkdir(mode=0o700, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=folder))
        sized = [f"-DFORMAT_BYTES={FRAME_DTYPE.itemsize}"]
        cpp = [str(file) for file in sources if file.suffix == ".cpp"]
        _compile([*DRIVER_FLAGS, f"-I{cuda_headers()}", *sized, *cpp, "-ldl", "-lpthread"],
                 work / "libcuda.so.1")  # fmt: skip
        for kernel in kernels:
            _compile([*KERNEL_FLAGS, str(kernel)], work / f"{kernel.stem}.so")
        try:
            work.rename(made)
        except OSError:  # another session was faster
            shutil.rmtree(work)
    return made


def environment(kernels_folder: Path = KERNELS, **settings: object) -> dict[str, str]:
    """The environment of a Python that finds this driver; `settings` as the sources name them."""
    folder = build(kernels_folder)
    kernels = ":".join(str(file) for file in sorted(folder.glob("*.so")))
    parameters = ":".join(f"{name}={types}" for name, types in PARAMETERS.items())
    return {
        **os.environ,
        "LD_LIBRARY_PATH": f"{folder}:{os.environ.get('LD_LIBRARY_PATH', '')}".rstrip(":"),
        "HOSTDRIVER_KERNELS": kernels,
        "HOSTDRIVER_PARAMETERS": parameters,
        **{f"HOSTDRIVER_{name.upper()}": str(value) for name, value in settings.items()},
    }


def _compile(arguments: list[str], target: Path) -> None:
    done = subprocess.run(
        ["g++", *arguments, "-o", str(target)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{target.name} does not compile:\n{done.stderr}")
