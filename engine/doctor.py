"""What this machine has for each backend, what is missing, and the command that adds it."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from keeprt.engine.devices.cuda.driver import Driver, find_driver
from keeprt.engine.errors import BackendError, KeeprtError
from keeprt.engine.faces.centerface import CenterFace
from keeprt.engine.libraries.onnxruntime.providers import PROVIDERS, RTX_PLUGIN
from keeprt.engine.libraries.tensorrt.flavours import FLAVOURS, Flavour
from keeprt.kernels.installing import RUNTIMES, install, install_onnxruntime, installed

State = Literal["ok", "missing", "note"]
VIDEO_LIBRARIES = (
    {"NVENC": "nvEncodeAPI64.dll", "NVDEC": "nvcuvid.dll"}
    if sys.platform == "win32"
    else {"NVENC": "libnvidia-encode.so.1", "NVDEC": "libnvcuvid.so.1"}
)


@dataclass(frozen=True)
class Finding:
    """One line of the report; `remedy` is what to do where something is missing."""

    subject: str
    state: State
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    """All findings on this machine; never raises for what is missing."""
    driver, findings = _driver()
    findings = [
        Finding("system", "ok", f"{platform.system()} {platform.machine()}, Python "
                f"{platform.python_version()}, keeprt {_version('keeprt') or '?'}"),
        *findings,
        *(_flavour(flavour, driver) for flavour in FLAVOURS.values()),
        *_onnxruntime(),
        _detector(),
        _module("cuda-core", "cuda.core", "rtx", "runs the CUDA kernels"),
        _module("torch", "torch", "export", "exports bundles"),
        *_video(),
    ]  # fmt: skip
    return [*findings, *_advice(driver)]


def lacking(backend: str, findings: Sequence[Finding]) -> list[Finding]:
    """What a backend needs and this machine has not: its library, and for one that runs on a card
    the driver, a card that it can use, and cuda-core."""
    needs = {f"backend {backend}"}
    if backend in FLAVOURS:
        needs |= {"NVIDIA driver", "GPU", "cuda-core"}
    missing = [one for one in findings if one.subject in needs and one.state == "missing"]
    if backend in FLAVOURS and not missing:  # the library is there, for no card of this machine
        missing = [f for f in findings if f.subject == f"backend {backend}" and f.state != "ok"]
    return missing


def _driver() -> tuple[Driver | None, list[Finding]]:
    try:
        driver = find_driver()
    except BackendError as error:
        found = str(error).partition(";")[0]
        remedy = "on a machine with an NVIDIA card, install its driver (580 or newer for CUDA 13)"
        return None, [Finding("NVIDIA driver", "missing", found, remedy)]
    findings = [Finding("NVIDIA driver", "ok", "CUDA up to {}.{}".format(*driver.cuda))]
    for card in driver.cards:
        memory = f"{card.memory_bytes / 2**30:.1f} GiB"
        findings.append(Finding(f"GPU {card.index}", "ok", f"{card.name}, {card.target}, {memory}"))
    if not driver.cards:
        findings.append(Finding("GPU", "missing", "the driver shows no card"))
    return driver, findings


def _flavour(flavour: Flavour, driver: Driver | None) -> Finding:
    subject = f"backend {flavour.name}"
    try:
        module = import_module(flavour.module)
    except ImportError as error:
        found = f"{flavour.module} is not installed"
        if not isinstance(error, ModuleNotFoundError):
            found = f"{flavour.module} does not load: {error}"
        return Finding(subject, "missing", found, install(flavour.extra))
    found = f"{flavour.module} {module.__version__}"
    if flavour.ahead_of_time:
        found += f", builds for {', '.join(flavour.targets)}"
    if driver is None or not driver.cards:
        runs = "builds here, runs on no card here" if flavour.ahead_of_time else "needs a card"
        return Finding(subject, "note", f"{found}; {runs}")
    unfit = [c for c in driver.cards if flavour.targets and c.target not in flavour.targets]
    if unfit:
        return Finding(subject, "note", f"{found}; not for {unfit[0].name} ({unfit[0].target})")
    return Finding(subject, "ok", found)


def _onnxruntime() -> list[Finding]:
    try:
        module = import_module("onnxruntime")
    except ImportError:
        return [
            Finding(
                "backend onnxruntime",
                "missing",
                "not installed",
                install_onnxruntime(),
            )
        ]
    available = module.get_available_providers()
    findings = [
        Finding("backend onnxruntime", "ok", f"{module.__version__}: {', '.join(available)}")
    ]
    both = [name for name in RUNTIMES if installed(name)]
    if len(both) > 1:
        findings.append(
            Finding(
                "backend onnxruntime",
                "missing",
                "both wheels are installed and overwrite each other",
                f"pip uninstall -y {' '.join(both)}, then {install_onnxruntime()}",
            )
        )
    plugin = _version(RTX_PLUGIN.replace("_", "-")) or _version(
        f"{RTX_PLUGIN.replace('_', '-')}-cu13"
    )
    found = f"plugin {plugin}" if plugin else "plugin not installed (optional)"
    remedy = "" if plugin else PROVIDERS["rtx"].remedy()
    return [*findings, Finding("onnxruntime on RTX", "note", found, remedy)]


def _detector() -> Finding:
    """Whether whole frames can be restored: the faces in them have to be found."""
    try:
        CenterFace()
    except KeeprtError as error:
        found, _, remedy = str(error).partition(": ")
        return Finding("face detector", "missing", found, remedy)
    return Finding("face detector", "ok", "CenterFace, on the CPU, by a plan or the CUDA provider")


def _module(subject: str, module: str, extra: str, purpose: str) -> Finding:
    found = _version(subject)
    if found is None:
        return Finding(subject, "missing", f"not installed; {purpose}", install(extra))
    return Finding(subject, "ok", f"{found}; {purpose}")


def _video(load: Callable[[str], object] = ctypes.CDLL) -> list[Finding]:
    import av

    codecs: dict[str, list[str]] = {
        "NVENC": [n for n in ("h264_nvenc", "hevc_nvenc", "av1_nvenc") if n in av.codecs_available],
        "NVDEC": [n for n in ("h264_cuvid", "hevc_cuvid", "av1_cuvid") if n in av.codecs_available],
    }
    findings = []
    for subject, library in VIDEO_LIBRARIES.items():
        try:
            load(library)
        except OSError:
            findings.append(
                Finding(subject, "missing", f"{library} is not there", "it comes with the driver")
            )
            continue
        names = ", ".join(codecs[subject])
        if names:
            findings.append(Finding(subject, "ok", names))
        else:
            findings.append(Finding(subject, "missing", "this PyAV has no such codec"))
    return findings


def _advice(driver: Driver | None) -> list[Finding]:
    """Which flavour to install for the cards found."""
    if driver is None or not driver.cards:
        return [Finding("advice", "note", "no GPU: use the backend onnxruntime on the CPU")]
    findings = []
    for card in driver.cards:
        rtx = card.target in FLAVOURS["rtx"].targets
        flavour = FLAVOURS["rtx" if rtx else "tensorrt"]
        findings.append(
            Finding(
                "advice",
                "note",
                f"{card.name}: flavour {flavour.name}",
                f"{install(flavour.extra)}; keeprt build BUNDLE --flavor "
                f"{flavour.name} --target {card.target}",
            )
        )
    return findings


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
