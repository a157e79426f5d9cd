"""Networks and bundles that many tests share, each made once per session."""

from __future__ import annotations

import getpass
import os
import re
import signal
import tempfile
from collections.abc import Callable, Generator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.browser import chromium
from tests.networks import export, export_cached, export_small, tiny_network
from tests.turns import turn

__all__ = ["chromium"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bundles",
        type=Path,
        help="folder of small bundles made by `python -m tests.networks FOLDER`: they are then not "
        "exported, and tests that need a bundle but no torch run where torch is not installed",
    )


WITHOUT_TORCH = find_spec("torch") is None
NEEDS_TORCH = re.compile(r"^(import|from) (torch|keeprt\.export|tests\.goldens)\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Where torch is not installed, test modules that import it at their top are left out."""
    if WITHOUT_TORCH and collection_path.name.startswith("test_"):
        return bool(NEEDS_TORCH.search(collection_path.read_text("utf-8"))) or None
    return None


def pytest_report_header() -> list[str]:
    left_out = "torch is not installed: modules of tests that import it are left out"
    return [left_out] if WITHOUT_TORCH else []


def pytest_configure() -> None:
    # A shell starts what it runs in the background with Ctrl-C ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored under nohup, by children too


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """With `-n`, a test in real time waits until it is alone, and the others until it is done."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    folder = Path(tempfile.gettempdir()) / f"keeprt-tests-{getpass.getuser()}"
    folder.mkdir(exist_ok=True)
    with turn(folder, alone=item.get_closest_marker("realtime") is not None):
        return (yield)


@pytest.fixture(scope="session")
def reference():
    """The released network with synthetic weights of seed 1, as the golden vectors were made."""
    pytest.importorskip("torch")
    from keeprt.export.model import Keep
    from keeprt.export.weights.load import load_checkpoint

    network = Keep().eval().requires_grad_(False)
    network.load_state_dict(load_checkpoint("synthetic:1"), strict=True)
    return network


@pytest.fixture(scope="session")
def reference_run(reference):
    """The reference over the four golden frames, as one clip."""
    import torch

    from tests.goldens import pictures_512, to_clip

    with torch.no_grad():
        return list(reference.run(to_clip(pictures_512())))


@pytest.fixture(scope="session")
def tiny():
    """The small network, with weights in which every part matters."""
    pytest.importorskip("torch")
    return tiny_network()


@pytest.fixture(scope="session")
def tiny_without_kalman():
    pytest.importorskip("torch")
    return tiny_network(kalman=False)


@pytest.fixture(scope="session")
def tiny_without_cfa():
    pytest.importorskip("torch")
    return tiny_network(cfa=False)


@pytest.fixture(scope="session")
def bundles(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small bundles by the hash of their sources, kept between sessions by pytest's cache."""
    cache = getattr(request.config, "cache", None)  # absent with -p no:cacheprovider
    return cache.mkdir("keeprt-bundles") if cache else tmp_path_factory.mktemp("bundles")


@pytest.fixture(scope="session")
def exported(bundles: Path) -> Callable[..., Path]:
    """Exports any small network, or finds its bundle."""
    return lambda network: export_cached(network, bundles)


@pytest.fixture(scope="session")
def small_bundle(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """A bundle of SMALL by its name: handed over by --bundles, or exported."""
    given: Path | None = request.config.getoption("--bundles")

    def find(name: str) -> Path:
        if given is not None:
            return given / name
        pytest.importorskip("torch", reason="no torch to export with, and no --bundles")
        return export_small(name, request.getfixturevalue("bundles"))

    return find


@pytest.fixture(scope="session")
def tiny_bundle(small_bundle: Callable[[str], Path]) -> Path:
    return small_bundle("tiny")


@pytest.fixture(scope="session")
def tiny_bundle_without_kalman(small_bundle: Callable[[str], Path]) -> Path:
    return small_bundle("tiny_without_kalman")


@pytest.fixture(scope="session")
def tiny_bundle_without_cfa(small_bundle: Callable[[str], Path]) -> Path:
    return small_bundle("tiny_without_cfa")


@pytest.fixture(scope="session")
def full_bundle(reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released network as a bundle (650 MB, most of a minute)."""
    return export(reference, tmp_path_factory.mktemp("full") / "bundle", "synthetic:1")
