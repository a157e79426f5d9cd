"""When a file is done again: a pure function of its receipt and of what is there now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeprt.engine.archive.receipt import (
    Output,
    Receipt,
    decide,
    receipt_name,
    receipt_of,
)
from keeprt.engine.archive.store import Version, open_store

SOURCE, MADE = Version(100, "a"), Version(50, "b")
DONE = Receipt(
    "done", "recipe", SOURCE, 1, Output(MADE, "00", 3, 1, 3, 0.5, ("sound was left out",))
)
FAILED = Receipt("failed", "recipe", SOURCE, 1, error="broken")


def verdict(receipt: Receipt | None, output: Version | None = MADE, **changes: object) -> str:
    now = {"recipe": "recipe", "source": SOURCE, "attempts": 3, "retry_failed": False} | changes
    recipe, source = now.pop("recipe"), now.pop("source")
    return decide(receipt, recipe, source, output, **now)  # type: ignore[arg-type]


def test_what_is_done_and_unchanged_is_skipped() -> None:
    assert verdict(DONE) == "skip"
    assert verdict(None) == "restore"


@pytest.mark.parametrize(
    ("changes", "output"),
    [
        ({"recipe": "another"}, MADE),
        ({"source": Version(100, "later")}, MADE),
        ({"source": Version(101, "a")}, MADE),
        ({}, None),
        ({}, Version(49, "b")),
        ({}, Version(50, "later")),
    ],
)
def test_whatever_changed_is_done_again(changes: dict[str, object], output: Version | None) -> None:
    assert verdict(DONE, output, **changes) == "restore"


def test_what_failed_is_tried_again_only_when_asked_for_or_changed() -> None:
    assert verdict(FAILED, None) == "given up"
    assert verdict(FAILED, None, retry_failed=True) == "restore"
    assert verdict(FAILED, None, recipe="another") == "restore"


def test_a_file_whose_process_died_is_tried_so_often_and_no_more() -> None:
    died = replace(FAILED, status="started", error="")
    tried = [verdict(replace(died, attempts=n), None) for n in (1, 2, 3, 4)]
    assert tried == ["restore", "restore", "given up", "given up"]


@given(
    st.sampled_from(["started", "done", "failed"]),
    st.text(),
    st.integers(0, 2**60),
    st.text(),
    st.integers(1, 9),
)
def test_a_receipt_survives_its_file(
    status: str, recipe: str, size: int, mark: str, attempts: int
) -> None:
    store = open_store("memory://receipts")
    output = DONE.output if status == "done" else None
    written = Receipt(status, recipe, Version(size, mark), attempts, output, mark)  # type: ignore[arg-type]
    receipt_of(store, "a/b.mp4").write(written)
    assert receipt_of(store, "a/b.mp4").read() == written


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "keeprt-receipt"}', "[" * 9999])
def test_a_damaged_receipt_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / receipt_name("b.mp4")).write_text(text)
    assert receipt_of(open_store(tmp_path), "b.mp4").read() is None
