"""Frames by the PyTorch engines on the driver in host memory: addresses, sizes, order, states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine import Restorer, load_bundle
from keeprt.engine.bundle.load import Bundle
from tests.cuda_driver.engines import CALLBACK, driver
from tests.cuda_driver.session import ON_DRIVER
from tests.engine.devices.cuda.conftest import Card
from tests.networks import faces

torch = pytest.importorskip("torch")
pytestmark = ON_DRIVER

WINDOW = 3


def torch_engines(bundle: Bundle, network: Any) -> Any:
    """The engines with each run as a host function on the driver's stream."""
    from keeprt.benchmarks.torch_engines import TorchEngines

    class OnDriver(TorchEngines):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.errors: list[str] = []
            self.kept: list[Any] = []

        def bind(self, subgraph: str, addresses: Mapping[str, int], axes: Mapping[str, int]) -> Any:
            run = super().bind(subgraph, addresses, axes)

            def work(_: object) -> None:
                try:
                    run(0)
                except Exception as error:
                    self.errors.append(repr(error))

            callback = CALLBACK(work)
            self.kept.append(callback)

            def put(stream: int) -> None:
                assert driver().cuLaunchHostFunc(stream, callback, None) == 0

            return put

    return OnDriver(bundle, network, "cpu")


class Host:
    """The same modules on the host's arrays."""

    def __init__(self, bundle: Bundle, network: Any) -> None:
        from keeprt.benchmarks.torch_engines import TorchEngines

        self.bundle, self.engines = bundle, TorchEngines(bundle, network, "cpu")

    def bind(
        self, subgraph: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]
    ) -> Callable[[], None]:
        spec = self.bundle.subgraphs[subgraph]
        given, made = (
            [torch.from_numpy(arrays[tensor.name]) for tensor in tensors]
            for arrays, tensors in ((inputs, spec.inputs), (outputs, spec.outputs))
        )
        work: Callable[[], None] = self.engines.work(subgraph, given, made)
        return work


def flown(restorer: Restorer, videos: list[list[Any]]) -> list[Any]:
    states, found = [restorer.new_state() for _ in videos], []
    for index, pair in enumerate(zip(*videos, strict=True)):
        if index == 4:
            states[0] = states[0].reset()
        states = restorer.submit(pair, states)
        if index:
            found += restorer.collect()
    return [*found, *restorer.collect()]


@pytest.mark.parametrize("eager", [False, True])
def test_frames_are_those_of_the_modules_on_the_host(
    card: Card, tiny_bundle: Path, tiny: Any, eager: bool
) -> None:
    torch.set_num_threads(1)
    bundle, videos = load_bundle(tiny_bundle), [faces(6, seed=1), faces(6, seed=2)]
    engines = torch_engines(bundle, tiny)
    on_card = Restorer(bundle, engines, window=WINDOW, max_faces=2, eager=eager)
    host = Restorer(bundle, Host(bundle, tiny), window=WINDOW, max_faces=2)
    on_card.warm_up()
    for picture, right in zip(flown(on_card, videos), flown(host, videos), strict=True):
        np.testing.assert_array_equal(picture, right)
    assert engines.errors == [] and (card.launches > 0) == (not eager)
    on_card.close()


def test_the_rival_of_graphs_gives_the_engine_s_frames(
    card: Card, tiny_bundle: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same modules on the host beside it; two frames in flight as the scenario asks."""
    from keeprt.benchmarks.bench.rivals.contenders import Case, pictures_for
    from keeprt.benchmarks.bench.rivals.torch_frames import TorchFrames

    torch.set_num_threads(1)
    bundle, case = load_bundle(tiny_bundle), Case("stream", 1, WINDOW, 4, 1)
    engines, clip = torch_engines(bundle, tiny), faces(5)
    monkeypatch.setattr(TorchFrames, "engines", lambda *_: engines)
    host = Restorer(bundle, Host(bundle, tiny), window=WINDOW)
    rival, state = TorchFrames(tiny_bundle, case, weights="synthetic:3"), host.new_state()
    rival.load()
    captured = card.captures
    states = [rival._restorer.new_state()]
    for index in range(WINDOW + 2):
        pictures = pictures_for(case, clip, index)
        found, states = rival._restorer.restore(pictures, states)
        expected, state = host.restore(pictures[0], state)
        np.testing.assert_array_equal(found[0], expected)
    rival.first(pictures_for(case, clip, 0))
    rival.settle(pictures_for(case, clip, 1))
    assert rival.call(pictures_for(case, clip, 2)).keys() == {"card"}
    assert engines.errors == [] and 0 < captured == card.captures
    rival._restorer.close()
