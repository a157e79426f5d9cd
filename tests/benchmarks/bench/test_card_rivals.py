"""Rivals where the engine runs: which there are, what each is made with, and a line where one
cannot run. No card is here: what only a card can show is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from keeprt.benchmarks.bench import run as run_module
from keeprt.benchmarks.bench.hardware.rates import Rates
from keeprt.benchmarks.bench.harness import Run, run_case
from keeprt.benchmarks.bench.results import BenchResult, CaseResult, contender_result
from keeprt.benchmarks.bench.rivals.catalogue import RIVALS, check_rivals
from keeprt.benchmarks.bench.rivals.contenders import (
    Case,
    ContenderError,
    EngineContender,
    pictures_for,
)
from keeprt.benchmarks.bench.rivals.plain_onnx import PlainOnnx
from keeprt.benchmarks.bench.rivals.reference import ReferenceContender
from keeprt.benchmarks.bench.rivals.torch_card import mark, seconds_of
from keeprt.benchmarks.bench.rivals.torch_frames import TorchFrames
from keeprt.benchmarks.bench.rivals.worker import ContenderSpec, Local, Sample
from keeprt.benchmarks.bench.run import Lengths, Options, lengths_of, specs_of
from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.cli.options.states import BY_TORCH
from keeprt.engine.errors import UsageError
from keeprt.engine.libraries.onnxruntime.providers import PROVIDERS, on_device
from keeprt.engine.restorer import Restorer
from tests.benchmarks.bench.test_command import bench  # noqa: F401
from tests.networks import faces

CASE = Case("stream", 1, 3, 4, 1)
CUDA = PROVIDERS["cuda"].ort_name


def made(name: str, **where: Any) -> Any:
    return ContenderSpec(name, Path("b"), CASE, "synthetic:3", **where).make()


def test_rivals_run_where_the_engine_does() -> None:
    assert made("eager").device == made("compile").device == "cpu"
    assert made("onnxruntime").device is None
    for where in ({"backend": "rtx", "device": 1}, {"provider": "cuda", "device": 1}):
        assert made("eager", **where).device == "cuda:1" and not made("eager", **where).half
        half = made("compile-half", **where)
        assert (half.device, half.half, half.compiled) == ("cuda:1", True, True)
        assert made("onnxruntime", **where).device == 1
        frames = made("graphs-half", **where)
        assert (frames.device, frames.half, frames.weights) == (1, True, "synthetic:3")
        assert made("keeprt", **where).device == 1


def test_every_spec_of_a_run_knows_the_card(tiny_bundle: Path) -> None:
    asked = Options(tiny_bundle, rivals=("eager", "graphs"), backend="rtx", device=2)
    specs = specs_of(asked, load_bundle(tiny_bundle), CASE)
    assert {spec.card for spec in specs} == {2} and len(specs) == 5


def test_the_engine_is_loaded_on_that_card(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(Restorer, "load", lambda *given, **how: asked.update(how))
    EngineContender(Path(), CASE, "rtx", device=3).load()
    assert asked["device"] == 3


def test_what_needs_a_card_is_refused_without_one(
    bench: Callable[..., tuple[int, str, str]],  # noqa: F811
    tiny_bundle: Path,
) -> None:
    for name, rival in RIVALS.items():
        check_rivals([name], on_card=True)
        assert rival.needs_weights == name.startswith(BY_TORCH)
        if rival.needs_card:
            with pytest.raises(UsageError, match=f"'{name}' runs on a card only"):
                check_rivals([name], on_card=False)
        else:
            check_rivals([name], on_card=False)
    code, _, errors = bench(tiny_bundle, "--rivals", "eager-half")
    assert code == 2 and "the rival 'eager-half' runs on a card only" in errors


def test_the_command_hands_the_card_s_number_on(
    bench: Callable[..., tuple[int, str, str]],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(options: Options, *_: object) -> None:
        raise UsageError(f"card {options.device} of {options.backend}")

    monkeypatch.setattr(run_module, "run_bench", refuse)
    code, _, errors = bench("bundle", "--backend", "rtx", "--device", 1)
    assert code == 2 and "card 1 of rtx" in errors


def rows(bundle: Path, case: Case, make: Callable[[], Any]) -> list[Any]:
    """A run of the engine beside one rival."""
    makers = {
        "keeprt": partial(Local, lambda: EngineContender(bundle, case)),
        "rival": partial(Local, make),
    }
    return run_case(case, makers, faces(4), rounds=1, calls=1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda bundle: PlainOnnx(bundle, CASE, 0), f"this ONNX Runtime has no {CUDA}: "),
        (
            lambda bundle: ReferenceContender(bundle, "synthetic:3", CASE, device="cuda:0"),
            r"PyTorch \S+ finds no card",
        ),
        (
            lambda bundle: TorchFrames(bundle, CASE, weights="synthetic:3"),
            r"PyTorch \S+ finds no card",
        ),
        (
            lambda bundle: TorchFrames(bundle, Case("clip", 1, 3, 4, 1)),
            "runs stream mode only, not clip",
        ),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="a card is here")
def test_a_rival_that_cannot_run_says_so_in_a_row_and_the_run_goes_on(
    tiny_bundle: Path, make: Callable[[Path], Any], said: str
) -> None:
    ours, rival = rows(tiny_bundle, CASE, lambda: make(tiny_bundle))
    assert ours.rounds and not ours.failure and not rival.rounds
    with pytest.raises(ContenderError, match=f"^{said}[^\n]*$"):
        raise ContenderError(rival.failure)


class Session:
    """In place of ONNX Runtime's: what it was asked for, and what it says that it runs on."""

    found = CUDA
    asked: Any = None

    def __init__(self, file: str, options: Any, providers: Sequence[Any]) -> None:
        Session.asked = providers

    def get_providers(self) -> list[str]:
        return [self.found, "CPUExecutionProvider"]


