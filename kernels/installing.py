"""What to type to add an extra to this installation, be it a clone, a wheel or an index's."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
# The two ONNX Runtimes overwrite each other's files: where the one for GPUs is, nothing may bring
# the other.
_FOR_GPU = {"cpu": "gpu", "all": "all-gpu"}
# These run the network without ONNX Runtime, but whole frames need it for the detector.
_NEED_RUNTIME = ("rtx", "tensorrt")


def install(*extras: str) -> str:
    """The command that adds these extras, in place of none that is there already."""
    return f"pip install {_target(_fitting(extras))}"


def install_onnxruntime() -> str:
    """What adds an ONNX Runtime where there is none."""
    return f"{install('cpu')}, or {install('gpu')} on a machine with an NVIDIA card"


def install_gpu_runtime() -> str:
    """What puts ONNX Runtime for NVIDIA cards in the place of the one that is there."""
    there = [name for name in RUNTIMES if installed(name)]
    remove = f"pip uninstall -y {' '.join(there)} && " if there else ""
    return remove + install("gpu")


def without_place(command: str) -> str:
    """The same command as it is typed in the clone, or beside the wheel: nothing of where this
    machine has them."""
    url = _origin().get("url", "")
    if not url.startswith("file:"):
        return command
    place = Path(url2pathname(urlsplit(url).path))
    return command.replace(url, place.name).replace(f"'{place}[", "'.[")


def installed(name: str) -> str | None:
    """The version of an installed distribution, None without it."""
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None


def _fitting(extras: tuple[str, ...]) -> tuple[str, ...]:
    gpu, cpu = installed("onnxruntime-gpu"), installed("onnxruntime")
    fitting = [_FOR_GPU.get(extra, extra) if gpu else extra for extra in extras]
    if set(extras) & set(_NEED_RUNTIME) and not (gpu or cpu or {"cpu", "gpu"} & set(fitting)):
        fitting.insert(0, "cpu")
    return tuple(fitting)


def _target(extras: tuple[str, ...]) -> str:
    """Such as '.[rtx]', '/src/keeprt[rtx]' or 'keeprt[rtx] @ file:///keeprt.whl', quoted."""
    names, origin = f"[{','.join(extras)}]", _origin()
    url = origin.get("url", "")
    if "dir_info" in origin:
        folder = Path(url2pathname(urlsplit(url).path))
        where = "." if folder == Path.cwd() else str(folder)
        option = "-e " if origin["dir_info"].get("editable") else ""
        return f"{option}'{where}{names}'"
    if "vcs_info" in origin:
        info = origin["vcs_info"]
        return f"'keeprt{names} @ {info['vcs']}+{url}@{info['commit_id']}'"
    return f"'keeprt{names} @ {url}'" if url else f"'keeprt{names}'"


def _origin() -> dict[str, Any]:
    """What direct_url.json (PEP 610) says; empty for an installation from an index."""
    # In a clone the folder keeprt.egg-info is found too, which knows nothing of this.
    texts = (found.read_text("direct_url.json") for found in distributions(name="keeprt"))
    return next((json.loads(text) for text in texts if text), {})
