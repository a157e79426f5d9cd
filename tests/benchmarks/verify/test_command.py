"""The command: exit codes, files, interruption, and what it says to bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from keeprt.benchmarks.verify.measuring.run import Verification
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


@pytest.mark.slow
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
    content = json.loads(files["json"].read_text())["result"]
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


def test_a_run_that_says_nothing_is_invalid_and_no_failure(
    keeprt: Command, verify: Command, tmp_path: Path
) -> None:
    file = tmp_path / "r.json"
    assert verify(*RUN, "--json", file)[0] == 0
    content = json.loads(file.read_text())
    content["result"]["complete"] = False
    file.write_text(json.dumps(content))
    code, out, _ = keeprt("verify", "--from", file)
    assert code == 2 and "incomplete: 3 of 3 frames" in out


def test_limits_that_fit_nothing_are_refused(verify: Command, tmp_path: Path) -> None:
    limits = json.loads(Path(_thresholds()).read_text())
    limits["precisions"]["fp32"]["relative_l2"]["decodr.*"] = 1e-9
    file = tmp_path / "t.json"
    file.write_text(json.dumps(limits))
    code, _, err = verify(*RUN, "--thresholds", file)
    assert code == 2 and "the pattern 'decodr.*' under 'relative_l2'" in err
    assert "decoder.restored" in err and "state.latents" in err


@pytest.mark.slow
def test_a_run_makes_a_pack_and_tensors_and_the_pack_judges(
    verify: Command, tmp_path: Path
) -> None:
    pytest.importorskip("polygraphy")
    pack, folder = tmp_path / "golden.zip", tmp_path / "tensors"
    code, out, err = verify(*RUN, "--soak", 4, "--pack", pack, "--polygraphy", folder)
    assert code == 0, out + err
    assert "header's SHA-256" in out or "SHA-256 of its header" in out
    assert "ten equal runs of each of 6 subgraphs: bit-equal" in out
    assert "all are equal" in out and "resident memory: too few frames" in out
    assert len(list(folder.glob("*_input.json"))) == 6
    code, out, err = verify("--pack", pack, "--threads", 1)
    assert code == 0 and "passed: all" in out, out + err
    code, _, err = verify("--pack", pack, "--weights", WEIGHTS)
    assert code == 2 and "--weights has no effect where the --pack file is there" in err


def _thresholds() -> str:
    from importlib import resources

    return str(resources.files("keeprt.benchmarks.verify.judging").joinpath("thresholds.json"))


@pytest.mark.slow
def test_a_wrong_bundle_fails_and_its_layer_is_named(
    keeprt: Command, broken: Callable[[str], tuple[Path, str]], tmp_path: Path
) -> None:
    folder, node = broken("flow_features")
    code, out, _ = keeprt("verify", folder, *RUN, "--bisect", "--json", tmp_path / "r.json")
    assert code == 1
    assert f"flow_features: the first layer that departs is {node} " in " ".join(out.split())
    assert json.loads((tmp_path / "r.json").read_text())["result"]["bisected"][0]["node"] == node


@pytest.mark.slow
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
    content = json.loads((tmp_path / "r.json").read_text())["result"]
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
    subject = json.loads((tmp_path / "r.json").read_text())["result"]["subject"]
    assert (subject["clip"], subject["clip_kind"]) == ("clip.mkv", "whole frames")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--weights", "synthetic:4"), "other weights; the bundle was made of 'synthetic:3'"),
        (("--weights", "missing.pth"), "give its file with --weights"),
        (("--backend", "tensorflow"), "--backend is 'tensorflow'"),
        pytest.param(("--backend", "rtx"), "keeprt doctor", marks=NO_GPU),
        (("--provider", "quantum"), "quantum"),
        (("--mode", "film"), "--mode is 'film': give stream or clip"),
        (("--frames", "1"), "--frames is 1: give a whole number from 2 on"),
        (("--samples", "1"), "--samples is 1: give a whole number from 2 on"),
        (("--baseline", "missing.json"), "no such file: missing.json"),
        (("--thresholds", "missing.json"), "cannot read the thresholds"),
        (("--json", "."), "cannot write --json .: it is a folder"),
        (("--aligned",), "--aligned has no effect without --clip"),
        (("--report", "missing/r.html"), "the folder"),
        (("--clip", "missing.mp4"), "missing.mp4"),
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

    from keeprt.engine.bundle.load import MANIFEST, load_bundle

    folder = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    manifest = replace(load_bundle(folder).manifest, weights_source="tuned.pth")
    (folder / MANIFEST).write_text(manifest.to_json())
    code, _, err = keeprt("verify", folder, "--frames", 3)
    assert code == 2
    for part in ("not at hand", "'tuned.pth'", manifest.weights_sha256, "--weights"):
        assert part in err