def test_plain_sessions_run_on_the_card_or_say_that_they_do_not(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime itself goes on on the processor, in silence."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    PlainOnnx(tiny_bundle, CASE, 1).load()
    assert Session.asked == [(CUDA, {"device_id": "1"})]
    monkeypatch.setattr(Session, "found", "CPUExecutionProvider")
    with pytest.raises(ContenderError, match=f"ONNX Runtime did not start {CUDA} for "):
        PlainOnnx(tiny_bundle, CASE, 1).load()


def test_a_provider_s_sessions_lie_on_the_card_that_was_asked_for() -> None:
    assert on_device(PROVIDERS["cuda"], 0) is PROVIDERS["cuda"]
    assert on_device(PROVIDERS["cuda"], 2).options == {"use_tf32": "0", "device_id": "2"}
    for name in ("cpu", "rtx"):
        with pytest.raises(UsageError, match="takes no number of a card"):
            on_device(PROVIDERS[name], 1)


def test_half_computes_in_float16_and_gives_float32_pictures(tiny_bundle: Path) -> None:
    found: list[torch.Tensor] = []
    for half in (False, True):
        contender = ReferenceContender(tiny_bundle, "synthetic:3", CASE, half=half)
        contender.load()
        contender.first(pictures_for(CASE, faces(4), 0))
        contender._network.encoder.register_forward_hook(
            lambda module, given, out: found.append(out[0])
        )
        stages = contender.call(pictures_for(CASE, faces(4), 1))
        assert contender.pictures[0].dtype == np.uint8
        assert all(seconds > 0 for seconds in stages.values())
    exact, rounded = found
    assert (exact.dtype, rounded.dtype) == (torch.float32, torch.float16)
    apart = torch.linalg.norm(exact - rounded.float()) / torch.linalg.norm(exact)
    assert 0 < apart < 0.05


def test_stages_are_what_lies_between_marks() -> None:
    class Event:
        def __init__(self, ms: float) -> None:
            self.ms = ms

        def elapsed_time(self, end: Event) -> float:
            return end.ms - self.ms

    spans = [("flow", Event(1), Event(3)), ("decoder", Event(3), Event(7)),
             ("flow", Event(7), Event(8))]  # fmt: skip
    zeros = {"flow": 0.0, "decoder": 0.0, "warp": 0.0}
    assert seconds_of(spans, zeros) == {"flow": 0.003, "decoder": 0.004, "warp": 0.0}
    assert seconds_of([("flow", 1.0, 1.5)], zeros)["flow"] == 0.5
    assert isinstance(mark("cpu"), float)


def test_a_card_is_measured_for_a_thousand_frames_and_a_minute_unless_asked_otherwise() -> None:
    clip, cold = Case("clip", 1, 3, 20), Case("stream", 1, 3, 20, scenario="cold")
    for options, case, expected in (
        (Options(Path()), CASE, Lengths(3, 4)),
        (Options(Path(), rounds=5), clip, Lengths(5, 1)),
        (Options(Path(), backend="rtx"), CASE, Lengths(10, 100, 60.0, 200)),
        (Options(Path(), provider="cuda"), clip, Lengths(50, 1, 60.0)),
        (Options(Path(), backend="rtx", frames=30), CASE, Lengths(34, 30, 0.0, 200)),
        (Options(Path(), backend="rtx", rounds=2), CASE, Lengths(2, 100, 0.0, 200)),
        (Options(Path(), backend="rtx"), cold, Lengths(3, 4)),
    ):
        assert lengths_of(options, case) == expected


def test_a_contender_that_was_not_steady_is_a_warning() -> None:
    samples = [Sample(0.1, {}, 1, prepared=count) for count in (0, 2, 1)]
    found = contender_result(Run("keeprt", rounds=[samples]), CASE, {}, Rates(1, 1))
    case = CaseResult(CASE, Rates(1, 1), (), (found,))
    (warning,) = BenchResult({}, {}, "", Rates(1, 1), (case,)).warnings
    assert warning == (
        "stream, 1 face: keeprt was not steady: in timed calls 3 contexts were made or graphs "
        "captured"
    )


def test_a_contender_settles_until_nothing_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls in a row, for frames take turns between two sets of buffers."""
    contender = EngineContender(Path(), CASE)
    after = iter([3, 5, 5, 6, 6, 6, 7])
    contender._restorer = SimpleNamespace(prepared=1)  # type: ignore[assignment]

    def call(pictures: object) -> dict[str, float]:
        contender._restorer.prepared = next(after)  # type: ignore[misc]
        return {}

    monkeypatch.setattr(contender, "call", call)
    contender._until_prepared([])
    assert next(after) == 7
