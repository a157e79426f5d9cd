"""An identity is no place: what a whole analysis makes of people who change where others were."""

import numpy as np
import pytest
from helpers_faces import face_at, landmarks_at, textured

from keeprt.engine.errors import FaceError
from keeprt.engine.faces.analysis import Analysis, AnalysisOptions
from keeprt.engine.faces.embedding import SIDE, FaceEmbedding
from keeprt.engine.faces.landmark_file import FrameFaces
from keeprt.engine.faces.upright import UprightFaces, is_possible

SCENE = textured(240, 320, 0, blur=12.0)
PEOPLE = {
    name: textured(120, 100, seed, blur=5.0) for name, seed in zip("ABC", (1, 2, 3), strict=True)
}
X, Y = 150, 120


def picture(who, x=X, y=Y, noise=0):
    frame = SCENE.copy()
    if who in PEOPLE:
        frame[y - 60 : y + 60, x - 50 : x + 50] = PEOPLE[who]
    if noise:
        grain = np.random.RandomState(noise).standard_normal(frame.shape) * 8
        frame = np.clip(frame + grain, 0, 255).astype(np.uint8)
    return frame


class AlwaysThere:
    """Says that there is a face wherever it is told, whatever is in the picture."""

    def __init__(self, places):
        self.places = iter(places)

    def detect(self, rgb):
        place = next(self.places)
        return [] if place is None else [face_at(*place, eyes=36)]


def analyse(people, lookahead, places=None, every=1, **how):
    """Tracks with their frames, and the weights, of a clip of one picture for each letter."""
    where = places or [None if who == "-" else (X, Y) for who in people]
    looked = [place for n, place in enumerate(where) if n % every == 0]
    options = AnalysisOptions(lookahead=lookahead, every=every)
    analysis = Analysis(AlwaysThere(looked), SCENE.shape[:2], options, **how)
    done = []
    for n, who in enumerate(people):
        done += analysis.push(picture(who, *(where[n] or (X, Y)), noise=n + 1))
    done += analysis.finish()
    tracks, weights = {}, {}
    for n, frame in enumerate(done):
        for face in frame.faces:
            tracks.setdefault(face.track, []).append(n)
            weights[n] = face.weight
    return tracks, weights


@pytest.mark.parametrize("lookahead", [None, 0])
def test_another_person_in_the_same_place_is_another_track(lookahead):
    tracks, _ = analyse("A" * 15 + "B" * 15, lookahead)
    late = 0 if lookahead is None else 2
    assert list(tracks.values()) == [list(range(late, 15)), list(range(15 + late, 30))]


@pytest.mark.parametrize("lookahead", [None, 0])
def test_one_person_who_is_covered_for_a_moment_goes_on(lookahead):
    tracks, _ = analyse("A" * 15 + "-" * 5 + "A" * 15, lookahead)
    late = 0 if lookahead is None else 2
    assert tracks == {1: [*range(late, 15), *range(20, 35)]}, "and is not painted meanwhile"


@pytest.mark.parametrize("lookahead", [None, 0])
def test_a_gap_is_not_bridged_from_one_person_to_another(lookahead):
    tracks, _ = analyse("A" * 15 + "-" * 5 + "B" * 15, lookahead)
    late = 0 if lookahead is None else 2
    assert list(tracks.values()) == [list(range(late, 15)), list(range(20 + late, 35))]


def test_three_people_in_turn_are_three_tracks_with_rare_looks_too():
    tracks, _ = analyse("A" * 24 + "B" * 24 + "C" * 24, None, every=3)
    assert [(min(t), max(t)) for t in tracks.values()] == [(0, 23), (24, 47), (48, 71)]


def test_a_face_that_the_detector_misses_is_still_painted():
    places = [(X, Y)] * 12 + [None] * 5 + [(X, Y)] * 12
    tracks, weights = analyse("A" * 29, None, places)
    assert tracks == {1: list(range(29))}
    assert min(weights.values()) > 0.9


def test_live_a_missed_face_fades_out():
    places = [(X, Y)] * 12 + [None] * 12
    _, weights = analyse("A" * 24, 0, places)
    assert [round(weights.get(n, 0.0), 2) for n in range(11, 17)] == [1, 0.75, 0.5, 0.25, 0, 0]


@pytest.mark.parametrize("every", [1, 4])
def test_live_nothing_is_painted_where_the_face_has_left(every):
    places = [(X, Y)] * 20 + [None] * 12
    tracks, _ = analyse("A" * 20 + "-" * 12, 0, places, every=every)
    assert max(tracks[1]) == 19


