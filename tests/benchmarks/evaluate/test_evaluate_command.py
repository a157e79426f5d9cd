"""`keeprt evaluate` as a user types it: files, tables, figures that can be computed again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keeprt.benchmarks.evaluate.lossless import read_clip, read_picture, write_clip
from keeprt.benchmarks.evaluate.measure import SSIM, averages, mean_known, pictures_measures
from keeprt.benchmarks.evaluate.methods import BASELINES, OURS
from keeprt.benchmarks.evaluate.result import Evaluation, Result, load_evaluation
from keeprt.engine.errors import UsageError
from tests.networks import faces

metrics = pytest.importorskip("skimage.metrics")

Command = Callable[..., tuple[int, str, str]]
LEVELS = ("mild", "heavy")
FRAMES = 3


@pytest.fixture
def evaluate(keeprt: Command) -> Command:
    return lambda *arguments: keeprt("evaluate", *arguments)


@pytest.fixture
def sharp(tmp_path: Path) -> Path:
    path = tmp_path / "sharp.mkv"
    write_clip(path, faces(FRAMES + 1), Fraction(25))
    return path


@pytest.fixture
def run(
    evaluate: Command, sharp: Path, tiny_bundle: Path, tmp_path: Path, save_onnx: Any
) -> tuple[Path, tuple[int, str, str]]:
    """A run with everything: two clips, two levels, all methods and one of others."""
    import shutil

    other = shutil.copy(sharp, tmp_path / "second.mkv")
    face = [1, 3, 128, 128]
    file = save_onnx("grey", [("Mul", ["x", "h"], ["y"], {})], {"x": face}, {"y": face},
                     {"h": np.float32(0.5)})  # fmt: skip
    out = tmp_path / "out"
    ended = evaluate(tiny_bundle, "--clip", sharp, "--clip", other, "--aligned", "--frames", FRAMES,
                     "--level", ",".join(LEVELS), "--seed", 3, "--out", out, "--threads", 1,
                     "--onnx", f"grey={file}")  # fmt: skip
    return out, ended


@pytest.mark.slow
def test_everything_it_says_can_be_computed_again_from_its_files(
    run: tuple[Path, tuple[int, str, str]], evaluate: Command
) -> None:
    out, (code, printed, said) = run
    assert code == 0, said
    found = load_evaluation(out)
    assert found.complete and found.synthetic and "mean nothing" in said
    methods = [*BASELINES, *OURS, "grey"]
    assert list(found.methods) == methods
    assert len(found.results) == 2 * len(LEVELS) * len(methods)
    for result in found.results:
        expected = list(read_clip(out / result.clip / "sharp.mkv"))
        restored = list(read_clip(out / f"{result.place}.mkv"))
        assert len(restored) == len(expected) == FRAMES
        _same_as_scikit_image(result, expected, restored)
        flicker = read_picture(out / f"{result.place}_flicker.png")
        assert flicker.shape == (128, FRAMES, 3)
        np.testing.assert_array_equal(flicker[:, 1], restored[1][:, 64])
    _tables_show_the_means(found, printed)
    assert "LPIPS" not in printed and "not given" not in printed and "paper: KEEP" in printed
    assert "LPIPS, IDS" in said and "not given" in said, "what was left out is said beside"
    assert str(out) not in (out / "evaluate.json").read_text()
    # the clips are one picture under two names: each has its own draw
    drawn = {name: (d["blur_sigma"], d["crf"]) for name, d in found.drawn.items()}
    assert set(drawn) == {f"{c}/{level}" for c in ("sharp", "second") for level in LEVELS}
    assert drawn["sharp/mild"] != drawn["second/mild"]

    code, again, _ = evaluate("--from", out)
    assert code == 0 and again == printed


def _same_as_scikit_image(
    result: Result, expected: list[np.ndarray], restored: list[np.ndarray]
) -> None:
    psnr, ssim = [], []
    for sharp, frame in zip(expected, restored, strict=True):
        assert sharp.shape == frame.shape == (128, 128, 3)
        psnr.append(metrics.peak_signal_noise_ratio(sharp, frame, data_range=255))
        channels = [
            metrics.structural_similarity(
                sharp[..., c], frame[..., c], data_range=255, gaussian_weights=True, sigma=1.5,
                use_sample_covariance=False,
            )
            for c in range(3)
        ]  # fmt: skip
        ssim.append(np.mean(channels))
    np.testing.assert_allclose(result.series["psnr_db"], psnr, atol=1e-6)
    np.testing.assert_allclose(result.series["ssim"], ssim, atol=1e-6)
    assert result.figures["psnr_db"] == pytest.approx(np.mean(psnr), abs=1e-6)
    assert result.figures["ssim"] == pytest.approx(np.mean(ssim), abs=1e-6)


def _tables_show_the_means(found: Evaluation, printed: str) -> None:
    for level in LEVELS:
        for method in found.methods:
            pair = found.of(level, method)
            assert [r.clip for r in pair] == ["sharp", "second"]
            psnr = np.mean([r.figures["psnr_db"] for r in pair])  # type: ignore[arg-type]
            lines = [line.split() for line in printed.splitlines() if f" {method} " in line]
            assert f"{psnr:.2f}" in [line[1] for line in lines]


@pytest.mark.slow
def test_the_same_command_gives_the_same_figures(
    run: tuple[Path, tuple[int, str, str]],
    evaluate: Command,
    sharp: Path,
    tiny_bundle: Path,
    tmp_path: Path,
) -> None:
    """Alone, without the other clip, level and methods."""
    code, _, said = evaluate(tiny_bundle, "--clip", sharp, "--aligned", "--frames", FRAMES,
                             "--level", "heavy", "--seed", 3, "--out", tmp_path / "alone",
                             "--methods", "degraded,stream", "--threads", 1)  # fmt: skip
    assert code == 0, said
    whole, alone = load_evaluation(run[0]), load_evaluation(tmp_path / "alone")
    assert alone.drawn["sharp/heavy"] == whole.drawn["sharp/heavy"]
    for method in ("degraded", "stream"):
        assert alone.of("heavy", method)[0].figures == whole.of("heavy", method)[0].figures


def test_baselines_need_no_bundle(evaluate: Command, tmp_path: Path) -> None:
    code, printed, said = evaluate("--frames", 2, "--level", "mild", "--out", tmp_path / "out")
    assert code == 0, said
    found = load_evaluation(tmp_path / "out")
    assert list(found.methods) == list(BASELINES) and not found.synthetic
    assert "mean nothing" not in said and "the paper's Table A1" in printed
    assert found.clips["made"]["size"] == 512
    assert found.clips["made"]["own"]["e_warp"] > 0


def test_an_interrupted_run_keeps_what_it_has(
    evaluate: Command, sharp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keeprt.benchmarks.evaluate import run as module

    whole = module._run

    def stops(*arguments: Any) -> Result:
        if arguments[5].name == "bicubic" and arguments[3].name == "heavy":
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(module, "_run", stops)
    out = tmp_path / "out"
    code, _, _ = evaluate(
        "--clip", sharp, "--aligned", "--frames", 2, "--level", "mild,heavy", "--out", out
    )
    assert code == 130
    found = load_evaluation(out)
    assert [(r.level, r.method) for r in found.results] == [
        ("mild", "degraded"), ("mild", "bicubic"), ("heavy", "degraded")
    ]  # fmt: skip
    code, printed, said = evaluate("--from", out)
    assert code == 0 and "some results are missing" in said and "heavy" in printed


def test_identical_frames_are_called_so_and_survive_json(tmp_path: Path) -> None:
    psnr, ssim = pictures_measures()
    frames = faces(2)
    assert psnr.values is not None and ssim.values is not None
    values = psnr.values(psnr.prepare(frames), frames)
    assert values == [math.inf] * 2 and psnr.column.text(math.inf) == "identical"
    assert ssim.values(ssim.prepare(frames), frames) == pytest.approx([1, 1])
    figures = averages(psnr, values)
    result = Result("mild", "a", "b", 2, 0.0, "a/mild/b", figures, {"psnr_db": values})
    found = Evaluation({}, {}, {}, {}, False, results=[result])
    found.save(tmp_path)
    assert "Infinity" not in (tmp_path / "evaluate.json").read_text()
    assert load_evaluation(tmp_path).results == [result]


def test_means_over_frames_leave_out_what_is_unknown_and_over_clips_do_not() -> None:
    _, ssim = pictures_measures()
    assert averages(ssim, [None, 0.5, 0.7]) == {SSIM.key: pytest.approx(0.6)}
    assert averages(ssim, [None, None]) == {SSIM.key: None}
    assert mean_known([1.0, 2.0]) == 1.5
    assert mean_known([1.0, None]) is None and mean_known([]) is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--methods", "stream"], "need a BUNDLE"),
        (["--methods", "magic"], "choose from degraded, bicubic"),
        (["--methods", "bicubic,bicubic"], "each once"),
        (["--level", "foggy"], "unknown level"),
        (["--frames", 1], "--frames is 1: give a whole number from 2 on"),
        (["--seed", -1], "seed is -1"),
        (["--frames", 2, "--column", 512], "512 pixels wide"),
        (["--clip", "nowhere.mp4"], "no such file"),
        (["nowhere"], "is no bundle"),
        (["--onnx", "a=nowhere.onnx"], "no such ONNX file"),
        (["--lpips-onnx", "nowhere.onnx"], "no such ONNX file"),
        (["--report", "nowhere/page.html"], "does not exist"),
        (["--from", "nowhere"], "holds no evaluate.json"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    evaluate: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[Any],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, errors = evaluate(*arguments)
    assert code == 2 and said in errors.replace("\n", " ")
    assert len([line for line in errors.splitlines() if line.startswith("error")]) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "other"}, "is no evaluation"),
        ({"result": {"format_version": 2}}, "has version 2"),
        ({"result": {"format_version": 1, "results": [{}]}}, "incomplete or damaged"),
        ({"result": {"format_version": 1, "more": 1}}, "incomplete or damaged"),
    ],
)
def test_foreign_results_are_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    Evaluation({}, {}, {}, {}, False).save(tmp_path)
    content = json.loads((tmp_path / "evaluate.json").read_text())
    (tmp_path / "evaluate.json").write_text(json.dumps(content | change))
    with pytest.raises(UsageError, match=said):
        load_evaluation(tmp_path)
    (tmp_path / "evaluate.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        load_evaluation(tmp_path)


def test_results_of_before_the_envelope_are_read(tmp_path: Path) -> None:
    found = Evaluation({"seed": "3"}, {}, {}, {}, False)
    found.save(tmp_path)
    file = tmp_path / "evaluate.json"
    content = json.loads(file.read_text())["result"]
    content.pop("format_version")
    file.write_text(json.dumps({"format": "keeprt-evaluation", "version": 1, **content}))
    assert load_evaluation(tmp_path) == found
