"""The page has a place for each measured table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.live.tables import written

PAGE = Path(__file__).parents[3] / "docs" / "live.md"


@pytest.mark.parametrize("name", ["delays", "busy", "faults"])
def test_a_table_takes_the_place_of_the_one_before(name: str) -> None:
    page = PAGE.read_text("utf-8")
    once = written(page, name, "| one \\1 |")
    assert "| one \\1 |" in once and written(once, name, "| two |").count("| two |") == 1
    with pytest.raises(SystemExit, match="0 places"):
        written(page, "other", "")
