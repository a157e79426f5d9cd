"""Bundles whose borders have bfloat16, on the driver in host memory: bytes that are moved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine import Restorer, load_bundle
from keeprt.engine.bundle.load import Bundle
from keeprt.engine.bundle.specs import BFLOAT16, SubgraphSpec
from keeprt.engine.errors import BundleError
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from tests.cuda_driver.engines import HostEngines
from tests.cuda_driver.session import ON_DRIVER
from tests.engine.devices.cuda.conftest import Card
from tests.networks import faces

pytestmark = ON_DRIVER

WINDOW = 3
Arrays = Mapping[str, Any]


def with_taps(bundle: Bundle, dtype: str, tensors: str = "tap_") -> Bundle:
    """The bundle, with another type written down for the tensors of such names."""

    def changed(spec: SubgraphSpec) -> SubgraphSpec:
        inputs, outputs = (
            tuple(replace(t, dtype=dtype) if t.name.startswith(tensors) else t for t in side)
            for side in (spec.inputs, spec.outputs)
        )
        return replace(spec, inputs=inputs, outputs=outputs)

    subgraphs = {name: changed(spec) for name, spec in bundle.subgraphs.items()}
    return replace(bundle, manifest=replace(bundle.manifest, subgraphs=subgraphs))


def widen(halves: Any) -> Any:
    return (halves.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def round_to_half(values: Any) -> Any:
    """To the nearest, halfway to even."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16).view(BFLOAT16)


class Rounding:
    """The float32 sessions, which store what crosses in bfloat16 as two bytes."""

    def __init__(self, bundle: Bundle) -> None:
        self.sessions = OnnxRuntimeBackend(bundle, threads=1)

    def bind(self, subgraph: str, inputs: Arrays, outputs: Arrays) -> Callable[[], None]:
        wide = [
            {
                name: np.zeros(array.shape, np.float32) if array.dtype == BFLOAT16 else array
                for name, array in arrays.items()
            }
            for arrays in (inputs, outputs)
        ]
        run = self.sessions.bind(subgraph, *wide)

        def work() -> None:
            for name, array in inputs.items():
                if array.dtype == BFLOAT16:
                    wide[0][name][:] = widen(array)
            run()
            for name, array in outputs.items():
                if array.dtype == BFLOAT16:
                    array[...] = round_to_half(wide[1][name])

        return work


class RoundingEngines(HostEngines):
    """The same on the driver."""

    def __init__(self, bundle: Bundle, float32: Bundle) -> None:
        super().__init__(float32)
        self.bundle, self.rounding = bundle, Rounding(float32)

    def host_run(self, subgraph: str, inputs: Arrays, outputs: Arrays) -> Callable[[], None]:
        return self.rounding.bind(subgraph, inputs, outputs)


def run(restorer: Restorer, video: list[Any]) -> list[Any]:
    states, found = [restorer.new_state()], []
    for index, picture in enumerate(video):
        states = restorer.submit([picture], states)
        if index:
            found += restorer.collect()
    return [*found, *restorer.collect()]


@pytest.mark.parametrize("eager", [False, True])
def test_frames_of_a_bf16_bundle_are_those_of_the_host(
    card: Card, tiny_bundle: Path, eager: bool
) -> None:
    float32, video = load_bundle(tiny_bundle), faces(7, seed=12)
    bf16 = with_taps(float32, "bfloat16")
    engines = RoundingEngines(bf16, float32)
    on_card = Restorer(bf16, engines, window=WINDOW, eager=eager)
    host = Restorer(bf16, Rounding(float32), window=WINDOW)
    exact = Restorer(float32, OnnxRuntimeBackend(float32, threads=1), window=WINDOW)
    found, right, reference = (run(each, video) for each in (on_card, host, exact))
    for picture, same in zip(found, right, strict=True):
        np.testing.assert_array_equal(picture, same)
    apart = np.mean(
        [np.abs(a.astype(int) - b).mean() for a, b in zip(found, reference, strict=True)]
    )
    assert 0 < apart < 8, apart
    sizes = [
        {name: spec.size_bytes for name, spec in each._frames._table.specs.items()}  # type: ignore[attr-defined]
        for each in (on_card, Restorer(float32, HostEngines(float32), window=WINDOW))
    ]
    halved = {name for name in sizes[0] if 2 * sizes[0][name] == sizes[1][name]}
    assert halved and halved == {name for name in sizes[0] if name.startswith("tap_")}
    assert engines.errors == []


def test_a_kernel_that_takes_no_bfloat16_is_named(tiny_bundle: Path) -> None:
    bundle = with_taps(load_bundle(tiny_bundle), "bfloat16", "face")
    with pytest.raises(BundleError, match="'face' is bfloat16, but pictures become float32 or"):
        Restorer(bundle, HostEngines(load_bundle(tiny_bundle)), window=WINDOW)
