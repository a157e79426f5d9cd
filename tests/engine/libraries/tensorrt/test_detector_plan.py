"""The detector's plan, by the real builder: its name, its layers, and when it is found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import onnx
import pytest

from keeprt.engine.devices.cuda.driver import Card
from keeprt.engine.errors import BackendError, FaceError
from keeprt.engine.faces.centerface import MODEL, CenterFace
from keeprt.engine.libraries.tensorrt import detector as module
from keeprt.engine.libraries.tensorrt import run as running
from keeprt.engine.libraries.tensorrt.build_all import Listener, Made, build_plans
from keeprt.engine.libraries.tensorrt.checks import check_network
from keeprt.engine.libraries.tensorrt.detector import (
    SIZES,
    DetectorSession,
    detector_of,
    session_by_plan,
)
from keeprt.engine.libraries.tensorrt.plan_store import FOLDER, Profile
from tests.engine.libraries.tensorrt.plans import request
from tests.gpu import REASON

trt = pytest.importorskip("tensorrt_rtx", reason="needs keeprt[rtx]")

AS_BUILT = "--faces 1,1,4 --frames 2,8,8 --selected 1,1,1"


def built(folder: Path, *targets: str, model: Path | None = None, **changes) -> Made:
    """The plan beside the bundle in a folder."""
    (made,) = build_plans(detector_of(model, folder), request(*targets, profile=SIZES, **changes))
    return made


def other_file(folder: Path) -> Path:
    """A detector of the user's: the same network but for one weight."""
    model = onnx.load(MODEL)
    weights = next(w for w in model.graph.initializer if len(w.dims) == 4)
    values = onnx.numpy_helper.to_array(weights).copy()
    values.flat[0] += 0.5
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    onnx.save(model, folder / "mine.onnx")
    return folder / "mine.onnx"


def card(monkeypatch: pytest.MonkeyPatch, target: str = "sm89") -> None:
    """As if there were a card: what is found for it is read on a machine without one."""
    for place in (module, running):
        found = Card(0, "Test Card", target, 1 << 34)
        monkeypatch.setattr(place, "require_card", lambda index, found=found: found)


def opened(folder: Path, model: Path | None = None, side: int = 640) -> CenterFace:
    def opener(graph: bytes) -> object:
        return session_by_plan(graph, bundle=folder, flavour="rtx", side=side, model=model)

    return CenterFace(model, opener=opener)


def test_it_is_built_once_under_a_name_that_spells_all_of_it(tmp_path: Path) -> None:
    made = built(tmp_path)
    sha256 = detector_of(None, tmp_path).spec.sha256[:16]
    assert made.file == tmp_path / FOLDER / (
        f"detector.fp32.rtx-{trt.__version__}.sm89.pictures1-1-1.height32-384-640.width32-640-640."
        f"tf32off-userallocation.{sha256}.plan"
    )
    layers = made.note.layers
    assert layers["CONVOLUTION FLOAT"] == 60 and made.note.casts == 0
    assert {kind.split()[1] for kind in layers} == {"FLOAT"}
    assert made.note.size_bytes > made.note.weights_bytes > 7e6
    again = built(tmp_path)
    assert again.cached and again.note == made.note


def test_a_damaged_one_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, said = built(tmp_path), list[str]()
    content = bytearray(made.file.read_bytes())
    content[1000] ^= 1
    made.file.write_bytes(content)
    card(monkeypatch)
    with pytest.raises(BackendError, match="was edited or damaged: its SHA-256 differs"):
        opened(tmp_path)
    graph = detector_of(None, tmp_path)
    (again,) = build_plans(graph, request(profile=SIZES), None, Listener(notify=said.append))
    assert not again.cached and "building it again" in said[0]


def test_the_builder_s_borders_are_those_of_the_file(tmp_path: Path) -> None:
    graph = detector_of(None, tmp_path)
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
    assert parser.parse(graph.content)
    assert len(check_network(network, "detector", graph.spec, graph.precision)) > 100
    assert [t.sized(**{a: s[2] for a, s in SIZES.axes().items()}) for t in graph.spec.outputs] == [
        (1, channels, 160, 160) for channels in (1, 2, 2, 10)
    ]


@pytest.mark.parametrize("portable", [False, True])
def test_it_is_found_up_to_where_a_driver_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portable: bool
) -> None:
    def none(device: int) -> None:
        raise RuntimeError("here a driver is needed\nindeed")

    targets = ("sm86", "sm89") if portable else ("sm89",)
    built(tmp_path, *targets, portable=portable)
    card(monkeypatch)
    monkeypatch.setattr(running, "CudaCalls", none)
    with pytest.raises(BackendError) as error:
        opened(tmp_path)
    assert str(error.value) == "the detector's plan does not load: here a driver is needed"


def test_it_is_tried_at_once_so_that_one_that_does_not_run_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card(monkeypatch)
    plan = Mock(spec=running.TensorRtBackend)
    monkeypatch.setattr(module, "TensorRtBackend", lambda *given, **how: plan)
    opened(tmp_path)
    pictures = [call.args[1]["input.1"].shape for call in plan.run.call_args_list]
    assert pictures == [(1, 3, 384, 640), (1, 3, 160, 160)]
    plan.run.side_effect = BackendError("TensorRT refused to run detector")
    with pytest.raises(BackendError, match="refused to run"):
        opened(tmp_path)
    plan.close.assert_called()


