"""The demo from the command line, full size: its files, its table, its agreement with PyTorch."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import cv2
import pytest

from keeprt.engine.cli import main
from keeprt.engine.media import open_source


@pytest.mark.slow
def test_demo_restores_its_clip_and_agrees_with_the_reference(
    full_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "demo"
    shutil.copytree(full_bundle, out / "bundle", copy_function=os.link)
    before = (out / "bundle" / "manifest.json").stat().st_ino
    arguments = ["demo", "--out", out, "--frames", "3", "--reference-frames", "2"]
    monkeypatch.setattr("sys.argv", ["keeprt", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    printed = capsys.readouterr()
    assert "mean nothing" in printed.err
    agreement = re.search(r"agreement with PyTorch, 2 frames\W+(\d+\.\d|identical)", printed.out)
    assert agreement and (agreement[1] == "identical" or float(agreement[1]) >= 55)
    assert re.search(r"equal codebook indices\W+100\.00 %", printed.out)
    for stage in ("lq_encoder", "flow_matching", "gain_net", "warp", "hq_encoder", "decoder"):
        assert stage in printed.out

    assert (out / "bundle" / "manifest.json").stat().st_ino == before, "exported again"
    assert cv2.imread(str(out / "side_by_side.png")).shape == (512, 1024, 3)
    for name, width in (("restored.mp4", 512), ("side_by_side.mp4", 1024)):
        with open_source(out / name) as video:
            assert (video.info.width, len(list(video))) == (width, 3)
