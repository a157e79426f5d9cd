"""A float32 bundle written again in another precision, without the network it came from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from keeprt.engine.bundle.load import MANIFEST, Bundle
from keeprt.engine.errors import UsageError
from keeprt.export.bundle_writer import new_bundle_folder
from keeprt.export.precision.bundle import convert_subgraph
from keeprt.export.precision.islands import Island, islands_of


def convert_bundle(
    bundle: Bundle,
    path: str | Path,
    precision: str,
    *,
    islands: tuple[Island, ...] | None = None,
    overwrite: bool = False,
    notify: Callable[[str], None] = lambda text: None,
) -> None:
    """Writes a checked fp32 bundle to `path` in `precision`; the same files as an export's.

    `islands` replaces the table's, for studies. Raises UsageError for an unknown precision or a
    bundle that is not fp32, BundleError as `export_bundle` does.
    """
    islands_of(precision)
    if bundle.manifest.precision != "fp32":
        raise UsageError(
            f"{bundle.path} is {bundle.manifest.precision}; only fp32 can be converted"
        )
    with new_bundle_folder(Path(path), overwrite) as work:
        subgraphs = {}
        for name, spec in bundle.subgraphs.items():
            shutil.copyfile(bundle.file(name), work / spec.file)
            subgraphs[name] = convert_subgraph(work, name, spec, precision, notify, islands)
        manifest = replace(bundle.manifest, precision=precision, subgraphs=subgraphs)
        (work / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
