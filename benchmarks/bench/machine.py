"""What the figures belong to: the machine, its libraries, and the card where there is one."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from keeprt.engine.bundle import Bundle
from keeprt.engine.errors import BackendError
from keeprt.engine.nvidia_driver import find_driver

LIBRARIES = ("keeprt", "onnxruntime", "onnxruntime-gpu", "torch", "numpy", "tensorrt-rtx-cu13")
CARD_QUERY = ("clocks.sm", "clocks.max.sm", "clocks.mem", "power.limit", "driver_version")


def machine_facts(threads: int | None) -> dict[str, str]:
    """Names and values for the head of a report; nothing of the machine's name or its paths."""
    facts = {
        "CPU": cpu_model(),
        "cores": f"{psutil.cpu_count(logical=False) or '?'} physical, {os.cpu_count()} logical",
        "threads used": str(threads or os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }
    found = {library: _version(library) for library in LIBRARIES}
    return facts | {library: number for library, number in found.items() if number}


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def bundle_facts(bundle: Bundle) -> dict[str, str]:
    """What was measured."""
    manifest = bundle.manifest
    return {
        "identity": bundle.identity,
        "weights": manifest.weights_source,
        "precision": manifest.precision,
        "faces": f"{bundle.face_size} x {bundle.face_size}",
    }


def cpu_model() -> str:
    """The processor's name as the system has it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def card_facts() -> dict[str, str]:
    """GPU, clocks and power limit now; or that there is none, or no tool that could tell."""
    try:
        cards = find_driver().cards
    except BackendError:
        return {"GPU": "none"}
    if not cards:
        return {"GPU": "none"}
    return {"GPU": cards[0].name} | (_from_nvml() or _from_nvidia_smi())


def _from_nvml() -> dict[str, str]:
    try:
        nvml = import_module("pynvml")
    except ImportError:
        return {}
    nvml.nvmlInit()
    try:
        card = nvml.nvmlDeviceGetHandleByIndex(0)
        sm, memory = nvml.NVML_CLOCK_SM, nvml.NVML_CLOCK_MEM
        return {
            "GPU clocks": f"SM {nvml.nvmlDeviceGetClockInfo(card, sm)} of "
            f"{nvml.nvmlDeviceGetMaxClockInfo(card, sm)} MHz, "
            f"memory {nvml.nvmlDeviceGetClockInfo(card, memory)} MHz",
            "GPU power limit": f"{nvml.nvmlDeviceGetPowerManagementLimit(card) / 1e3:.0f} W",
        }
    finally:
        nvml.nvmlShutdown()


def _from_nvidia_smi() -> dict[str, str]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {"GPU clocks": "unknown: neither nvidia-ml-py nor nvidia-smi is installed"}
    asked = [tool, f"--query-gpu={','.join(CARD_QUERY)}", "--format=csv,noheader", "--id=0"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        return {"GPU clocks": f"unknown: nvidia-smi ended with code {done.returncode}"}
    values = [value.strip() for value in done.stdout.splitlines()[0].split(",")]
    return {f"GPU {name}": value for name, value in zip(CARD_QUERY, values, strict=True)}


def device_memory_bytes() -> int:
    """Memory in use on the first card, by whomever; 0 where nvidia-ml-py is not installed."""
    try:
        nvml = import_module("pynvml")
    except ImportError:
        return 0
    nvml.nvmlInit()
    try:
        card = nvml.nvmlDeviceGetHandleByIndex(0)
        return int(nvml.nvmlDeviceGetMemoryInfo(card).used)
    finally:
        nvml.nvmlShutdown()
