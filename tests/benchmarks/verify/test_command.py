"""The command: exit codes, files, interruption, and what it says to bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from keeprt.benchmarks.verify.run import Verification
from tests import gpu
from tests.engine.pipeline_clips import astronaut_at, one_face, write_clip
from tests.networks import WEIGHTS

NO_GPU = pytest.mark.skipif(not gpu.REASON, reason="this machine has a GPU")

Command = Callable[..., tuple[int, str, str]]
RUN = ("--weights", WEIGHTS, "--frames", 3, "--samples", 2, "--window", 4, "--threads", 1)


@pytest.fixture
def verify(keeprt: Command, tiny_bundle: Path) -> Command:
    """`keeprt verify` of the tiny bundle."""
    return lambda *arguments: keeprt("verify", tiny_bundle, *arguments)


def test_a_right_bundle_passes_and_writes_all_files(verify: Command, tmp_path: Path) -> None:
    files = {name: tmp_path / f"r.{name}" for name in ("json", "junit", "report")}
    options = [item for name, file in files.items() for item in (f"--{name}", file)]
    code, out, err = verify(*RUN, *options)
    assert code == 0, out + err
    assert (
        "passed: all" in out
        and "lq_encoder.latent" in out
        and "mean nothing" in " ".join(err.split())
    )
    content = json.loads(files["json"].read_text())
    assert content["complete"] and content["verdict"]["passed"] and len(content["frames"]) == 3
    assert "tmp" not in files["json"].read_text(), "a path of this machine"
    assert len(list((tmp_path / "r_pictures").iterdir())) == 3 * len(content["pictures"])
    assert "data:image/" in files["report"].read_text()


def test_a_result_is_judged_and_reported_again(
    keeprt: Command, verify: Command, tmp_path: Path
) -> None:
    assert verify(*RUN, "--json", tmp_path / "r.json")[0] == 0
    again = ("verify", "--from", tmp_path / "r.json")
    code, out, _ = keeprt(
        *again, "--report", tmp_path / "r.html", "--baseline", tmp_path / "r.json"
    )
    assert code == 0 and "passed: all" in out
    assert (tmp_path / "r.html").read_text().count("data:image/") >= 2
    strict = json.loads(Path(_thresholds()).read_text())
    strict["precisions"]["fp32"]["relative_l2"] = {"*": 1e-9}
    (tmp_path / "strict.json").write_text(json.dumps(strict))
    code, out, _ = keeprt(*again, "--thresholds", tmp_path / "strict.json")
    assert code == 1 and "failed: " in out and "lq_encoder.latent" in out


def _thresholds() -> str:
    from importlib import resources

    return str(resources.files("keeprt.benchmarks.verify").joinpath("thresholds.json"))


def test_a_wrong_bundle_fails_and_its_layer_is_named(
    keeprt: Command, broken: Callable[[str], tuple[Path, str]], tmp_path: Path
) -> None:
    folder, node = broken("flow_features")
    code, out, _ = keeprt("verify", folder, *RUN, "--bisect", "--json", tmp_path / "r.json")
    assert code == 1
    assert f"flow_features: the first layer that departs is {node} " in " ".join(out.split())
    assert json.loads((tmp_path / "r.json").read_text())["bisected"][0]["node"] == node


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_run_that_ends_early_keeps_what_was_measured(
    error: type[BaseException], verify: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = Verification._measure

    def ending(self: Verification, number: int, *rest: object) -> None:
        if number == 2:
            raise error("at frame 2")
        measure(self, number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Verification, "_measure", ending)
    code, out, err = verify(*RUN, "--json", tmp_path / "r.json")
    content = json.loads((tmp_path / "r.json").read_text())
    assert not content["complete"]
    assert [row["frame"] for row in content["frames"]] == [0, 1]
    if error is KeyboardInterrupt:
        assert code == 130 and "incomplete: 2 of 3 frames" in out
        assert not content["verdict"]["passed"]
    else:
        assert code == 1 and "internal error: RuntimeError" in err


def test_a_face_in_whole_frames_is_aligned_by_the_projects_own_alignment(
    verify: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "clip.mkv", one_face(4), codec="ffv1")

    class Found:
        def detect(self, rgb: object) -> list[object]:
            return [astronaut_at(70, 30, 180)]

    monkeypatch.setattr("keeprt.engine.pipeline.looking.load_detector", lambda options: Found())
    code, out, err = verify(*RUN, "--clip", clip, "--json", tmp_path / "r.json")
    assert code == 0, out + err
    subject = json.loads((tmp_path / "r.json").read_text())["subject"]
    assert (subject["clip"], subject["clip_kind"]) == ("clip.mkv", "whole frames")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--weights", "synthetic:4"), "other weights; the bundle was made of 'synthetic:3'"),
        (("--weights", "missing.pth"), "give its file with --weights"),
        (("--backend", "tensorflow"), "unknown backend 'tensorflow'"),
        pytest.param(("--backend", "rtx"), "keeprt doctor", marks=NO_GPU),
        (("--provider", "quantum"), "quantum"),
        (("--mode", "film"), "unknown mode 'film'"),
        (("--frames", "1"), "at least 2 --frames"),
        (("--samples", "1"), "2 --samples"),
        (("--baseline", "missing.json"), "no such file: missing.json"),
        (("--thresholds", "missing.json"), "cannot read the thresholds"),
        (("--json", "."), "cannot write ."),
        (("--aligned",), "--aligned says what --clip shows"),
        (("--clip", "missing.mp4"), "missing.mp4"),
        (("--from", "r.json"), "give the folder of a bundle, or --from"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: tuple[str, ...], message: str, verify: Command
) -> None:
    code, _, err = verify(*RUN, *arguments)
    (error,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code == 2 and message in error


def test_a_bundle_whose_weights_only_a_file_has(
    keeprt: Command, tiny_bundle: Path, tmp_path: Path
) -> None:
    import shutil
    from dataclasses import replace

    from keeprt.engine.bundle import MANIFEST, load_bundle

    folder = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    manifest = replace(load_bundle(folder).manifest, weights_source="tuned.pth")
    (folder / MANIFEST).write_text(manifest.to_json())
    code, _, err = keeprt("verify", folder, "--frames", 3)
    assert code == 2
    for part in ("not at hand", "'tuned.pth'", manifest.weights_sha256, "--weights"):
        assert part in err
