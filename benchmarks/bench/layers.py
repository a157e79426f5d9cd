"""`keeprt bench --layers DIR`: each plan's layers and their times, for NVIDIA's engine explorer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from keeprt.benchmarks.bench.run import Options, cases_of
from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.libraries.tensorrt.run import TensorRtBackend
from keeprt.engine.summaries import write_text

RUNS = 100  # of each plan, after WARM_RUNS that are not counted
AS_FILES = "layers_{}.json", "profile_{}.json"


def write_layers(options: Options, folder: Path, say: Callable[[str], None]) -> None:
    """Runs every subgraph by itself at the largest batch and a full window, and writes
    `layers_NAME.json` and `profile_NAME.json`. Raises BackendError or UsageError."""
    bundle = load_bundle(options.bundle)
    faces, window = max(case.faces for case in cases_of(options)), options.window
    plans = TensorRtBackend.for_frames(
        bundle, options.backend, faces=faces, window=window, device=options.device
    )
    sizes = {"faces": faces, "frames": window, "selected": 1}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in bundle.subgraphs:
            say(f"layers of {name}")
            found = plans.profile_layers(name, sizes, RUNS)
            for pattern, content in zip(AS_FILES, (found.layers, found.profile), strict=True):
                text = json.dumps(content, indent=1) + "\n"
                write_text(folder / pattern.format(name), text)
    finally:
        plans.close()
