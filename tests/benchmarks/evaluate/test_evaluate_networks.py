"""LPIPS, IDS and AKD by ONNX files of known arithmetic; contracts, deviations over time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from keeprt.benchmarks.evaluate.measure import AKD, IDS, NOT_GIVEN, SIGMA_AKD, SIGMA_IDS, averages
from keeprt.benchmarks.evaluate.networks import (
    ARCFACE_TEMPLATE,
    COMMON_OPTIONS,
    IDENTITY_OPTIONS,
    LANDMARK_OPTIONS,
    arcface_crop,
    identity_measure,
    landmarks_measure,
    lpips_measure,
)
from keeprt.benchmarks.evaluate.onnx_file import OnnxNetwork, parse_file
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.faces.alignment import TEMPLATE
from tests.networks import faces

pytest.importorskip("onnx")

SIZE = 128
OPTIONS = {"lpips": COMMON_OPTIONS, "identity": IDENTITY_OPTIONS, "landmarks": LANDMARK_OPTIONS}
MEASURES = {
    "lpips": lpips_measure,
    "identity": identity_measure,
    "landmarks": landmarks_measure,
}


def load(kind: str, text: Any) -> Any:
    network = OnnxNetwork(parse_file(str(text), OPTIONS[kind]))
    return MEASURES[kind](network, SIZE)  # type: ignore[operator]


def measured(measure: Any, sharp: list[np.ndarray], restored: list[np.ndarray]) -> list[float]:
    return measure.values(measure.prepare(sharp), restored)


@pytest.fixture
def lpips_file(save_onnx: Any) -> Path:
    """The mean absolute difference of its inputs."""
    return save_onnx(
        "lpips",
        [
            ("Sub", ["a", "b"], ["d"], {}),
            ("Abs", ["d"], ["m"], {}),
            ("ReduceMean", ["m", "axes"], ["y"], {"keepdims": 1}),
        ],
        {"a": ["n", 3, "h", "w"], "b": ["n", 3, "h", "w"]},
        {"y": ["n", 1, 1, 1]},
        {"axes": np.array([1, 2, 3])},
    )


@pytest.fixture
def mean_colour(save_onnx: Any) -> Path:
    """An embedding of three numbers: the mean of each channel."""
    return save_onnx(
        "embedding",
        [("ReduceMean", ["x", "axes"], ["y"], {"keepdims": 0})],
        {"x": ["n", 3, 112, 112]},
        {"y": ["n", 3]},
        {"axes": np.array([2, 3])},
    )


@pytest.fixture
def brightness_points(save_onnx: Any) -> Path:
    """Two landmarks, (r, g) and (b, r), of the mean colour in pixels of a 64-pixel input."""
    return save_onnx(
        "landmarks",
        [
            ("ReduceMean", ["x", "axes"], ["m"], {"keepdims": 0}),
            ("Gather", ["m", "order"], ["y"], {"axis": 1}),
        ],
        {"x": [1, 3, 64, 64]},
        {"y": [1, 4]},
        {"axes": np.array([2, 3]), "order": np.array([0, 1, 2, 0])},
    )


def plain(*colour: int) -> np.ndarray:
    return np.full((SIZE, SIZE, 3), colour, np.uint8)


def test_lpips_is_what_the_network_says_of_both_pictures(lpips_file: Path) -> None:
    sharp, restored = faces(3), faces(3, seed=1)
    expected = [np.abs(a.astype(float) - b).mean() / 127.5
                for a, b in zip(sharp, restored, strict=True)]  # fmt: skip
    np.testing.assert_allclose(measured(load("lpips", lpips_file), sharp, restored), expected, 1e-4)
    unit = measured(load("lpips", f"{lpips_file},range=0..1"), sharp, restored)
    np.testing.assert_allclose(unit, np.array(expected) / 2, 1e-4)


def test_identity_is_the_cosine_of_the_embeddings(mean_colour: Path) -> None:
    sharp, restored = [plain(255, 0, 0)] * 3, [plain(255, 0, 0), plain(0, 255, 0), plain(9, 9, 9)]
    measure = load("identity", f"{mean_colour},range=0..1")
    expected = [1, 0, 1 / np.sqrt(3)]
    values = measured(measure, sharp, restored)
    np.testing.assert_allclose(values, expected, atol=1e-6)
    figures = averages(measure, values)  # type: ignore[arg-type]
    assert figures[IDS.key] == pytest.approx(np.mean(expected), abs=1e-6)
    assert figures[SIGMA_IDS.key] == pytest.approx(np.std(expected), abs=1e-6)


def test_channel_order_is_that_asked_for(save_onnx: Any) -> None:
    """The embedding is (first channel, 1): its angle to (1, 1) tells which came first."""
    file = save_onnx(
        "first",
        [
            ("ReduceMean", ["x", "axes"], ["m"], {"keepdims": 0}),
            ("Gather", ["m", "zero"], ["f"], {"axis": 1}),
            ("Concat", ["f", "one"], ["y"], {"axis": 1}),
        ],
        {"x": [1, 3, 112, 112]},
        {"y": [1, 2]},
        {"axes": np.array([2, 3]), "zero": np.array([0]), "one": np.ones((1, 1), np.float32)},
    )
    sharp, red = [plain(255, 255, 255)], [plain(255, 0, 0)]
    rgb = measured(load("identity", f"{file},range=0..1"), sharp, red)[0]
    bgr = measured(load("identity", f"{file},range=0..1,order=bgr"), sharp, red)[0]
    assert rgb == pytest.approx(1, abs=1e-6) and bgr == pytest.approx(1 / np.sqrt(2), abs=1e-6)


def test_arcface_crop_lays_the_template_on_arcfaces() -> None:
    """Bright spots at the template's points arrive where the best similarity takes them."""
    transform = pytest.importorskip("skimage.transform")
    best = transform.SimilarityTransform.from_estimate(TEMPLATE, ARCFACE_TEMPLATE)
    # the two templates are not of one shape, so a pixel or two is left
    assert np.linalg.norm(best(TEMPLATE) - ARCFACE_TEMPLATE, axis=1).mean() < 2
    for size in (512, 128):
        face = np.zeros((size, size, 3), np.uint8)
        spots = [np.round(TEMPLATE[point] * size / 512).astype(int) for point in (0, 2, 4)]
        for channel, (x, y) in enumerate(spots):
            spot = cv2.circle(
                np.zeros((size, size), np.uint8), (int(x), int(y)), size // 40, 255, -1
            )
            face[..., channel] = spot
        crop = arcface_crop(face, 112).astype(float)
        assert crop.shape == (112, 112, 3)
        for channel, spot in enumerate(spots):
            weight = crop[..., channel] / crop[..., channel].sum()
            centre = [(weight * grid).sum() for grid in np.mgrid[:112, :112][::-1]]
            np.testing.assert_allclose(centre, best(spot * 512 / size)[0], atol=0.3)


