"""Where faces are found: by a plan, by ONNX Runtime on the card, or on the host."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from keeprt.engine.archive.recipe import Recipe, recipe_hash
from keeprt.engine.cli import restore as command
from keeprt.engine.devices.cuda.driver import Card, has_card
from keeprt.engine.errors import BackendError, FaceError
from keeprt.engine.faces.centerface import CenterFace
from keeprt.engine.libraries.tensorrt import detector, run
from keeprt.engine.live.restoring import worker
from keeprt.engine.pipeline import RestoreOptions, looking
from keeprt.engine.pipeline.loading import plans_of, warn_once
from keeprt.engine.pipeline.options import Plans

pytest.importorskip("onnxruntime")
without_card = pytest.mark.skipif(has_card(), reason="this machine has a card")


def asked(folder: Path, **changes: Any) -> RestoreOptions:
    return RestoreOptions(card=1, plans=Plans(folder, "rtx"), **changes)


@without_card
def test_every_reason_for_the_host_is_said_in_one_sentence_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="needs keeprt[rtx]")
    for place in (detector, run):
        monkeypatch.setattr(place, "require_card", lambda i: Card(i, "Test Card", "sm89", 1 << 34))
    warn_once.cache_clear()
    with caplog.at_level(logging.WARNING, "keeprt"):
        for _ in range(2):
            looking.load_detector(asked(tmp_path))
    (said,) = caplog.messages
    assert said.startswith(f"faces are found on the host: {tmp_path / 'plans'} has no plan of det")
    first, then = said.split("; then: ")
    assert f"run `keeprt build {tmp_path} --flavor rtx --target sm89 --faces 1,1,1 " in first
    assert then.startswith("this ONNX Runtime has no CUDAExecutionProvider")


def test_a_detector_that_was_opened_before_is_not_said_to_be_on_the_host(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The command `restore` opens it on the card, and hands it on."""
    warn_once.cache_clear()
    with caplog.at_level(logging.WARNING, "keeprt"):
        assert looking.load_detector(asked(tmp_path, detector=(mine := CenterFace()))) is mine
    assert not caplog.messages


def refused(graph: bytes, **how: Any) -> Any:
    raise BackendError("refused")


def test_the_plan_is_taken_before_onnx_runtime_and_that_before_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Openers that note how they are called, and open on the host."""
    opened: list[tuple[str, dict[str, Any]]] = []
    host = CenterFace()._session
    for name in ("session_on_card", "session_by_plan"):

        def opener(graph: bytes, name: str = name, **how: Any) -> Any:
            opened.append((name, how))
            return host

        monkeypatch.setattr(looking, name, opener)
    where = {"bundle": tmp_path, "flavour": "rtx", "side": 320, "device": 1, "model": None}
    assert looking.open_detector(asked(tmp_path, detect_side=320))[1] == ""
    assert opened == [("session_by_plan", where)]
    assert looking.open_detector(RestoreOptions(card=1))[1] == ""
    assert opened[1:] == [("session_on_card", {"device": 1})]
    monkeypatch.setattr(looking, "session_by_plan", refused)
    assert looking.open_detector(asked(tmp_path))[1] == ""
    assert opened[2:] == [("session_on_card", {"device": 1})]
    monkeypatch.setattr(looking, "session_on_card", refused)
    assert looking.open_detector(asked(tmp_path))[1] == "refused; then: refused"
    plans_alone = RestoreOptions(plans=Plans(tmp_path, "rtx"))
    assert looking.open_detector(plans_alone)[1] == "no card was asked for"
    assert len(opened) == 3


def test_a_file_that_is_no_detector_is_an_error_and_no_reason_for_the_host(tmp_path: Path) -> None:
    file = tmp_path / "mine.onnx"
    file.write_bytes(b"no graph")
    with pytest.raises(FaceError, match="not an ONNX model"):
        looking.open_detector(asked(tmp_path, detector=file))


def test_a_network_of_plans_finds_faces_by_one(tmp_path: Path) -> None:
    assert plans_of("b", {"backend": "tensorrt"}) == Plans(Path("b"), "tensorrt")
    assert plans_of(None, {"backend": "rtx"}) is plans_of("b", {"provider": "cuda"}) is None
    how = {"backend": "rtx", "device": 1}
    options = Recipe("b", how, {}).restore_options()
    assert (options.card, options.plans) == (1, Plans(Path("b"), "rtx"))
    same = [recipe_hash(None, how, one) for one in (options, RestoreOptions())]
    assert same[0] == same[1], "where faces are found does not change what an output is"


class SeenError(Exception):
    """What was looked for has been seen."""


def test_the_commands_hand_it_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[RestoreOptions] = []

    def see(*given: Any) -> Any:
        seen.extend(one for one in given if isinstance(one, RestoreOptions))
        raise SeenError

    monkeypatch.setattr(command, "_restore", see)
    for bypass in (False, True):
        with pytest.raises(SeenError):
            command.restore("in", tmp_path, bundle=Path("b"), backend="rtx", bypass=bypass)
    assert [one.plans for one in seen] == [Plans(Path("b"), "rtx"), None]
    monkeypatch.setattr(worker, "load_network", lambda start: object())
    monkeypatch.setattr(worker, "load_detector", see)
    monkeypatch.setattr(worker, "Buffers", lambda *given: None)
    options = worker_options(bundle="b", backend="rtx", device=1)
    with pytest.raises(SeenError):
        worker.Worker(Any, options)  # type: ignore[arg-type]
    assert (seen[2].plans, seen[2].card) == (Plans(Path("b"), "rtx"), 1)


def worker_options(**how: Any) -> Any:
    from keeprt.engine.live.options import LiveOptions
    from keeprt.engine.live.restoring.messages import Start

    return Start(LiveOptions("", "", **how), None, 0, 0)  # type: ignore[arg-type]
