"""Small clean-ups of exported ONNX graphs that exporters leave to the runtime, and not all do."""

from __future__ import annotations

import ast
from collections import Counter

import onnx
from onnx import helper, numpy_helper


def fold_pads(model: onnx.ModelProto) -> int:
    """Moves zero padding of height and width into the convolution behind it; returns how many.

    PyTorch has no attribute for one-sided padding, ONNX's Conv does; a Pad node of its own is a
    copy of the whole map in runtimes that do not fuse it.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(value.name for value in graph.output)
    folded = []
    for conv in graph.node:
        pad = makers.get(conv.input[0]) if conv.op_type == "Conv" else None
        if pad is None or uses[pad.output[0]] != 1 or _pads_by_itself(conv):
            continue
        amounts = _spatial_zero_padding(pad, constants)
        if amounts is None:
            continue
        _add_padding(conv, amounts)
        conv.input[0] = pad.input[0]
        folded.append(pad)
    for pad in folded:
        graph.node.remove(pad)
    return len(folded)


def _spatial_zero_padding(
    pad: onnx.NodeProto, constants: dict[str, onnx.TensorProto]
) -> list[int] | None:
    """[top, left, bottom, right] of a constant zero Pad of NCHW maps, None for any other node."""
    if pad.op_type != "Pad" or any(a.name == "mode" and a.s != b"constant" for a in pad.attribute):
        return None
    amounts, value = (constants.get(name) for name in (*pad.input[1:3], "")[:2])
    if amounts is None or (value is not None and numpy_helper.to_array(value).item() != 0):
        return None
    sides = numpy_helper.to_array(amounts).tolist()
    if len(sides) != 8 or any(sides[axis] for axis in (0, 1, 4, 5)) or min(sides) < 0:
        return None
    return [int(sides[axis]) for axis in (2, 3, 6, 7)]


def _pads_by_itself(conv: onnx.NodeProto) -> bool:
    return any(a.name == "auto_pad" and a.s != b"NOTSET" for a in conv.attribute)


def _add_padding(conv: onnx.NodeProto, amounts: list[int]) -> None:
    existing = [0, 0, 0, 0]
    for attribute in list(conv.attribute):
        if attribute.name == "pads":
            existing = list(attribute.ints)
            conv.attribute.remove(attribute)
    total = [a + b for a, b in zip(existing, amounts, strict=True)]
    conv.attribute.append(helper.make_attribute("pads", total))


def drop_unused_constants(model: onnx.ModelProto) -> None:
    """Removes initializers that nothing reads any more."""
    used = {name for node in model.graph.node for name in node.input}
    used |= {value.name for value in model.graph.output}
    for tensor in [t for t in model.graph.initializer if t.name not in used]:
        model.graph.initializer.remove(tensor)


def keep_scopes(model: onnx.ModelProto) -> None:
    """Replaces the exporter's notes on each node by the path of its module, under `scope`.

    The notes hold stack traces with paths of the machine that exported.
    """
    for node in model.graph.node:
        notes = {entry.key: entry.value for entry in node.metadata_props}
        scopes = ast.literal_eval(notes.get("pkg.torch.onnx.name_scopes", "['', '']"))
        del node.metadata_props[:]
        path = scopes[-2].removeprefix("module").removeprefix(".")
        node.metadata_props.add(key="scope", value=path)
    for holder in (model, model.graph, *model.graph.value_info, *model.graph.initializer):
        del holder.metadata_props[:]
