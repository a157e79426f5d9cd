"""Bundles whose plans are built."""

from __future__ import annotations

import pytest

from keeprt.engine.bundle.load import Bundle, load_bundle
from tests.engine.libraries.tensorrt.plans import only


@pytest.fixture(scope="module")
def mixed(tiny_bundle, tmp_path_factory) -> Bundle:
    pytest.importorskip("torch", reason="needs keeprt[export]")
    from keeprt.export.precision.graph_copy import convert_bundle

    path = tmp_path_factory.mktemp("mixed") / "bundle"
    convert_bundle(load_bundle(tiny_bundle), path, "mixed")
    return load_bundle(path)


@pytest.fixture
def one(mixed) -> Bundle:
    """A bundle of its smallest subgraph, for tests that only need some plan."""
    return only(mixed, "flow_features")
