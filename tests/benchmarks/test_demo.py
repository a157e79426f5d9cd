"""The demo from the command line: its files, its figures, its agreement with PyTorch."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from keeprt.benchmarks.demo_clip import demo_clip, true_sources
from keeprt.benchmarks.demo_figures import flicker
from keeprt.engine.bundle.load import DEMO_FOLDER
from keeprt.engine.cli import main
from keeprt.engine.media import open_source
from tests.networks import WEIGHTS

SHIPPED = pytest.mark.skipif(not DEMO_FOLDER.is_dir(), reason="no demo bundle comes along")

WITHOUT_TORCH = """
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

class Blocker(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnxscript", "safetensors"):
            raise ModuleNotFoundError(f"{name} is not installed", name=name)

sys.meta_path.insert(0, Blocker())
import keeprt.engine.bundle.load as load
load.DEMO_FOLDER = Path(sys.argv.pop(1))
from keeprt.engine.cli import main
main()
"""


def run_demo(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr("sys.argv", ["keeprt", "demo", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code


def check_files(out: Path, size: int, frames: int) -> None:
    caption = 22
    for name in ("side_by_side.png", "flicker.png"):
        assert cv2.imread(str(out / name)).shape == (size + caption, 4 * size, 3)
    for name, width in (("restored.mp4", size), ("side_by_side.mp4", 4 * size)):
        with open_source(out / name) as video:
            assert (video.info.width, len(list(video))) == (width, frames)


@pytest.mark.slow
def test_demo_restores_its_clip_and_agrees_with_the_reference(
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, figures = tmp_path / "demo", tmp_path / "figures.json"
    shutil.copytree(tiny_bundle, out / "bundle", copy_function=os.link)
    before = (out / "bundle" / "manifest.json").stat().st_ino
    run_demo(
        monkeypatch,
        *("--out", out, "--weights", WEIGHTS, "--frames", 3),
        *("--reference-frames", 2, "--json", figures),
    )
    printed = capsys.readouterr()
    assert "mean nothing" in printed.err
    agreement = re.search(r"agreement with PyTorch, 2 frames: (\d+\.\d|identical)", printed.out)
    assert agreement and (agreement[1] == "identical" or float(agreement[1]) >= 55)
    assert "equal codebook indices: 100.00 %" in printed.out
    for stage in ("lq_encoder", "flow_matching", "gain_net", "warp", "hq_encoder", "decoder"):
        assert stage in printed.out
    assert (out / "bundle" / "manifest.json").stat().st_ino == before, "exported again"
    check_files(out, 128, 3)

    found = json.loads(figures.read_text())["result"]
    clip, degraded = demo_clip(3, size=128), cv2.imread(str(out / "input" / "frame_000002.png"))
    assert np.square(degraded[..., ::-1].astype(float) - clip.sharp[2]).mean() > 50
    assert 10 < found["psnr_degraded_db"] < 30
    assert found["flicker_sharp"] < found["flicker_stream"] != found["flicker_per_frame"]
    assert {"psnr_restored_db", "psnr_per_frame_db", "seconds"} <= found.keys()


@pytest.mark.slow
def test_the_bundle_that_comes_along_needs_no_torch(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    arguments = [tiny_bundle, "demo", "--weights", "demo", "--out", out, "--frames", "2"]
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert "agreement" not in result.stdout
    check_files(out, 128, 2)


def test_flicker_by_true_motion_sees_what_moves_otherwise() -> None:
    clip = demo_clip(5, size=256)
    sources = true_sources(clip)
    steady = flicker(clip.sharp, sources)
    flashing = [np.clip(f.astype(int) + 6 * (t % 2), 0, 255) for t, f in enumerate(clip.sharp)]
    still = [np.stack([c, r], -1) for r, c in [np.mgrid[:256, :256].astype(np.float32)]] * 4
    assert steady < 0.6 * flicker(clip.sharp, still), "the motion is followed"
    assert 4 < flicker(flashing, sources) - steady < 7


@SHIPPED
@pytest.mark.slow
def test_the_demo_shows_what_it_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = tmp_path / "figures.json"
    run_demo(monkeypatch, "--out", tmp_path / "demo", "--json", figures)
    found = json.loads(figures.read_text())["result"]
    assert found["psnr_restored_db"] >= found["psnr_degraded_db"] + 6
    assert found["psnr_restored_db"] >= found["psnr_per_frame_db"]
    assert found["flicker_stream"] <= 0.92 * found["flicker_per_frame"]
    assert found["agreement"]["equal_codes"] >= 0.999
