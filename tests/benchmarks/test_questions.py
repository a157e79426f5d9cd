"""The paper's questions: cases, and tables from figures."""

from __future__ import annotations

from keeprt.benchmarks.demo import SHOWN
from keeprt.benchmarks.evaluate.levels import LEVELS
from keeprt.benchmarks.questions.cases import DEMO_LEVEL, SEEDS, SHIPPED, WHOLE, Case, all_cases
from keeprt.benchmarks.questions.tables import networks_table, tables

NAMES = ["ways", "parts", "flows", "windows"]


def figures(case: Case) -> dict[str, float]:
    """Made up: a network is the worse, the longer its name."""
    quality = 30.0 - len(case.network) + case.seed
    keys = ("ssim", "akd_px", "sigma_akd_px", "e_warp", "flicker", "flow_px")
    return {"psnr_db": quality} | dict.fromkeys(keys, 0.5)


def test_no_case_is_asked_twice_and_all_tables_can_be_made() -> None:
    cases = all_cases()
    assert len({case.key for case in cases}) == len(cases)
    known = {case.key: figures(case) for case in cases}
    assert [name for name, _ in tables(known)] == NAMES
    shipped = {key: value for key, value in known.items() if key.startswith(f"{SHIPPED}/")}
    assert [name for name, _ in tables(shipped)] == ["ways", "windows"]


def test_a_row_is_the_mean_of_its_clips_and_says_on_how_many_the_whole_is_better() -> None:
    known = {case.key: figures(case) for case in all_cases()}
    known[Case("pyramid", "mild", 0).key] = figures(Case("pyramid", "mild", 0)) | {"psnr_db": 99.0}
    lines = list(networks_table(known, ["pyramid"], ()))
    mean = (99 + 24 + 25) / 3
    assert lines[0].startswith("| level | network | PSNR, dB |")
    assert lines[2].startswith("| mild | whole | 27.00 |")
    assert lines[3].startswith("| mild | whole, as shipped | 24.00 |")
    assert lines[4].startswith(f"| mild | pyramid | {mean:.2f} |")
    assert lines[4].endswith(f"| {27 - mean:+.2f} dB, 2 of 3 clips |")


def test_degradations_are_the_papers_and_the_demos() -> None:
    assert Case(WHOLE, DEMO_LEVEL, 1).degradation(256) == SHOWN
    drawn = [Case(WHOLE, "heavy", seed).degradation(256) for seed in SEEDS]
    assert len(set(drawn)) == len(SEEDS)
    low, high = LEVELS["heavy"].sigma
    assert all(low / 2 <= one.blur_sigma <= high / 2 for one in drawn)
