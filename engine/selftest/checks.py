"""One check and what came of it; the machine's own: driver, versions, kernels."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from keeprt.engine.devices.cuda.driver import find_driver
from keeprt.engine.errors import KeeprtError
from keeprt.engine.faces.centerface import CenterFace, CenterFaceOptions
from keeprt.kernels.errors import BackendError as KernelError

State = Literal["passed", "failed", "not possible"]
PACKAGES = (
    *("keeprt", "numpy", "onnxruntime", "onnxruntime-gpu", "cuda-core", "cuda-bindings"),
    *("nvidia-cuda-nvrtc", "tensorrt-rtx-cu13", "tensorrt-cu13", "av"),
)

DETECTOR_APART = 1e-2  # pixels over 4 or shares: sums in another order are at some 1e-4


@dataclass(frozen=True)
class Check:
    """A check's name, what came of it in a line, and its figures, with units in their names."""

    name: str
    state: State
    said: str
    figures: dict[str, Any] = field(default_factory=dict)


class NotPossibleError(Exception):
    """This machine lacks what a check needs; the message says what."""


def run(name: str, check: Callable[[], tuple[str, dict[str, Any]]]) -> Check:
    """What came of a check that says a line and gives figures, or raises."""
    try:
        said, figures = check()
    except NotPossibleError as error:
        return Check(name, "not possible", str(error))
    except (KeeprtError, KernelError, AssertionError) as error:
        return Check(name, "failed", str(error) or type(error).__name__)
    except Exception as error:  # a library's own: the report says it and goes on
        return Check(name, "failed", f"{type(error).__name__}: {error}".splitlines()[0])
    return Check(name, "passed", said, figures)


def machine_checks(device: int) -> Iterator[Check]:
    """Driver, versions and kernels."""
    yield run("driver and cards", _driver)
    yield run("versions", _versions)
    yield run("kernels compile", lambda: _compile(device))
    yield run("kernels say what NumPy says", lambda: _kernels(device))
    yield run("the detector says what it says on the CPU", lambda: _detector(device))


def plan_check(bundle: Path, flavour: str, device: int) -> Check:
    """The detector's plan beside those of a bundle; frames need plans of the bundle alone."""
    name = "the detector's plan says what ONNX Runtime says"
    return run(name, lambda: _detector_plan(bundle, flavour, device))


def require_card() -> None:
    """Raises NotPossibleError where the driver or a card is missing."""
    try:
        if find_driver().cards:
            return
    except KeeprtError as error:
        raise NotPossibleError(str(error).partition(";")[0]) from None
    raise NotPossibleError("the driver shows no card")


def _driver() -> tuple[str, dict[str, Any]]:
    require_card()
    driver = find_driver()
    cards = [f"{card.name} ({card.target})" for card in driver.cards]
    cuda = ".".join(map(str, driver.cuda))
    return f"CUDA up to {cuda}; {', '.join(cards)}", {"cuda": cuda, "cards": cards}


