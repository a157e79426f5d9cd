"""The command, and small ONNX networks of known arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.cli.conftest import keeprt  # noqa: F401

Saved = Callable[..., Path]


@pytest.fixture
def save_onnx(tmp_path: Path) -> Saved:
    """Writes a network of (operator, inputs, outputs, attributes) nodes: its path."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    def make(
        name: str,
        nodes: Sequence[tuple[str, list[str], list[str], dict[str, Any]]],
        inputs: dict[str, list[Any]],
        outputs: dict[str, list[Any]],
        constants: dict[str, Any] | None = None,
        types: dict[str, int] | None = None,
    ) -> Path:
        def ports(shapes: dict[str, list[Any]]) -> list[Any]:
            kinds = types or {}
            return [
                helper.make_tensor_value_info(port, kinds.get(port, TensorProto.FLOAT), shape)
                for port, shape in shapes.items()
            ]

        graph = helper.make_graph(
            [helper.make_node(op, ins, outs, **more) for op, ins, outs, more in nodes],
            name,
            ports(inputs),
            ports(outputs),
            [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        checker.check_model(model)
        path = tmp_path / f"{name}.onnx"
        save(model, path)
        return path

    return make
