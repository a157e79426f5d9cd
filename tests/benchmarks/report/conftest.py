"""The page of every block, written once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from keeprt.benchmarks import report as r
from tests.benchmarks.report.synthetic_report import synthetic_report


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    r.write_report(synthetic_report(), path)
    return path
