"""Networks and bundles that many tests share, each made once per session."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from .networks import export, export_cached, tiny_network


def pytest_configure() -> None:
    # A shell starts what it runs in the background with Ctrl-C ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def reference():
    """The released network with synthetic weights of seed 1, as the golden vectors were made."""
    from keeprt.export.checkpoint import load_checkpoint
    from keeprt.export.model import Keep

    network = Keep().eval().requires_grad_(False)
    network.load_state_dict(load_checkpoint("synthetic:1"), strict=True)
    return network


@pytest.fixture(scope="session")
def reference_run(reference):
    """The reference over the four golden frames, as one clip."""
    import torch

    from .goldens import pictures_512, to_clip

    with torch.no_grad():
        return list(reference.run(to_clip(pictures_512())))


@pytest.fixture(scope="session")
def tiny():
    """The small network, with weights in which every part matters."""
    return tiny_network()


@pytest.fixture(scope="session")
def tiny_without_kalman():
    return tiny_network(kalman=False)


@pytest.fixture(scope="session")
def tiny_without_cfa():
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
def tiny_bundle(tiny, bundles: Path) -> Path:
    return export_cached(tiny, bundles)


@pytest.fixture(scope="session")
def tiny_bundle_without_kalman(tiny_without_kalman, bundles: Path, tiny_bundle: Path) -> Path:
    return export_cached(tiny_without_kalman, bundles, like=tiny_bundle)


@pytest.fixture(scope="session")
def tiny_bundle_without_cfa(tiny_without_cfa, bundles: Path, tiny_bundle: Path) -> Path:
    return export_cached(tiny_without_cfa, bundles, like=tiny_bundle)


@pytest.fixture(scope="session")
def full_bundle(reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released network as a bundle (650 MB, most of a minute)."""
    return export(reference, tmp_path_factory.mktemp("full") / "bundle", "synthetic:1")
