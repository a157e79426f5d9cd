"""A restorer for whole videos, and what watches a run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from keeprt.engine.restorer import Restorer
from tests.engine.pipeline_clips import Watched


@pytest.fixture(scope="module")
def restorer(tiny_bundle: Path) -> Restorer:
    return Restorer.load(tiny_bundle, max_faces=2, threads=1)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before
