"""Detections, the decoding of CenterFace's maps, the real network."""

from hashlib import sha256
from importlib.resources import files

import cv2
import numpy as np
import pytest
from helpers_faces import face_at
from onnx import TensorProto, helper

from keeprt.engine.errors import FaceError
from keeprt.engine.faces import centerface
from keeprt.engine.faces.centerface import CenterFace, CenterFaceOptions, decode
from keeprt.engine.faces.detection import overlap, scale_detection, suppress_overlaps


def test_overlap():
    box = np.array([0.0, 0, 10, 10])
    assert overlap(box, box) == 1.0
    assert overlap(box, box + 10) == 0.0
    assert overlap(box, np.array([5.0, 0, 15, 10])) == pytest.approx(1 / 3)


def test_of_overlapping_detections_the_best_is_kept():
    found = [
        face_at(100, 100, score=0.6),
        face_at(104, 100, score=0.9),
        face_at(400, 100, score=0.7),
    ]
    assert [d.score for d in suppress_overlaps(found, 0.3)] == [0.9, 0.7]


def test_scaling_keeps_pixel_centres():
    face = scale_detection(face_at(0, 0), 2.0)
    assert face.landmarks.mean(0) == pytest.approx([0.5, 0.5])
    assert face.size == pytest.approx(2 * face_at(0, 0).size)


def maps(height=8, width=10):
    channels = (1, 2, 2, 10)
    return [np.zeros((1, c, height, width), np.float32) for c in channels]


def test_decode_follows_the_layout_of_the_maps():
    """One cell: a box of 40 x 80 pixels about its centre; all maps hold y before x."""
    heat, size, offset, points = maps()
    heat[0, 0, 3, 6] = 0.8
    size[0, :, 3, 6] = np.log([80 / 4, 40 / 4])
    offset[0, :, 3, 6] = [0.25, -0.25]
    points[0, :, 3, 6] = [0.1, 0.2, 0.1, 0.8, 0.5, 0.5, 0.9, 0.3, 0.9, 0.7]
    (face,) = decode(heat, size, offset, points, 0.5)
    centre = np.array([(6 - 0.25 + 0.5) * 4 - 0.5, (3 + 0.25 + 0.5) * 4 - 0.5])
    half = np.array([20, 40])
    np.testing.assert_allclose(face.box, [*(centre - half), *(centre + half)], rtol=1e-6)
    want = centre - half + np.array([[8, 8], [32, 8], [20, 40], [12, 72], [28, 72]])
    np.testing.assert_allclose(face.landmarks, want, rtol=1e-5)
    assert face.score == pytest.approx(0.8)
    assert decode(heat, size, offset, points, 0.81) == []


def test_the_weights_and_their_licence_are_in_the_package():
    found = files("keeprt.engine.faces") / "data"
    assert sha256((found / "centerface.onnx").read_bytes()).hexdigest() == centerface.MODEL_SHA256
    licence = (found / "centerface.LICENSE").read_text("utf-8")
    assert "MIT License" in licence and "Copyright (c)" in licence


def test_a_changed_file_of_the_package_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "centerface.onnx"
    path.write_bytes(centerface.MODEL.read_bytes()[:-1])
    monkeypatch.setattr(centerface, "MODEL", path)
    with pytest.raises(FaceError, match="SHA-256"):
        CenterFace()


