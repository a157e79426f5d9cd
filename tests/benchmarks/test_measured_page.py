"""Each page has one place for each measured table, and a new table takes the old one's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from keeprt.benchmarks.measured_page import written

DOCS = Path(__file__).parents[2] / "docs"
TABLES = {
    "live.md": ("delays", "busy", "faults"),
    "small-network.md": ("ways", "parts", "flows", "windows"),
}


@pytest.mark.parametrize(
    ("page", "name"), [(page, name) for page in TABLES for name in TABLES[page]]
)
def test_a_table_takes_the_place_of_the_one_before(page: str, name: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    once = written(text, name, "| one \\1 |")
    assert "| one \\1 |" in once and written(once, name, "| two |").count("| two |") == 1
    with pytest.raises(SystemExit, match="0 places"):
        written(text, "other", "")
