"""A detector's session on the driver in host memory, where ONNX Runtime stands in for its plan."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.engine.errors import BackendError
from keeprt.engine.faces.centerface import CenterFace
from keeprt.engine.libraries.tensorrt.calls import CudaCalls
from keeprt.engine.libraries.tensorrt.detector import SIZES, DetectorGraph, DetectorSession
from keeprt.engine.libraries.tensorrt.staging import Arrays, Staging
from keeprt.engine.pipeline import RestoreOptions, looking, restore_video
from keeprt.engine.pipeline.options import Plans
from tests.cuda_driver.engines import CALLBACK, array_at, driver
from tests.cuda_driver.session import ON_DRIVER
from tests.engine.devices.cuda.conftest import Card
from tests.engine.pipeline_clips import one_face, write_clip

pytestmark = ON_DRIVER


class OnStream:
    """What `TensorRtBackend` is to a session: the same staging, and runs that a stream orders."""

    def __init__(self, graph: bytes) -> None:
        import onnxruntime

        self.detector = DetectorGraph(Path("bundle"), graph)
        self._session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self._kept: list[Any] = []
        self.kept = 0
        self.cuda = CudaCalls(0)
        with self.cuda:
            stream = self.cuda.new_stream()
        self.staging = Staging(self.cuda, stream, self.detector.subgraphs, SIZES, self._enqueue)

    def _enqueue(
        self, name: str, addresses: Mapping[str, int], axes: Mapping[str, int], stream: int
    ) -> None:
        spec = self.detector.subgraphs[name]
        memory = {
            t.name: array_at(addresses[t.name], t.sized(**axes), np.float32)
            for t in (*spec.inputs, *spec.outputs)
        }

        def work(_: object) -> None:
            names = [t.name for t in spec.outputs]
            found = self._session.run(names, {t.name: memory[t.name] for t in spec.inputs})
            for name, result in zip(names, found, strict=True):
                memory[name][:] = result

        self._kept.append(CALLBACK(work))
        assert driver().cuLaunchHostFunc(stream, self._kept[-1], None) == 0

    def run(self, subgraph: str, inputs: Arrays, outputs: Arrays) -> None:
        self.staging.run(subgraph, inputs, outputs)

    def warmed(self) -> None:
        self.kept += 1
        raise PermissionError("the plans' folder is for reading")

    def close(self) -> None:
        with self.cuda:
            self.cuda.free_all()


@pytest.fixture
def there() -> tuple[CenterFace, OnStream]:
    opened: list[OnStream] = []

    def opener(graph: bytes) -> DetectorSession:
        opened.append(OnStream(graph))
        return DetectorSession(opened[0], opened[0].detector.spec)

    return CenterFace(opener=opener), opened[0]


def noise(rows: int, columns: int) -> Any:
    small = np.random.default_rng(rows).uniform(0, 255, (1, 3, rows, columns)).astype(np.float32)
    return small.repeat(32, axis=2).repeat(32, axis=3)


def test_maps_of_any_size_come_back_whole_from_any_thread(
    card: Card, there: tuple[CenterFace, OnStream]
) -> None:
    here, sizes = CenterFace(), ((5, 5), (12, 20), (5, 5), (20, 20), (1, 1))
    found: list[Any] = []

    def look() -> None:
        with card.slowly():
            found.extend(there[0].maps(noise(*size)) for size in sizes)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    found.append(there[0].maps(noise(3, 4)))
    for maps, size in zip(found, (*sizes, (3, 4)), strict=True):
        for ours, theirs in zip(maps, here.maps(noise(*size)), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert there[1].kept == 5, "what was compiled is kept after each new size"


def test_a_picture_beyond_the_plan_is_refused_before_it_is_copied(
    card: Card, there: tuple[CenterFace, OnStream]
) -> None:
    before = card.count("cuMemcpyHtoDAsync")
    with pytest.raises(BackendError, match="detector was built for 32 to 640 height, not 672"):
        there[0].maps(noise(21, 20))
    assert card.count("cuMemcpyHtoDAsync") == before


def test_usual_sizes_are_run_before_the_first_picture_comes(
    card: Card, there: tuple[CenterFace, OnStream]
) -> None:
    there[0]._session.try_out([(384, 640), (160, 160)])
    assert there[1].kept == 2
    there[0].maps(noise(12, 20)), there[0].maps(noise(5, 5))
    assert there[1].kept == 2


@pytest.mark.parametrize("ends_well", [True, False])
def test_no_video_keeps_the_detector_s_memory_until_garbage_is_collected(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_well: bool
) -> None:
    """In an archive they would add up."""
    source = write_clip(tmp_path / "in.mp4", one_face(3))
    options = RestoreOptions(card=0, plans=Plans(tmp_path, "rtx"), overwrite=True)
    monkeypatch.setattr(looking, "session_by_plan", lambda graph, **how: opened(graph))
    gc.collect()  # what other tests have left
    before = card.live_bytes

    def on_frame() -> None:
        assert card.live_bytes > before
        if not ends_well:
            raise ZeroDivisionError

    gc.disable()
    try:
        with contextlib.nullcontext() if ends_well else pytest.raises(ZeroDivisionError) as error:
            restore_video(source, tmp_path / "out.mp4", None, options, on_frame)
        assert card.live_bytes == before, error  # whose traceback holds the pipeline
    finally:
        gc.enable()


def opened(graph: bytes) -> DetectorSession:
    plan = OnStream(graph)
    return DetectorSession(plan, plan.detector.spec)


def test_the_memory_of_the_card_goes_back_with_the_session(card: Card) -> None:
    before = card.live_bytes
    for _ in range(3):
        plan: Any = OnStream(CenterFace(opener=lambda graph: graph)._session)
        session: Any = DetectorSession(plan, plan.detector.spec)
        (picture,) = plan.detector.spec.inputs
        session.run([], {picture.name: noise(2, 2)})
        assert card.live_bytes > before
        del session
        assert card.live_bytes == before
    assert card.count("cuStreamDestroy") == 3
