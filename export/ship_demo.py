"""Puts trained demo weights into the package: the file, its recipe, and the bundle made of it.

keeprt train --recipe demo --out demo.safetensors
python -m keeprt.export.ship_demo demo.safetensors
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import onnx
from safetensors import safe_open

from keeprt.engine.bundle.load import DEMO_FOLDER, MANIFEST, file_sha256, load_bundle
from keeprt.export.bundle_writer import new_bundle_folder
from keeprt.export.half_storage import store_as_half
from keeprt.export.pipeline import export_weights
from keeprt.export.weights import demo
from keeprt.export.weights.file import RECIPE


def ship(weights: Path) -> None:
    """Replaces the package's demo weights and bundle. Raises CheckpointError or BundleError."""
    with safe_open(weights, "pt") as file:
        recipe = json.loads(file.metadata()[RECIPE])
    if weights.resolve() != demo.FILE.resolve():
        shutil.copyfile(weights, demo.FILE)
        demo.FILE.chmod(0o644)
    recipe |= {"sha256": hashlib.sha256(demo.FILE.read_bytes()).hexdigest()}
    demo.RECIPE.write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
    write_demo_bundle(DEMO_FOLDER)


def write_demo_bundle(target: Path) -> None:
    """Exports the package's demo weights; what is float16 there stays so in the files."""
    with tempfile.TemporaryDirectory() as folder:
        wide = Path(folder) / "bundle"
        export_weights(demo.DEMO, wide)
        bundle = load_bundle(wide)
        with new_bundle_folder(target, overwrite=True) as work:
            subgraphs = {}
            for name, spec in bundle.subgraphs.items():
                model = onnx.load(bundle.file(name))
                store_as_half(model)
                file = work / spec.file
                onnx.save(model, file)
                size = file.stat().st_size
                subgraphs[name] = replace(spec, sha256=file_sha256(file), size_bytes=size)
            manifest = replace(bundle.manifest, subgraphs=subgraphs)
            (work / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")


if __name__ == "__main__":
    ship(Path(sys.argv[1]))
