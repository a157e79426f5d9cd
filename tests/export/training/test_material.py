"""What is learnt from: flows are true, batches depend on their step alone, faces are found."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from keeprt.engine.errors import MediaError, UsageError
from keeprt.export.model.gmflow import backward_warp
from keeprt.export.training import finding
from keeprt.export.training.command import Asked, run
from keeprt.export.training.face_material import FaceMaterial
from keeprt.export.training.material import Draws
from keeprt.export.training.motion import moved_by, similarity_flow
from keeprt.export.training.portrait import portrait
from keeprt.export.training.portrait_material import PortraitMaterial
from keeprt.export.training.recipe import DEMO

INNER = (..., slice(20, -20), slice(20, -20))


def warped_error(sharp: torch.Tensor, flows: torch.Tensor) -> tuple[float, float]:
    """Mean difference to the frame before, moved by the flow and not moved, in 8-bit levels."""
    now, before = sharp[:, 1:].flatten(0, 1), sharp[:, :-1].flatten(0, 1)
    moved = backward_warp(before, flows.flatten(0, 1))
    return tuple(float((now - other)[INNER].abs().mean() * 127.5) for other in (moved, before))


def test_the_portraits_flows_are_those_of_its_frames() -> None:
    batch = PortraitMaterial(DEMO, 128).moved(np.random.default_rng(0), 1, 3, 4.0)
    assert batch.flows is not None
    moved, still = warped_error(batch.sharp, batch.flows)
    assert moved < 0.3 * still


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    material = PortraitMaterial(DEMO, 64)

    def draw(m, random, step):
        return m.clips(random, 1, 2)

    first, again = Draws(material, draw, (0, 1))[5], Draws(material, draw, (0, 1))[5]
    other = Draws(material, draw, (0, 1))[6]
    assert torch.equal(first.degraded, again.degraded)
    assert not torch.equal(first.sharp, other.sharp)
    assert not torch.equal(first.sharp, Draws(material, draw, (1, 1))[5].sharp)


def test_similarity_flow_points_to_where_pixels_come_from() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    shift = np.array([[1, 0, 2], [0, 1, 3], [0, 0, 1]], float)
    moved = moved_by(picture, similarity_flow(shift, 16))
    assert np.array_equal(moved[:13, :14], picture[3:, 2:])


@pytest.fixture
def face_files(tmp_path: Path) -> list[Path]:
    """Two runs of one face, of 12 and of 2 frames; the second is all dark."""
    faces = cv2.resize(portrait()[:256, 96:352], (64, 64))
    np.save(tmp_path / "0.npy", np.stack([np.roll(faces, k, 1) for k in range(12)]))
    np.save(tmp_path / "1.npy", np.full((2, 64, 64, 3), 9, np.uint8))
    return [tmp_path / "0.npy", tmp_path / "1.npy"]


def test_clips_of_ones_own_are_consecutive_frames_of_one_run(face_files: list[Path]) -> None:
    material = FaceMaterial(face_files, DEMO)
    source = np.load(face_files[0])
    for seed in range(8):
        sharp, degraded, flows = material.clips(np.random.default_rng(seed), 1, 4)
        assert flows is None and degraded.shape == sharp.shape == (1, 4, 3, 64, 64)
        shown = np.rint((sharp[0].permute(0, 2, 3, 1).numpy() + 1) * 127.5).astype(np.uint8)
        runs = [part[k : k + 4] for part in (source, source[:, :, ::-1]) for k in range(9)]
        assert any(np.array_equal(shown, run) for run in runs)
    assert material.faces(np.random.default_rng(0), 3).shape == (3, 3, 64, 64)
    with pytest.raises(UsageError, match="longest run of one face has 12 frames; clips of 13"):
        material.check(13)


def test_a_face_set_in_motion_moves_by_its_flow(face_files: list[Path]) -> None:
    batch = FaceMaterial(face_files[:1], DEMO).moved(np.random.default_rng(1), 2, 3, 6.0)
    assert batch.flows is not None and batch.flows.shape == (2, 2, 2, 64, 64)
    moved, still = warped_error(batch.sharp, batch.flows)
    assert moved < 0.4 * still


def write_frames(folder: Path, frames: list[np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    for index, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{index:03d}.png"), frame[..., ::-1])
    return folder


def test_faces_are_found_followed_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = write_frames(tmp_path / "data" / "faces", [np.roll(portrait(), k, 1) for k in range(4)])
    write_frames(tmp_path / "data" / "grey", [np.full((64, 64, 3), 90, np.uint8)] * 3)
    (tmp_path / "data" / "broken.mp4").write_bytes(b"no video")
    said: list[str] = []
    files = finding.collect_faces([tmp_path / "data"], 64, tmp_path / "kept", said.append)
    assert [np.load(file).shape for file in files] == [(4, 64, 64, 3)]
    assert any("broken.mp4" in text for text in said)
    assert any("no face in any frame" in text and "grey" in text for text in said)
    monkeypatch.setattr(finding, "face_clips", None)
    assert finding.collect_faces([faces], 64, tmp_path / "kept", said.append) == files


def test_data_without_faces_ends_in_one_line(tmp_path: Path) -> None:
    asked = Asked(out=tmp_path / "w.safetensors", config="tiny", steps=1)

    def run_on(*data: Path) -> None:
        run(Asked(**{**asked.__dict__, "data": data, "resume": True}))

    grey = write_frames(tmp_path / "grey", [np.full((64, 64, 3), 90, np.uint8)] * 2)
    with pytest.raises(UsageError, match="no face to learn from"):
        run_on(grey)
    with pytest.raises(MediaError, match="no such file or folder"):
        run_on(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no video and no image"):
        run_on(tmp_path / "empty")
    single = write_frames(tmp_path / "single", [portrait()])
    with pytest.raises(UsageError, match="has 1 frames; clips of 8 are needed"):
        run_on(single)
