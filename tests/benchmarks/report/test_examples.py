"""The committed examples as readers see them: on a phone, a laptop and paper, light and dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keeprt.benchmarks import report as r
from tests.benchmarks.conftest import OpenedReport
from tests.browser import overlaps

Open = Callable[..., OpenedReport]
EXAMPLES = Path(__file__).parents[3] / "benchmarks" / "examples"
PHONE, LAPTOP, A4 = 390, 1280, 680  # CSS pixels; of A4 what its margins leave


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, LAPTOP, A4])
@pytest.mark.parametrize("name", ["bench", "verify", "evaluate"])
def test_nothing_overlaps_or_complains(
    open_report: Open, name: str, width: int, dark: bool
) -> None:
    """Console, network, pictures and the page's width are checked when it is closed."""
    page = open_report(EXAMPLES / f"{name}.html", width=width, dark=dark).page
    if width == A4:
        page.emulate_media(media="print", color_scheme="dark" if dark else "light")
    assert page.locator("h2").count() >= 2 and page.locator("table").count() >= 1
    assert overlaps(page) == []


def test_texts_over_each_other_are_found(open_report: Open, tmp_path: Path) -> None:
    path = tmp_path / "one.html"
    table = r.Table(["name", "value", "limit"], [["decoder", "0.123", "0.125"]])
    chart = r.timeline({"ours": [1, 2, 3]}, "ms", title="Time")
    r.write_report(r.Report("One", [r.Section("Only", [table, chart])]), path)
    page = open_report(path).page
    assert overlaps(page) == []
    moved = "e => { e.style.position = 'relative'; e.style.left = '-%dpx' }"
    cells = page.locator("tbody td").all()
    near = [box for box in (cell.bounding_box() for cell in cells) if box]
    cells[1].evaluate(moved % (near[1]["x"] - near[0]["x"]))
    assert overlaps(page) == ["0.123 | 0.125"]
    cells[1].evaluate("e => { e.style.left = '0' }")
    assert overlaps(page) == []
    page.evaluate(
        """() => {
            const [one, other] = document.querySelectorAll(".wide text");
            for (const name of ["x", "y", "transform"])
                other.setAttribute(name, one.getAttribute(name) || "");
        }"""
    )
    assert len(overlaps(page)) == 1, "texts of a chart"