def test_whole_crop_shows_the_whole_face(mean_colour: Path) -> None:
    edged = plain(255, 0, 0)
    edged[:, :16] = edged[:, -16:] = (0, 255, 0)
    sharp = [plain(255, 0, 0)]
    whole = measured(load("identity", f"{mean_colour},range=0..1,crop=whole"), sharp, [edged])[0]
    crop = measured(load("identity", f"{mean_colour},range=0..1"), sharp, [edged])[0]
    assert crop == pytest.approx(1, abs=1e-4) and whole == pytest.approx(3 / np.sqrt(10), abs=0.01)


def test_landmark_distance_is_in_pixels_of_the_face(brightness_points: Path) -> None:
    """Points (10, 0) and (0, 10) against (13, 4) and (0, 13), in a picture of half the size."""
    sharp, restored = [plain(10, 0, 0)] * 2, [plain(13, 4, 0), plain(10, 0, 0)]
    measure = load("landmarks", f"{brightness_points},range=0..255")
    values = measured(measure, sharp, restored)
    expected = [2 * np.mean([5, 3]), 0]
    np.testing.assert_allclose(values, expected, atol=1e-4)
    figures = averages(measure, values)  # type: ignore[arg-type]
    assert figures == {
        AKD.key: pytest.approx(4, abs=1e-4),
        SIGMA_AKD.key: pytest.approx(4, abs=1e-4),
    }
    unit = load("landmarks", f"{brightness_points},range=0..1,points=unit")
    np.testing.assert_allclose(
        measured(unit, sharp, restored), [128 / 255 * np.mean([5, 3]), 0], atol=1e-4
    )


