"""What the figures belong to: the machine, its libraries, and the card where there is one."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping

import psutil

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.devices.cuda.driver import find_driver
from keeprt.engine.errors import BackendError
from keeprt.engine.summaries import LIBRARIES, cpu_model, library_versions

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
    return facts | library_versions()


def machine_rows(machine: Mapping[str, str]) -> list[tuple[str, str]]:
    """The facts of a machine for the head of a page, its libraries in one row."""
    libraries = {name: value for name, value in machine.items() if LIBRARIES.fullmatch(name)}
    rows = [(name, value) for name, value in machine.items() if name not in libraries]
    return [*rows, ("libraries", ", ".join(f"{name} {found}" for name, found in libraries.items()))]


def bundle_facts(bundle: Bundle) -> dict[str, str]:
    """What was measured."""
    manifest = bundle.manifest
    return {
        "identity": bundle.identity,
        "weights": manifest.weights_source,
        "precision": manifest.precision,
        "faces": f"{bundle.face_size} x {bundle.face_size}",
    }


def card_facts(index: int = 0, by_tool: bool = False) -> dict[str, str]:
    """The card's name, or that there is none; `by_tool` asks nvidia-smi for what nvidia-ml-py
    tells where it is installed."""
    try:
        cards = find_driver().cards
    except BackendError:
        return {"GPU": "none"}
    if index >= len(cards):
        return {"GPU": "none"}
    return {"GPU": cards[index].name} | (_from_nvidia_smi(index) if by_tool else {})


def _from_nvidia_smi(index: int) -> dict[str, str]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {"GPU clocks": "unknown: neither nvidia-ml-py nor nvidia-smi is installed"}
    asked = [tool, f"--query-gpu={','.join(CARD_QUERY)}", "--format=csv,noheader", f"--id={index}"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        return {"GPU clocks": f"unknown: nvidia-smi ended with code {done.returncode}"}
    values = [value.strip() for value in done.stdout.splitlines()[0].split(",")]
    return {f"GPU {name}": value for name, value in zip(CARD_QUERY, values, strict=True)}
