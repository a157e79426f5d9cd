"""The checks that need a bundle: plans, and frames eager, captured, in flight, long, and moved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.bundle.specs import numpy_dtype
from keeprt.engine.frame.pixels import Picture
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from keeprt.engine.opening import DeviceChoice, Library
from keeprt.engine.restorer import Restorer
from keeprt.engine.selftest.checks import Check, NotPossibleError, run

WINDOW = 3  # enough that the window is full and slides within a few frames
FRAMES = 8
LONG = 1000
PLAN_ERROR = 1e-2  # relative L2; float32 plans are at 1e-5, half ones at some 1e-3

OpenLibrary = Callable[[], Library]  # raises NotPossibleError where the machine lacks something


def pictures(size: int, count: int) -> list[Picture]:
    """A smooth pattern that moves by some pixels a frame, RGB uint8 (size, size, 3)."""
    y, x = np.mgrid[:size, :size] * (8 * np.pi / size)
    found: list[Picture] = []
    for index in range(count):
        waves = [np.sin(x + k + index / 9) * np.cos(y * (1 + k / 3) - index / 7) for k in range(3)]
        found.append((127.5 + 127.5 * np.stack(waves, axis=-1)).astype(np.uint8))
    return found


def host_checks(bundle: Bundle) -> Iterator[Check]:
    """What needs no card."""
    yield run("frames on the CPU", lambda: _on_the_cpu(bundle))


def card_checks(
    bundle: Bundle, open_library: OpenLibrary, device: int, long: int
) -> Iterator[Check]:
    """What needs a card; `long` is how many frames memory is watched for."""
    yield run("plans say what ONNX Runtime says", lambda: _plans(bundle, open_library))
    yield run("eager, captured and in flight", lambda: _ways(bundle, open_library, device))
    yield run("memory stays flat", lambda: _flat(bundle, open_library, device, long))
    yield run("a state goes to the CPU and back", lambda: _moved(bundle, open_library, device))


def _host(bundle: Bundle) -> OnnxRuntimeBackend:
    """What the card is held against."""
    if bundle.manifest.precision == "bf16":
        raise NotPossibleError("a CPU computes no bfloat16: there is nothing to compare with")
    return OnnxRuntimeBackend(bundle)


def _on_the_cpu(bundle: Bundle) -> tuple[str, dict[str, Any]]:
    restorer = Restorer(bundle, _host(bundle), window=WINDOW)
    start = time.perf_counter()
    restored = _restored(restorer, pictures(bundle.face_size, 3))
    ms = (time.perf_counter() - start) / 3 * 1e3
    assert all(picture.any() for picture in restored), "a restored face is black"
    return f"3 frames, {ms:.0f} ms each", {"ms_per_frame": round(ms, 1)}


def _plans(bundle: Bundle, open_library: OpenLibrary) -> tuple[str, dict[str, Any]]:
    library: Any = open_library()
    assert hasattr(library, "run"), "this library runs frames only; nothing was compared"
    host, random = _host(bundle), np.random.default_rng(0)
    errors: dict[str, float] = {}
    axes = {"faces": 1, "frames": WINDOW, "selected": 1}
    for name, spec in bundle.subgraphs.items():
        inputs = {
            t.name: random.uniform(-1, 1, t.sized(**axes)).astype(numpy_dtype(t.dtype))
            for t in spec.inputs
        }
        if "selected" in inputs:
            inputs["selected"][:] = WINDOW - 1
        found, right = (
            {t.name: np.zeros(t.sized(**axes), numpy_dtype(t.dtype)) for t in spec.outputs}
            for _ in range(2)
        )
        library.run(name, inputs, found)
        host.run(name, inputs, right)
        for tensor, expected in right.items():
            if np.issubdtype(expected.dtype, np.floating):
                apart = np.linalg.norm(found[tensor].astype(np.float64) - expected)
                size = max(float(np.linalg.norm(expected)), 1e-12)
                errors[f"{name}.{tensor}"] = float(apart) / size
    library.close()
    worst = max(errors, key=errors.__getitem__)
    assert errors[worst] <= PLAN_ERROR, f"{worst} is off by {errors[worst]:.1e} (relative L2)"
    return f"{len(errors)} tensors, largest relative error {errors[worst]:.1e} ({worst})", errors


def _ways(bundle: Bundle, open_library: OpenLibrary, device: int) -> tuple[str, dict[str, Any]]:
    given, results, seconds = pictures(bundle.face_size, FRAMES), {}, 0.0
    for way in ("eager", "captured", "in flight"):
        restorer = _opened(bundle, open_library, device, eager=way == "eager")
        if way != "eager":
            seconds = restorer.warm_up()
        take = _in_flight if way == "in flight" else _restored
        results[way] = take(restorer, given)
        restorer._frames.close()
    for way in ("captured", "in flight"):
        assert _apart(results[way], results["eager"]) == 0, f"{way} frames differ from eager ones"
    figures = {"warm_up_s": round(seconds, 3)}
    try:
        cpu = _restored(Restorer(bundle, _host(bundle), window=WINDOW), given)
    except NotPossibleError as error:
        return f"{FRAMES} frames are the same; {error}", figures
    pairs = zip(cpu, results["eager"], strict=True)
    levels = float(np.mean([np.abs(a.astype(int) - b).mean() for a, b in pairs]))
    figures["mean_levels_from_the_cpu"] = round(levels, 4)
    assert levels < 1, f"faces are {levels:.1f} levels from the CPU's in the mean"
    return f"{FRAMES} frames are the same, {levels:.3f} levels from the CPU's", figures


def _flat(
    bundle: Bundle, open_library: OpenLibrary, device: int, long: int
) -> tuple[str, dict[str, Any]]:
    from cuda.bindings import driver

    from keeprt.engine.devices.cuda.guest import visit_card

    restorer, given = _opened(bundle, open_library, device), pictures(bundle.face_size, 2)
    restorer.warm_up()
    state, times, free = restorer.new_state(), [], []
    for index in range(long):
        start = time.perf_counter()
        _, state = restorer.restore(given[index % 2], state)
        times.append((time.perf_counter() - start) * 1e3)
        if index in (long // 10, long - 1):
            with visit_card(device):
                free.append(int(driver.cuMemGetInfo()[1]))
    restorer._frames.close()
    assert free[0] <= free[-1], f"{(free[0] - free[-1]) / 1e6:.1f} MB more after {long} frames"
    p50, p99 = (float(np.percentile(times[long // 10 :], p)) for p in (50, 99))
    return f"{long} frames, {p50:.2f} ms each (p99 {p99:.2f})", {"p50_ms": p50, "p99_ms": p99}


def _moved(bundle: Bundle, open_library: OpenLibrary, device: int) -> tuple[str, dict[str, Any]]:
    restorer, given = _opened(bundle, open_library, device), pictures(bundle.face_size, FRAMES)
    cpu = Restorer(bundle, _host(bundle), window=WINDOW)
    state, levels = restorer.new_state(), []
    stayed = _restored(restorer, given)
    for index, picture in enumerate(given):
        here = cpu if index % 4 == 2 else restorer
        found, state = here.restore(picture, state)
        levels.append(float(np.abs(found.astype(int) - stayed[index]).mean()))
    restorer._frames.close()
    assert max(levels) < 1, f"a moved state is {max(levels):.1f} levels off in the mean"
    return f"{max(levels):.3f} levels from the face that stayed", {"levels": levels}


def _opened(
    bundle: Bundle, open_library: OpenLibrary, device: int, eager: bool = False
) -> Restorer:
    choice = DeviceChoice(device)
    return Restorer(bundle, open_library(), window=WINDOW, eager=eager, choice=choice)


def _restored(restorer: Restorer, given: list[Picture]) -> list[Picture]:
    state, found = restorer.new_state(), []
    for picture in given:
        face, state = restorer.restore(picture, state)
        found.append(face)
    return found


def _in_flight(restorer: Restorer, given: list[Picture]) -> list[Picture]:
    states, found = [restorer.new_state()], []
    for index, picture in enumerate(given):
        states = restorer.submit([picture], states)
        if index:
            found += restorer.collect()
    return [*found, *restorer.collect()]


def _apart(found: list[Picture], right: list[Picture]) -> int:
    return max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(found, right, strict=True))
