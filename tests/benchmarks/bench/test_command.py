"""`keeprt bench` as a user types it: tables, JSON, page, and one line for what cannot be."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from keeprt.benchmarks.bench.cost import stream_costs
from keeprt.benchmarks.bench.hardware import rates as rates_module
from keeprt.benchmarks.bench.hardware.cards import CARDS
from keeprt.benchmarks.bench.hardware.rates import RateMeter, Rates
from keeprt.benchmarks.bench.harness import Cold, Run
from keeprt.benchmarks.bench.page import write_page
from keeprt.benchmarks.bench.predictions import predictions
from keeprt.benchmarks.bench.results import BenchResult, CaseResult, contender_result
from keeprt.benchmarks.bench.rivals.contenders import Case
from keeprt.benchmarks.bench.rivals.worker import Sample
from keeprt.benchmarks.bench.tables import prediction_tables
from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.cli import main
from tests.gpu import REASON

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `keeprt bench` in this process: exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["keeprt", "bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


@pytest.mark.slow
def test_measures_and_writes_tables_json_and_page(
    bench: Command, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates_module, "COPY_BYTES", 8 << 20)
    monkeypatch.setattr(rates_module, "MATRIX_SIZE", 256)
    out, page = tmp_path / "bench.json", tmp_path / "bench.html"
    code, printed, errors = bench(
        *(tiny_bundle, "--mode", "both", "--rivals", "onnxruntime", "--rounds", 2, "--frames", 2),
        *("--window", 3, "--chunk", 2, "--threads", 1, "--json", out, "--report", page),
    )
    assert code == 0, errors
    for text in (
        "stream, 1 face",
        "clip, chunks of 2",
        "x floor",
        "peak memory MB",
        "60 fps",
        "times ours",
        "the best of 2 measured between the rounds",
    ):
        assert text in printed
    found = json.loads(out.read_text())
    assert found["format"] == "keeprt-bench" and found["machine"]["CPU"]
    assert "--json bench.json" in found["command"]
    found = found["result"]
    assert found["complete"] is True and found["load"]["rounds"]
    assert found["bundle"]["identity"] == load_bundle(tiny_bundle).identity
    assert str(tmp_path) not in out.read_text() and str(tmp_path) not in page.read_text()
    stream, clip = found["cases"]
    assert [one["name"] for one in stream["contenders"]] == ["keeprt", "onnxruntime"]
    for case, calls in ((stream, 4), (clip, 2)):
        for one in case["contenders"]:
            assert one["call_ms"]["count"] == calls and not one["failure"]
            assert all(pace > 0 for pace in one["pace_ms"])
            assert one["peak_memory_mb"] > 50 and one["cold"]["load_s"] > 0
            assert {"decoder", "warp", "between stages"} <= {s["stage"] for s in one["stages"]}
    assert "PyTorch" not in printed and "mean nothing" in errors


@pytest.mark.slow
def test_an_interrupted_run_keeps_the_rounds_that_it_has(
    bench: Command, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal is raised as KeyboardInterrupt, here while the rates before round 3 are measured."""
    monkeypatch.setattr(rates_module, "COPY_BYTES", 8 << 20)
    monkeypatch.setattr(rates_module, "MATRIX_SIZE", 256)
    measure = RateMeter.measure

    def interrupted(self: RateMeter) -> Rates:
        if len(self.measured) == 2:
            raise KeyboardInterrupt
        return measure(self)

    monkeypatch.setattr(RateMeter, "measure", interrupted)
    out, page = tmp_path / "bench.json", tmp_path / "bench.html"
    how = (tiny_bundle, "--rivals", "none", "--window", 3, "--threads", 1)
    code, printed, errors = bench(
        *how, "--rounds", 9, "--frames", 2, "--json", out, "--report", page
    )
    assert code == 130 and "x floor" in printed
    found = json.loads(out.read_text())["result"]
    assert found["complete"] is False
    assert [len(calls) for calls in found["cases"][0]["contenders"][0]["rounds_ms"]] == [2, 2]
    assert "This run was interrupted" in page.read_text()
    code, _, errors = bench("--from", out, "--baseline", out)
    assert code == 2 and "the baseline was interrupted: make it anew" in errors