def test_without_files_nothing_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for measure in (lpips_measure(None, SIZE), identity_measure(None, SIZE)):
        assert measure.source == NOT_GIVEN and not measure.given
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    measure = landmarks_measure(None, SIZE)
    assert measure.source == NOT_GIVEN and not measure.given


def test_centerface_finds_the_landmarks_by_default() -> None:
    pytest.importorskip("skimage")
    from keeprt.benchmarks.demo_clip import demo_clip

    face = demo_clip(1, size=256).sharp[0]
    moved = np.roll(face, 6, axis=1)
    measure = landmarks_measure(None, 256)
    assert measure.source == "CenterFace, 5 points"
    same, six, none = measured(measure, [face] * 3, [face, moved, np.zeros_like(face)])
    assert same == 0 and six == pytest.approx(6, abs=2) and none is None
    figures = averages(measure, [same, six, none])
    assert figures[AKD.key] == pytest.approx(six / 2)


@pytest.mark.parametrize(
    "dims", [[1, 1, 112, 112], [1, 3, 112, 96], [3, 112, 112], [2, 3, 112, 112]]
)
def test_other_inputs_are_refused(save_onnx: Any, dims: list[int]) -> None:
    file = save_onnx("odd", [("Identity", ["x"], ["y"], {})], {"x": dims}, {"y": dims})
    for kind in OPTIONS:
        with pytest.raises(UsageError, match=r"odd\.onnx does not fit: it has inputs x"):
            load(kind, file)


def test_other_outputs_and_types_are_refused(save_onnx: Any, mean_colour: Path) -> None:
    from onnx import TensorProto

    with pytest.raises(UsageError, match="expected two inputs"):
        load("lpips", mean_colour)
    picture = {"x": [1, 3, 112, 112]}
    same = save_onnx("same", [("Identity", ["x"], ["y"], {})], picture, {"y": [1, 3, 112, 112]})
    for kind in ("identity", "landmarks"):
        with pytest.raises(UsageError, match=r"output \(1, "):
            load(kind, same)
    whole = save_onnx(
        "whole",
        [("Identity", ["x"], ["y"], {})],
        picture,
        {"y": [1, 3, 112, 112]},
        types={"x": TensorProto.INT64, "y": TensorProto.INT64},
    )
    with pytest.raises(UsageError, match="int64"):
        load("identity", whole)


def test_lpips_of_another_size_is_refused(save_onnx: Any) -> None:
    file = save_onnx(
        "small",
        [("Sub", ["a", "b"], ["d"], {}), ("ReduceMean", ["d"], ["y"], {"keepdims": 0})],
        {"a": [1, 3, 64, 64], "b": [1, 3, 64, 64]},
        {"y": []},
    )
    with pytest.raises(UsageError, match="128 x 128, or free"):
        load("lpips", file)


def test_values_that_are_no_numbers_are_errors(save_onnx: Any) -> None:
    file = save_onnx(
        "broken",
        [("Log", ["x"], ["l"], {}), ("ReduceMean", ["l", "axes"], ["y"], {"keepdims": 0})],
        {"x": [1, 3, 112, 112]},
        {"y": [1, 3]},
        {"axes": np.array([2, 3])},
    )
    with pytest.raises(BackendError, match="not finite"):
        measured(load("identity", file), [plain(0, 0, 0)], [plain(0, 0, 0)])


def test_files_and_options_that_are_wrong_are_refused(tmp_path: Path, mean_colour: Path) -> None:
    with pytest.raises(UsageError, match="no such ONNX file"):
        parse_file(str(tmp_path / "none.onnx"), COMMON_OPTIONS)
    text = tmp_path / "text.onnx"
    text.write_text("no network")
    with pytest.raises(UsageError, match="is no network"):
        OnnxNetwork(parse_file(str(text), COMMON_OPTIONS))
    with pytest.raises(UsageError, match="there is no option colour"):
        parse_file(f"{mean_colour},colour=rgb", COMMON_OPTIONS)
    with pytest.raises(UsageError, match=r"range=0\.\.2 is unknown; choose"):
        load("identity", f"{mean_colour},range=0..2")
