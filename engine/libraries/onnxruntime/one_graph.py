"""One graph by itself in ONNX Runtime on a card, fed from host memory: the detector of faces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keeprt.engine.errors import BackendError
from keeprt.engine.libraries.onnxruntime.providers import (
    on_device,
    open_session,
    prepare,
    provider_named,
)
from keeprt.engine.libraries.onnxruntime.sessions import import_onnxruntime, session_options


def session_on_card(graph: bytes, device: int = 0) -> Any:
    """A session of a serialised graph on card number `device`, which takes any size of picture.

    Raises BackendError where ONNX Runtime or its CUDA provider is missing or does not start.
    """
    ort, cuda = import_onnxruntime(), provider_named("cuda")
    # Convolutions are else tried out at each new size: a second on air, and other roundings from
    # run to run.
    steady = {**cuda.options, "cudnn_conv_algo_search": "HEURISTIC"}
    chosen = on_device(replace(cuda, options=steady), device)
    options = session_options(ort, 1)
    prepare(ort, chosen, options)
    try:
        return open_session(ort, chosen, graph, options)
    except BackendError:
        raise
    except Exception as error:  # the library raises a family of its own, unrelated classes
        reason = str(error).splitlines()[0]
        raise BackendError(f"{chosen.ort_name} does not start: {reason}") from error
