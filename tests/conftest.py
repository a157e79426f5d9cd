"""Networks and bundles that many tests share, each made once per session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .networks import tiny_network


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
def exported(request: pytest.FixtureRequest) -> Callable[..., Path]:
    """Exports a small network once; unchanged sources find their bundle in pytest's cache."""
    from .networks import export_cached

    folder = request.config.cache.mkdir("keeprt-bundles")
    return lambda network: export_cached(network, folder)


@pytest.fixture(scope="session")
def tiny_bundle(tiny, exported) -> Path:
    return exported(tiny)


@pytest.fixture(scope="session")
def full_bundle(reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released network as a bundle (650 MB, most of a minute)."""
    from .networks import export

    return export(reference, tmp_path_factory.mktemp("full") / "bundle", "synthetic:1")