def test_a_landmark_file_does_not_make_one_person_of_two():
    analysis = Analysis(None, SCENE.shape[:2])
    known = FrameFaces([face_at(X, Y, eyes=36)])
    done = [f for n in range(30) for f in analysis.push_known(known, picture("AB"[n // 15]))]
    done += analysis.finish()
    assert [frame.faces[0].track for frame in done] == [1] * 15 + [2] * 15


def test_landmarks_that_are_no_face_are_refused():
    good = face_at(100, 100)
    assert is_possible(good)
    assert all(is_possible(turned(good, degrees)) for degrees in (30, 90, 180, -120))
    mirrored = good.landmarks[[1, 0, 2, 4, 3]]
    swapped = good.landmarks[[3, 4, 2, 0, 1]]  # mouth above the eyes
    crossed = good.landmarks[[0, 1, 2, 4, 3]]
    for points in (mirrored, swapped, crossed, good.landmarks * np.nan, np.full((5, 2), 100.0)):
        assert not is_possible(type(good)(good.box, 0.9, points))
    analysis = Analysis(None, (240, 320), AnalysisOptions(lookahead=0))
    impossible = FrameFaces([type(good)(good.box, 0.9, swapped)])
    assert not any(f.faces for _ in range(9) for f in analysis.push_known(impossible))


def turned(face, degrees):
    points = landmarks_at(100, 100, degrees=degrees)
    return type(face)(face.box, 0.9, points)


class Orientated:
    """Is surer of a face the brighter the upper half of the picture is, and finds it anyway."""

    def __init__(self):
        self.calls = 0

    def detect(self, rgb):
        self.calls += 1
        height, width = rgb.shape[:2]
        half = height // 2
        score = 0.5 + 0.3 * float(rgb[:half].mean() > rgb[half:].mean())
        return [face_at((width - 1) / 2, (height - 1) / 2, eyes=width / 6, score=score)]


def test_an_upside_down_face_is_left_out_and_an_upright_one_is_turned_once():
    slope = np.linspace(220, 30, 160)[:, None, None]
    face = np.clip(textured(160, 160, 5) * 0.2 + slope, 0, 255).astype(np.uint8)
    detector = Orientated()
    upright = UprightFaces(detector)
    assert len(upright.detect(face)) == 1
    assert detector.calls == 3
    assert len(upright.detect(face)) == 1
    assert detector.calls == 4, "what was believed is believed for a while"
    on_its_head = np.ascontiguousarray(face[::-1, ::-1])
    assert upright.detect(on_its_head) == [], "the place alone is no reason to believe it"
    assert UprightFaces(Orientated()).detect(on_its_head) == []


def embedding_network(path, side=SIDE, rank=2):
    """Means of 8 x 8 cells less the whole's mean, through a fixed matrix to 512 numbers."""
    onnx = pytest.importorskip("onnx")
    make, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
    weights = np.random.RandomState(0).standard_normal((3 * 64, 512)).astype(np.float32)
    nodes = [
        make("AveragePool", ["x"], ["cells"], kernel_shape=[14, 14], strides=[14, 14]),
        make("Flatten", ["cells"], ["flat"]),
        make("MatMul", ["flat", "w"], ["y"]),
    ]
    ports = [
        onnx.helper.make_tensor_value_info("x", 1, ["n", 3, side, side]),
        onnx.helper.make_tensor_value_info("y", 1, ["n", 512, 1][:rank]),
    ]
    graph = onnx.helper.make_graph(nodes, "e", ports[:1], ports[1:], [tensor(weights, "w")])
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_network_of_the_callers_tells_people_apart(tmp_path):
    embedding = FaceEmbedding(embedding_network(tmp_path / "e.onnx"))
    vectors = [embedding.embed(picture(who), landmarks_at(X, Y, 36)) for who in "AAB"]
    assert vectors[0].shape == (512,)
    assert np.allclose([np.linalg.norm(v) for v in vectors], 1.0)
    assert vectors[0] @ vectors[1] > 0.99 > vectors[0] @ vectors[2]
    tracks, _ = analyse("A" * 12 + "B" * 12, None, embedding=embedding)
    assert list(tracks.values()) == [list(range(12)), list(range(12, 24))]


def test_a_network_that_says_one_person_is_believed():
    class Same:
        def embed(self, rgb, landmarks):
            return np.array([1.0, 0.0], np.float32)

    tracks, _ = analyse("A" * 12 + "B" * 12, None, embedding=Same())
    assert tracks == {1: list(range(24))}


def test_files_that_are_no_embedding_are_refused(tmp_path):
    with pytest.raises(FaceError, match="cannot read"):
        FaceEmbedding(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_bytes(b"no network")
    with pytest.raises(FaceError, match=r"text\.onnx: not an ONNX model"):
        FaceEmbedding(tmp_path / "text.onnx")
    with pytest.raises(FaceError, match="no face embedding"):
        FaceEmbedding(embedding_network(tmp_path / "s.onnx", side=64))
    with pytest.raises(FaceError, match="no face embedding"):
        FaceEmbedding(embedding_network(tmp_path / "r.onnx", rank=3))
