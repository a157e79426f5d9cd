"""The report as a reader sees it: opened in Chromium, in light, in dark, on a phone, on paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from keeprt.benchmarks import report as r

from .synthetic_report import STAGES, synthetic_report

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

Open = Callable[..., "object"]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    r.write_report(synthetic_report(), path)
    return path


def write(tmp_path: Path, *blocks: r.Block, **options: object) -> Path:
    path = tmp_path / "one.html"
    r.write_report(r.Report("One", [r.Section("Only", blocks)], **options), path)
    return path


def at(page: Page) -> float:
    """Where the first divider is drawn, as a share of its picture's width."""
    stage = page.locator(".stage").first.bounding_box()
    divider = page.locator(".stage .divider").first.bounding_box()
    return (divider["x"] + divider["width"] / 2 - stage["x"]) / stage["width"]


def test_text_and_tables_say_what_they_were_given(open_report, page_file) -> None:
    page = open_report(page_file).page
    assert page.title() == "Every block of a report"
    assert page.locator("h2").all_inner_texts() == [
        "Latency",
        "How far from the limit",
        "Accuracy",
        "Pictures",
    ]
    assert page.locator(".facts dt").all_inner_texts()[:2] == ["machine", "versions"]
    assert page.locator(".verdict").all_inner_texts() == [
        "passed\n\nAll 12 thresholds hold over 300 frames.",
        "failed\n\ndecoder departs: PSNR 38.2 dB is below 60 dB.",
    ]
    rows = page.locator("table").first.locator("tbody tr").all_inner_texts()
    assert rows[0].split("\t") == ["one face, stream", "6.21", "6.43", "6.90", "0.161"]
    assert rows[2].split("\t") == ["four faces, stream", "24.60", "25.11", "–", "0.041"]
    assert page.locator(".highlights .value").all_inner_texts() == ["6.21", "0.161", "0", "3.42"]