def _versions() -> tuple[str, dict[str, Any]]:
    found = {"python": platform.python_version(), "system": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return ", ".join(f"{name} {value}" for name, value in found.items()), found


def _compile(device: int) -> tuple[str, dict[str, Any]]:
    from keeprt.kernels.loader import compile_kernels, supported_architectures

    try:
        known = supported_architectures()
    except KernelError as error:
        raise NotPossibleError(str(error)) from None
    try:
        require_card()
        wanted: tuple[str, ...] = (find_driver().cards[device].target.replace("sm", "sm_"),)
    except NotPossibleError:
        wanted = known[-1:]
    kernels = sum(len(compiled.reports) for compiled in compile_kernels(wanted))
    return f"{kernels} kernels for {wanted[0]}", {"kernels": kernels, "architecture": wanted[0]}


def _detector(device: int) -> tuple[str, dict[str, Any]]:
    from keeprt.engine.libraries.onnxruntime.one_graph import session_on_card

    require_card()
    try:
        there = CenterFace(opener=partial(session_on_card, device=device))
    except KernelError as error:
        raise NotPossibleError(str(error)) from None
    return _apart_from_the_cpu(there)


def _detector_plan(bundle: Path, flavour: str, device: int) -> tuple[str, dict[str, Any]]:
    from keeprt.engine.libraries.tensorrt.detector import DETECTOR, session_by_plan
    from keeprt.engine.libraries.tensorrt.plan_store import FOLDER

    require_card()
    if not any((bundle / FOLDER).glob(f"{DETECTOR}.*.plan")):
        raise NotPossibleError("the bundle has no plan of it; run `keeprt build` again")
    side = CenterFaceOptions().max_side
    opener = partial(session_by_plan, bundle=bundle, flavour=flavour, side=side, device=device)
    return _apart_from_the_cpu(CenterFace(opener=opener))


def _apart_from_the_cpu(there: CenterFace) -> tuple[str, dict[str, Any]]:
    """Its maps of smooth noise, on the card and by ONNX Runtime on the CPU."""
    noise = np.random.default_rng(0).uniform(0, 255, (1, 3, 12, 20)).astype(np.float32)
    picture = np.ascontiguousarray(noise.repeat(32, axis=2).repeat(32, axis=3))
    pairs = zip(there.maps(picture), CenterFace().maps(picture), strict=True)
    apart = max(float(np.abs(ours - theirs).max()) for ours, theirs in pairs)
    assert apart <= DETECTOR_APART, f"largest difference {apart:.1e}"
    return f"largest difference of its maps {apart:.1e}", {"apart": apart}


def _kernels(device: int) -> tuple[str, dict[str, Any]]:
    """Pictures in and out, the warp, a crop and a paste on noise: the same numbers, to the bit."""
    require_card()
    from keeprt.engine.selftest.bench_card import BenchCard
    from keeprt.kernels import launch
    from keeprt.kernels.crop_align import crop_align
    from keeprt.kernels.face_picture import face_from_picture, face_to_picture
    from keeprt.kernels.frame import FrameFormat
    from keeprt.kernels.paste_back import paste_back
    from keeprt.kernels.placement import place_face
    from keeprt.kernels.warp_by_flow import warp_by_flow

    size, random = 64, np.random.default_rng(0)
    picture = random.integers(0, 256, (size, size, 3)).astype(np.uint8)
    face = face_from_picture(picture)
    changed = np.ascontiguousarray(face[:, ::-1], np.float32)
    flow, mask = (
        random.standard_normal((1, channels, size // 8, size // 8)).astype(np.float32)
        for channels in (2, 576)
    )
    format = FrameFormat("rgb24", size, size)
    planes, place = (
        [picture.reshape(size, size * 3).copy()],
        place_face(np.eye(2, 3), size, size, size),
    )
    places = np.atleast_1d(place)
    with BenchCard(device) as card:
        results = {
            "face_from_picture": card.result(
                lambda p, out: launch.face_from_picture(p, out, size), [picture], face
            ),
            "face_to_picture": card.result(
                lambda f, out: launch.face_to_picture(f, out, size), [face], picture
            ),
            "warp_by_flow": card.result(
                lambda p, f, m, out: launch.warp_by_flow(p, f, m, out, 1, size, size),
                [face[None], flow, mask],
                face[None],
            ),
            "crop_align": card.result(
                lambda p, w, out: launch.crop_align((p,), format, w, out, 1, size),
                [planes[0], places],
                face[None],
            ),
            "paste_back": card.result(
                lambda f, c, w, out: launch.paste_back((out,), format, w, f, c, size),
                [changed, face, places],
                planes[0],
                starts=planes[0],
            ),
        }
    pasted = [planes[0].copy()]
    paste_back(pasted, format, place, changed, face)
    right = {
        "face_from_picture": face,
        "face_to_picture": face_to_picture(np.asarray(face, np.float32)),
        "warp_by_flow": warp_by_flow(face[None], flow, mask),
        "crop_align": crop_align(planes, format, places, size),
        "paste_back": pasted[0],
    }
    apart = {
        name: float(np.abs(results[name].astype(np.float64) - right[name]).max()) for name in right
    }
    assert all(value <= 1e-4 for value in apart.values()), f"largest differences: {apart}"
    return f"{len(right)} kernels, largest difference {max(apart.values()):.1e}", apart
