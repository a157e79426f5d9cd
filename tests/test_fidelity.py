"""docs/fidelity.md holds every container and encoder, and says what runs say."""

from __future__ import annotations

import logging
from pathlib import Path

import av
import pytest

from keeprt.engine.media.containers import CONTAINERS
from keeprt.engine.media.writing.encoders import ENCODERS
from tests.fidelity.properties import BESIDE, PICTURE, Property
from tests.fidelity.sheet import SILENT, column, columns_of

PAGE = Path(__file__).parents[1] / "docs/fidelity.md"
_NAMES = ("beside", "by container", "by encoder")
_TABLES = dict(zip(_NAMES, PAGE.read_text("utf-8").split("\n## ")[1:], strict=True))


def cells(table: str, title: str) -> dict[str, str]:
    """The first words of one column by the names of the rows."""
    rows = [
        line.strip("| ").split(" | ") for line in _TABLES[table].splitlines() if line[:1] == "|"
    ]
    at = rows[0].index(title) + 1
    return {row[0]: row[at].split(" [")[0].split(":")[0] for row in rows[2:]}


def test_every_container_and_encoder_is_on_the_page() -> None:
    for suffix in CONTAINERS:
        assert cells("beside", suffix) and cells("by container", suffix)
    text = _TABLES["by encoder"]
    assert all(f" {codec}" in text for codec in ENCODERS)


def test_nothing_is_lost_in_silence() -> None:
    assert SILENT not in PAGE.read_text("utf-8")


@pytest.mark.slow
@pytest.mark.skipif(
    f"PyAV {av.__version__.split('.')[0]}." not in PAGE.read_text("utf-8"),
    reason="the page was made with another PyAV",
)
@pytest.mark.parametrize(
    ("table", "title", "properties"),
    [
        ("beside", ".mp4", BESIDE),
        ("beside", ".ts", BESIDE),
        ("by container", ".webm", PICTURE),
        ("by encoder", "mpeg2video in .ts", PICTURE),
        ("by encoder", "libx264 in .mkv", PICTURE),
    ],
)
def test_the_page_says_what_runs_say(
    table: str, title: str, properties: tuple[Property, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    suffix, codec = columns_of(table)[title]
    said = cells(table, title)
    for one, verdict in zip(properties, column(properties, suffix, codec), strict=True):
        assert verdict.word.removesuffix(" [") == said[one.name], one.name