def made_result(bundle: Path) -> BenchResult:
    """A run whose figures are known: no time of it was measured."""
    case, rates = Case("stream", 1, 3, 4), Rates(100, 10)
    costs = stream_costs(load_bundle(bundle), 1, 3)
    stages = {name: 0.01 * (1 + index) for index, name in enumerate(costs)}
    results = []
    for name, factor in (("keeprt", 1.0), ("eager", 2.0)):
        seconds = [factor * sum(stages.values()) + 0.001 * index for index in range(30)]
        samples = [
            Sample(s, {stage: factor * t for stage, t in stages.items()}, 10**8) for s in seconds
        ]
        run = Run(name, Cold(1.0, 0.5, 0.4), [samples], 2 * 10**8)
        results.append(contender_result(run, case, costs, rates))
    results.append(contender_result(Run("compile", failure="killed"), case, costs, rates))
    return BenchResult(
        {"CPU": "one <of> ours"},
        {"identity": "ab" * 32, "weights": "synthetic:3"},
        "keeprt bench bundle",
        rates,
        (CaseResult(case, rates, (rates,), tuple(results)),),
        {"keeprt": {25: 2, 60: 1}, "eager": {25: 1, 60: 0}},
    )


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_shows_what_was_measured(
    open_report: Any, tiny_bundle: Path, tmp_path: Path, dark: bool
) -> None:
    path = tmp_path / "bench.html"
    result = made_result(tiny_bundle)
    write_page(result, path, date(2030, 1, 2))
    page = open_report(path, width=390 if dark else 1100, dark=dark).page
    headings = page.locator("h2").all_inner_texts()
    assert headings == ["Stream, 1 face", "Physics: stream, 1 face", "Streams sustained"]
    text = page.locator("body").inner_text()
    ours = result.cases[0].contenders[0]
    assert ours.call_ms is not None
    for shown in ("one <of> ours", "2030-01-02", f"{ours.call_ms.p50:.1f}", "hq_encoder"):
        assert shown in text
    assert "eager takes" in text and "synthetic" in text
    assert text.count("matrix products 100 GFLOP/s") == 1 and "medians of" not in text
    assert page.locator(".bad").count() == 2, "what failed is marked, and a time that is unstable"
    assert path.stat().st_size < 500_000


def test_predictions_are_labelled_as_such(bench: Command, tiny_bundle: Path) -> None:
    code, printed, _ = bench(tiny_bundle, "--predict", "L4,RTX 4090")
    assert code == 0
    assert "PREDICTION" in printed and "not measured" in printed and "datasheet" in printed
    assert "RTX 4090" in printed and "A10" not in printed
    for types in ("fp32", "if all were TF32", "if all were fp16", "if all were fp8"):
        assert f"({types})" in printed


def test_predictions_of_all_cards_are_read_in_80_columns(tiny_bundle: Path) -> None:
    console = Console(width=80, file=io.StringIO())
    for table in prediction_tables(predictions(tiny_bundle, "all", 8)):
        console.print(table)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= 80
    for card in CARDS.values():
        found = [line for line in printed.splitlines() if line.startswith(f" {card.name} ")]
        words = 1 + sum(bool(rate) for rate in (1, card.tf32_tflop_s, card.fp8_tflop_s))
        assert len(found) == words + 1, "a row for each type, and its sheet's rates"


def test_predictions_go_into_files_too(bench: Command, tiny_bundle: Path, tmp_path: Path) -> None:
    file, page = tmp_path / "p.json", tmp_path / "p.html"
    code, _, errors = bench(
        tiny_bundle, "--predict", "L4,RTX 4090", "--json", file, "--report", page
    )
    assert code == 0, errors
    content = json.loads(file.read_text())
    assert content["format"] == "keeprt-bench"
    cards = [one["card"]["name"] for one in content["result"]["predictions"]]
    assert cards == ["L4"] * 4 + ["RTX 4090"] * 4
    assert "RTX 4090" in page.read_text() and "not measured" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rivals", "tvm"], "unknown rival 'tvm'; choose among"),
        (["--mode", "film"], "--mode is 'film': give stream, clip or both"),
        (["--faces", "1,x"], "--faces '1,x': give whole numbers"),
        (["--faces", "0"], "--faces '0'"),
        (["--rounds", "0"], "--rounds is 0: give a whole number from 1 on"),
        (["--predict", "RTX 9999"], "no datasheet of 'RTX 9999'; there are:"),
        (["--json", "/nowhere/at/all.json"], "the folder /nowhere/at does not exist"),
    ],
)
def test_what_cannot_be_is_one_line(
    bench: Command, tiny_bundle: Path, arguments: list[str], said: str
) -> None:
    code, printed, errors = bench(tiny_bundle, *arguments)
    assert code == 2 and not printed
    assert said in errors.replace("\n", " ") and "Traceback" not in errors


def test_a_bundle_of_a_file_needs_its_weights_for_the_reference(
    bench: Command, tiny_bundle: Path, tmp_path: Path
) -> None:
    from keeprt.engine.bundle.load import parse_manifest

    copy = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, copy)
    file = copy / "manifest.json"
    manifest = parse_manifest(file.read_text(), file)
    object.__setattr__(manifest, "weights_source", "KEEP.pth")
    file.write_text(manifest.to_json())
    code, _, errors = bench(copy)
    assert code == 2 and "needs the reference's weights (KEEP.pth)" in errors.replace("\n", " ")


def test_no_bundle_is_one_line(bench: Command, tmp_path: Path) -> None:
    code, _, errors = bench(tmp_path)
    assert code == 2 and "is no bundle" in errors


@pytest.mark.skipif(not REASON, reason="this machine has a GPU")
@pytest.mark.parametrize("arguments", [["--backend", "rtx"], ["--provider", "cuda"]])
def test_without_a_gpu_a_card_is_refused_before_anything_is_measured(
    bench: Command, tiny_bundle: Path, arguments: list[str]
) -> None:
    code, _, errors = bench(tiny_bundle, *arguments)
    assert code == 2 and "keeprt doctor" in errors
