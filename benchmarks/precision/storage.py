"""Half-precision bundles on a processor, with every half result stored as a card stores it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import onnx

from keeprt.engine.bundle.load import Bundle, file_sha256
from keeprt.engine.bundle.specs import TensorSpec
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from keeprt.export.precision.stored import HALVES, has_half, store_half

HALF_TYPES = set(HALVES.values())


def stored_backend(
    bundle: Bundle, threads: int | None = None, *, tf32: bool = False
) -> OnnxRuntimeBackend:
    """ONNX Runtime on a processor; half results are rounded in float32 graphs (`store_half`).

    With `tf32` the float32 islands' products read TF32 operands. A float32 bundle runs as it is.
    """
    with tempfile.TemporaryDirectory() as folder:
        return OnnxRuntimeBackend(stored_bundle(bundle, Path(folder), tf32=tf32), threads=threads)


def stored_bundle(
    bundle: Bundle, folder: Path, *, tf32: bool = False, wide_borders: bool = False
) -> Bundle:
    """The bundle with its graphs rewritten in `folder`; see `store_half`."""
    subgraphs = {}
    for name, spec in bundle.subgraphs.items():
        model = onnx.load(bundle.file(name))
        if tf32 or has_half(model):
            model = store_half(model, tf32=tf32, wide_borders=wide_borders)
        file = folder / spec.file
        onnx.save(model, file)
        subgraphs[name] = replace(
            spec,
            sha256=file_sha256(file),
            size_bytes=file.stat().st_size,
            inputs=_widened(spec.inputs) if wide_borders else spec.inputs,
            outputs=_widened(spec.outputs) if wide_borders else spec.outputs,
        )
    # What it computes in, whatever it rounds to: this runs on a processor.
    return Bundle(folder, replace(bundle.manifest, subgraphs=subgraphs, precision="fp32"))


def _widened(specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    return tuple(
        replace(spec, dtype="float32") if spec.dtype in HALF_TYPES else spec for spec in specs
    )