def tiny_model(outputs=(1, 2, 2, 10), channels=3):
    """An ONNX file with CenterFace's ports: four 1x1 convolutions of stride 4, fixed input size."""
    nodes, weights, ports = [], [], []
    for n, count in enumerate(outputs):
        weight = np.full((count, channels, 1, 1), 0.001, np.float32)
        weights.append(
            helper.make_tensor(f"w{n}", TensorProto.FLOAT, weight.shape, weight.ravel().tolist())
        )
        nodes.append(helper.make_node("Conv", ["x", f"w{n}"], [f"y{n}"], strides=[4, 4]))
        ports.append(helper.make_tensor_value_info(f"y{n}", TensorProto.FLOAT, [10, count, 8, 8]))
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, [10, channels, 32, 32])
    listed = [
        helper.make_tensor_value_info(w.name, TensorProto.FLOAT, list(w.dims)) for w in weights
    ]
    graph = helper.make_graph(nodes, "tiny", [picture, *listed], ports, weights)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def test_any_file_with_its_ports_runs_at_any_size(tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model())
    detector = CenterFace(path, CenterFaceOptions(min_score=0.2, max_side=64))
    bright = np.full((90, 170, 3), 255, np.uint8)
    found = detector.detect(bright)  # 0.001 * 3 * 255 = 0.765 wherever the picture is
    assert found and found[0].score == pytest.approx(0.765, abs=1e-3)
    assert detector.detect(np.zeros((5, 7, 3), np.uint8)) == []


@pytest.mark.parametrize(
    "model", [tiny_model((1, 2, 2, 4)), tiny_model((1, 4)), tiny_model(channels=1)]
)
def test_a_foreign_model_is_refused_with_its_ports(tmp_path, model):
    path = tmp_path / "foreign.onnx"
    path.write_bytes(model)
    with pytest.raises(FaceError, match=r"no CenterFace: it has the ports x \(10"):
        CenterFace(path)


@pytest.mark.parametrize("content", [b"", b"hello world", b"\x3a\xff\xff\xff\xff", b"\x0f"])
def test_a_file_that_is_no_onnx_is_refused(tmp_path, content):
    path = tmp_path / "no.onnx"
    path.write_bytes(content)
    with pytest.raises(FaceError, match=r"no\.onnx"):
        CenterFace(path)


def test_a_model_that_the_library_does_not_take_is_refused(tmp_path):
    path = tmp_path / "odd.onnx"
    path.write_bytes(tiny_model().replace(b"Conv", b"Cnov"))
    with pytest.raises(FaceError, match=r"cannot load the face detector .*odd\.onnx"):
        CenterFace(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FaceError, match=r"gone\.onnx"):
        CenterFace(tmp_path / "gone.onnx")


@pytest.fixture(scope="module")
def astronaut():
    return pytest.importorskip("skimage.data").astronaut()


def test_finds_a_real_face(astronaut):
    (face,) = CenterFace().detect(astronaut)
    assert face.score > 0.8
    # Read off the picture by eye, in pixels.
    want = np.array([[203, 100], [246, 103], [224, 125], [203, 143], [242, 143]])
    assert np.abs(face.landmarks - want).max() < 6


@pytest.mark.parametrize("factor", [0.35, 0.7, 1.9])
def test_places_scale_with_the_picture(astronaut, factor):
    size = tuple(round(s * factor) for s in astronaut.shape[:2])
    (face,) = CenterFace().detect(cv2.resize(astronaut, size, interpolation=cv2.INTER_AREA))
    (reference,) = CenterFace().detect(astronaut)
    distance = np.abs(face.landmarks / factor - reference.landmarks).max()
    assert distance < 0.06 * reference.size


def test_a_face_cut_by_the_border_keeps_its_place(astronaut):
    cut = np.ascontiguousarray(astronaut[:, 195:])
    (reference,) = CenterFace().detect(astronaut)
    (face,) = CenterFace().detect(cut)
    visible = face.landmarks + np.array([195, 0]) - reference.landmarks
    assert np.abs(visible[[1, 2, 4]]).max() < 12


def test_no_face_is_no_detection():
    noise = np.random.RandomState(0).randint(0, 256, (200, 300, 3)).astype(np.uint8)
    assert CenterFace().detect(noise) == []


def test_a_picture_of_another_kind_is_refused():
    with pytest.raises(FaceError, match="uint8"):
        CenterFace().detect(np.zeros((20, 20, 3), np.float32))
