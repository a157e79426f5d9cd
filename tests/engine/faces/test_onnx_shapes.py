"""The rewritten model is the same model, by the onnx package's own reading."""

import onnx
import pytest
from test_detection import tiny_model

from keeprt.engine.errors import FaceError
from keeprt.engine.faces.onnx_shapes import free_spatial_shapes, read_signature


def test_signature_leaves_out_the_weights():
    signature = read_signature(tiny_model())
    assert [(p.name, p.dims) for p in signature.inputs] == [("x", (10, 3, 32, 32))]
    assert [p.dims[1] for p in signature.outputs] == [1, 2, 2, 10]


def test_only_the_declared_shapes_change():
    model = tiny_model()
    freed = onnx.load_from_string(free_spatial_shapes(model))
    onnx.checker.check_model(freed, full_check=True)
    original = onnx.load_from_string(model)
    assert freed.graph.node == original.graph.node
    assert freed.graph.initializer == original.graph.initializer
    assert freed.opset_import == original.opset_import
    dims = freed.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["n", 3, "x.h", "x.w"]
    assert len(freed.graph.input) == 1


def test_is_idempotent():
    once = free_spatial_shapes(tiny_model())
    assert read_signature(free_spatial_shapes(once)) == read_signature(once)
    assert read_signature(once).inputs[0].dims == (None, 3, None, None)


@pytest.mark.parametrize("cut", [1, 7, 20, 100])
def test_a_file_cut_short_is_refused(cut):
    with pytest.raises(FaceError):
        read_signature(tiny_model()[:-cut])
