"""What the tests of the builder ask it for."""

from __future__ import annotations

from dataclasses import replace

from keeprt.engine.bundle.load import Bundle
from keeprt.engine.libraries.tensorrt.build_all import BuildRequest
from keeprt.engine.libraries.tensorrt.plan_store import Profile

PROFILE = Profile(faces=(1, 1, 4))


def only(bundle: Bundle, name: str) -> Bundle:
    manifest = replace(bundle.manifest, subgraphs={name: bundle.subgraphs[name]})
    return replace(bundle, manifest=manifest)


def request(*targets: str, **changes) -> BuildRequest:
    return BuildRequest(targets=targets or ("sm89",), **({"profile": PROFILE} | changes))