def test_what_a_lost_card_does_not_take_back_is_no_second_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    plan = Mock(spec=running.TensorRtBackend)
    plan.close.side_effect = BackendError("CUDA: cuMemFree says CUDA_ERROR_ILLEGAL_ADDRESS")
    monkeypatch.setattr("sys.unraisablehook", told.append)
    DetectorSession(plan, detector_of(None, tmp_path).spec)
    plan.close.assert_called_once()
    assert not told


def test_without_one_the_command_is_said_that_leaves_the_bundle_s_plans_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card(monkeypatch)
    with pytest.raises(BackendError, match=r"has no plan of detector; run `keeprt build .* --ta"):
        opened(tmp_path)
    (tmp_path / FOLDER).mkdir()
    name = f"gain_net.fp32.rtx-{trt.__version__}.sm89.faces1-1-4.frames2-8-8.selected1-1-1.x.y.plan"
    (tmp_path / FOLDER / name).touch()
    with pytest.raises(BackendError) as error:
        opened(tmp_path)
    command = f"keeprt build {tmp_path} --flavor rtx --target sm89 {AS_BUILT}"
    assert str(error.value).endswith(f"has no plan of detector; run `{command}`")
    (tmp_path / FOLDER / name).rename(tmp_path / FOLDER / name.replace("sm89", "sm86+sm89"))
    with pytest.raises(BackendError) as error:
        opened(tmp_path)
    command = command.replace("sm89", "sm86,sm89") + " --portable"
    assert str(error.value).endswith(f"has no plan of detector; run `{command}`")


def test_one_of_another_card_or_file_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = other_file(tmp_path)
    built(tmp_path, model=mine)
    card(monkeypatch, "sm86")
    with pytest.raises(BackendError, match="is for sm89, this card is sm86"):
        opened(tmp_path, mine)
    card(monkeypatch)
    with pytest.raises(BackendError, match=r"was built from another graph .*selected 1,1,1`$"):
        opened(tmp_path)
    with pytest.raises(BackendError, match="the detector's plan does not load"), no_driver():
        opened(tmp_path, mine)
    built(tmp_path)
    (tmp_path / FOLDER / built(tmp_path, model=mine).file.name).unlink()
    with pytest.raises(BackendError, match=f"another graph .* --detector {mine}`$"):
        opened(tmp_path, mine)


@contextlib.contextmanager
def no_driver() -> Iterator[None]:
    if not REASON:
        pytest.skip("this machine has a driver")
    yield


@pytest.mark.parametrize("side", [641, 1280])
def test_larger_pictures_than_it_was_built_for_are_refused(tmp_path: Path, side: int) -> None:
    with pytest.raises(BackendError, match=f"up to 640 pixels a side, not of {side} "):
        opened(tmp_path, side=side)


def test_other_types_than_float32_are_refused_before_any_work(tmp_path: Path) -> None:
    model = onnx.load(MODEL)
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, tmp_path / "half.onnx")
    with pytest.raises(BackendError, match=r"537 of half\.onnx is no float32"):
        detector_of(tmp_path / "half.onnx", tmp_path)
    with pytest.raises(BackendError, match=r"537 of half\.onnx is no float32"):
        opened(tmp_path, tmp_path / "half.onnx")


def test_a_file_that_is_no_detector_is_refused(one) -> None:
    with pytest.raises(FaceError, match="this ONNX file is no CenterFace"):
        detector_of(one.file("flow_features"), one.path)


@pytest.mark.gpu
@pytest.mark.skipif(bool(REASON), reason=REASON)
def test_on_a_card_it_says_what_onnx_runtime_says(tmp_path: Path) -> None:
    build_plans(detector_of(None, tmp_path), request(profile=SIZES, targets=()))
    there, here = opened(tmp_path), CenterFace()
    for rows, columns in ((5, 5), (12, 20), (20, 20), (1, 1)):
        noise = np.random.default_rng(0).uniform(0, 255, (1, 3, rows, columns))
        picture = noise.astype(np.float32).repeat(32, axis=2).repeat(32, axis=3)
        for ours, theirs in zip(there.maps(picture), here.maps(picture), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-2)


def test_sizes_and_cards_of_plans_are_read_off_their_names(tmp_path: Path) -> None:
    from keeprt.engine.libraries.tensorrt.choice import built_for

    names = (
        "gain_net.fp32.rtx-1.0.sm86.faces1-1-2.frames2-4-4.selected1-1-1.o.h.plan",
        "gain_net.fp32.rtx-1.0.another.plan",
        "gain_net.fp32.rtx-1.0.sm80+sm120.faces1-1-3.frames2-8-8.selected1-1-1.o.h.plan",
    )
    for name in names:
        (tmp_path / name).touch()
    assert built_for(tmp_path, "rtx", "1.0", "sm86") == (Profile((1, 1, 2), (2, 4, 4)), ("sm86",))
    both = (Profile((1, 1, 3)), ("sm80", "sm120"))
    assert [built_for(tmp_path, "rtx", "1.0", one) for one in ("sm80", "sm120")] == [both, both]
    for flavour, version, target in (("rtx", "1.1", "sm86"), ("rtx", "1.0", "sm12")):
        assert built_for(tmp_path, flavour, version, target) == (Profile(), (target,))
