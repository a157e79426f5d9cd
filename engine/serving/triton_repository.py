"""A Triton model repository for a bundle: its configuration, and a model.py that imports ours."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keeprt.engine.bundle import Bundle, load_bundle
from keeprt.engine.errors import UsageError
from keeprt.engine.serving.triton_model import END, FACE, INDEX, PARAMETERS, RESTORED, START

MODEL_NAME = "keeprt"
MODEL = '''"""Written by `keeprt triton`: the model is keeprt's own."""

import importlib.util
import site

if importlib.util.find_spec("keeprt") is None:
    # The server's Python is isolated and sees no virtual environment: this one wrote the file.
    for folder in {folders!r}:
        site.addsitedir(folder)

from keeprt.engine.serving.triton_model import TritonModel as TritonPythonModel  # noqa: E402

__all__ = ["TritonPythonModel"]
'''


@dataclass(frozen=True)
class ServingOptions:
    """faces: of one batch. sequences: that may run at once, each with a state in memory. idle_s:
    after which a silent client's place is free. delay_ms: that a frame may wait for others to fill
    a batch; a lone channel then waits so long for each frame. load: as `Restorer.load` takes it."""

    faces: int = 4
    sequences: int = 8
    idle_s: float = 3.0
    delay_ms: float = 0.0
    on_card: bool = False
    load: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.faces < 1 or self.sequences < 1:
            raise UsageError("faces and sequences are at least 1")
        if self.idle_s <= 0 or self.delay_ms < 0:
            raise UsageError("idle is above 0 seconds, delay at least 0 milliseconds")


def write_repository(bundle: str | Path, out: Path, options: ServingOptions) -> Path:
    """Writes `out`/keeprt with its configuration and version 1; gives the model's folder.

    Raises BundleError for a bundle that cannot be used, UsageError where something is there already
    or cannot be written. Nothing half-written is left.
    """
    checked = load_bundle(bundle)
    folder, partial = out / MODEL_NAME, out / f".{MODEL_NAME}.part"
    if folder.exists():
        raise UsageError(f"{folder} exists already: remove it, or give another --out")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "1").mkdir(parents=True)
        (partial / "config.pbtxt").write_text(configuration(checked, options), encoding="utf-8")
        (partial / "1" / "model.py").write_text(model_text(), encoding="utf-8")
        partial.replace(folder)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def model_text() -> str:
    """The text of model.py, which finds the packages of the environment that writes it."""
    return MODEL.format(folders=[path for path in sys.path if path.endswith("-packages")])


def configuration(bundle: Bundle, options: ServingOptions) -> str:
    """The text of config.pbtxt: one face a request, batches by the server's sequence batcher.

    The id of a sequence travels as the request's own: with a CORRID control, ids that are text
    would be lost.
    """
    side = bundle.face_size
    asked = {
        "bundle": str(bundle.path.resolve()),
        "load": {"max_faces": options.faces, **options.load},
        "sequences": options.sequences,
    }
    kind = "KIND_GPU" if options.on_card else "KIND_CPU"
    return f"""# Written by `keeprt triton`.
name: "{MODEL_NAME}"
backend: "python"
max_batch_size: {options.faces}
input [
  {{ name: "{FACE}" data_type: TYPE_UINT8 dims: [ {side}, {side}, 3 ] }},
  {{ name: "{INDEX}" data_type: TYPE_INT32 dims: [ 1 ] }}
]
output [
  {{ name: "{RESTORED}" data_type: TYPE_UINT8 dims: [ {side}, {side}, 3 ] }}
]
sequence_batching {{
  max_sequence_idle_microseconds: {round(1e6 * options.idle_s)}
  control_input [
    {_control(START)},
    {_control(END)}
  ]
  oldest {{
    max_candidate_sequences: {options.sequences}{_delay(options)}
  }}
}}
instance_group [ {{ count: 1 kind: {kind} }} ]
parameters [
  {{ key: "{PARAMETERS}" value: {{ string_value: {json.dumps(json.dumps(asked))} }} }}
]
"""


def _control(name: str) -> str:
    kind = f"CONTROL_SEQUENCE_{name}"
    return f'{{ name: "{name}" control [ {{ kind: {kind} int32_false_true: [ 0, 1 ] }} ] }}'


def _delay(options: ServingOptions) -> str:
    if not options.delay_ms:
        return ""
    wait_us = round(1e3 * options.delay_ms)
    return (
        f"\n    preferred_batch_size: [ {options.faces} ]"
        f"\n    max_queue_delay_microseconds: {wait_us}"
    )
