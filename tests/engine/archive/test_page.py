"""The page of an archive: every file is on it, what is wrong first, and no name can break it."""

from __future__ import annotations

from html.parser import HTMLParser

from keeprt.engine.archive.one import Row
from keeprt.engine.archive.page import page
from keeprt.engine.archive.run import ArchiveResult

EVIL = 'x"><script>alert(1)</script>&.mp4'
ROWS = [
    Row("a.mp4", "a.mp4", "restored", 90, 2, 150, 12.34, 1),
    Row("b.mp4", "b.mp4", "done before", 30, 1, 30, 3.0, 2, warnings=("mastering display",)),
    Row(EVIL, EVIL, "failed", error="no <video> at all", attempts=1),
]


class Table(HTMLParser):
    """The cells of each row, and whether every tag was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_every_file_has_a_row_and_what_is_wrong_comes_first() -> None:
    table = Table(page(ArchiveResult(ROWS, ["notes.txt"], 15.0)))
    assert table.open == []
    assert table.rows[0] == [
        *("file", "status", "frames", "people", "faces", "seconds", "what to know"),
    ]
    assert table.rows[1:] == [
        [EVIL, "failed", "", "", "", "", "no <video> at all"],
        ["b.mp4", "done before", "30", "1", "30", "3.0", "mastering display2 attempts"],
        ["a.mp4", "restored", "90", "2", "150", "12.3", ""],
    ]


def test_totals_and_what_was_left_alone_are_said_and_nothing_is_fetched() -> None:
    text = page(ArchiveResult(ROWS, ["<b>.txt"], 15.0))
    assert "3 files: 1 restored, 1 done before, 1 failed. 120 frames" in text
    assert "&lt;b&gt;.txt" in text and "<script" not in text
    assert "http" not in text and " src=" not in text and "@import" not in text
