"""The page of an evaluation, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from keeprt.benchmarks.evaluate.lossless import write_clip
from tests.networks import faces

pytest.importorskip("skimage")
pytest.importorskip("matplotlib")

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def page(keeprt: Command, tmp_path: Path, tiny_bundle: Path) -> Path:
    write_clip(tmp_path / "sharp.mkv", faces(4), Fraction(25))
    path = tmp_path / "page.html"
    code, _, said = keeprt("evaluate", tiny_bundle, "--clip", tmp_path / "sharp.mkv", "--aligned",
                           "--level", "mild,heavy", "--out", tmp_path / "out", "--threads", 1,
                           "--report", path)  # fmt: skip
    assert code == 0, said
    return path


@pytest.mark.slow
def test_the_page_shows_what_was_found(page: Path, open_report: Any, keeprt: Command) -> None:
    assert page.stat().st_size < 1_000_000
    shown = open_report(page).page
    assert shown.locator("h2").all_inner_texts() == ["Mild", "Heavy", "Pictures", "What was run"]
    assert "mean nothing" in shown.locator("body").inner_text()
    assert "the paper's Table A1" in shown.locator("body").inner_text()
    table = shown.locator("table").first
    assert table.locator("tbody tr").count() == 5 + 1, "the paper's own row is the last"
    assert "paper: KEEP" in table.locator("tbody tr").last.inner_text()
    assert "27.99" in table.locator("tbody tr").last.inner_text() or "28.00" in page.read_text()
    assert not table.get_by_text("not given").count(), "columns that nothing computed are left out"
    assert table.get_by_text("E_warp").count() == 1
    assert str(page.parent) not in page.read_text()
    # PSNR of 4 frames and E_warp of 3 for five methods, at two levels
    assert shown.locator(".layout.wide svg .mark").count() == 2 * 5 * (4 + 3)
    # two sliders of two levels each
    assert shown.locator("input[type=range]").count() == 4
    assert shown.locator("img").count() == 2 * 6 + 2 * 2 * 2
    assert shown.locator(".pictures.exact img").count() == 2 * 6

    out, before = page.parent / "out", page.read_bytes()
    code, _, _ = keeprt("evaluate", "--from", out, "--report", page, "--overwrite")
    assert code == 0 and page.read_bytes() == before
    (out / "sharp" / "mild" / "stream_flicker.png").unlink()
    code, _, said = keeprt("evaluate", "--from", out, "--report", page, "--overwrite")
    assert code == 2 and "stream_flicker.png" in said and page.read_bytes() == before
