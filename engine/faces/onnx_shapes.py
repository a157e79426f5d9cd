"""Free the fixed shapes of a small ONNX file without the onnx package, at the level of its bytes.

The CenterFace file declares a 10x3x32x32 input and lists all its weights as graph inputs, so that
ONNX Runtime refuses other sizes and folds nothing. Only the declarations have to change: field
numbers are those of onnx.proto (ModelProto.graph = 7; GraphProto.initializer = 5, input = 11,
output = 12, value_info = 13), which are frozen by protobuf's compatibility rules.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from keeprt.engine.errors import FaceError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPH, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 7, 5, 11, 12, 13
_FLOAT32 = 1


@dataclass(frozen=True)
class Port:
    """A declared input or output: name, ONNX element type, dims (None where symbolic)."""

    name: str
    element_type: int
    dims: tuple[int | None, ...]


@dataclass(frozen=True)
class Signature:
    """What a graph takes and gives; weights listed among the inputs are left out."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def read_signature(model: bytes) -> Signature:
    """Read inputs and outputs of a serialised ModelProto. Raises FaceError if it is none."""
    graph = _fields(_graph(model))
    weights = {_text(body, 8) for number, _, body in graph if number == _INITIALIZER}
    ports = [(number, _port(body)) for number, _, body in graph if number in (_INPUT, _OUTPUT)]
    return Signature(
        inputs=tuple(p for number, p in ports if number == _INPUT and p.name not in weights),
        outputs=tuple(p for number, p in ports if number == _OUTPUT),
    )


def signature_of(file: Path, model: bytes) -> Signature:
    """The signature of what a file holds. Raises FaceError naming the file."""
    try:
        return read_signature(model)
    except FaceError as error:
        raise FaceError(f"{file}: {error}") from None


def free_spatial_shapes(model: bytes) -> bytes:
    """Serialised ModelProto with the batch, height and width of all its 4-D ports made symbolic.

    Weights leave the list of inputs (allowed from IR version 4), stored shapes of inner tensors are
    dropped.
    """
    signature = read_signature(model)
    kept = [f for f in _fields(_graph(model)) if f[0] not in (_INPUT, _OUTPUT, _VALUE_INFO)]
    graph = b"".join(
        _bytes_field(number, body) if kind == _BYTES else body for number, kind, body in kept
    )
    graph += b"".join(_bytes_field(_INPUT, _free_port(port)) for port in signature.inputs)
    graph += b"".join(_bytes_field(_OUTPUT, _free_port(port)) for port in signature.outputs)
    rest = [f for f in _fields(model) if f[0] != _GRAPH]
    head = b"".join(
        _bytes_field(number, body) if kind == _BYTES else body for number, kind, body in rest
    )
    return head + _bytes_field(_GRAPH, graph)


def _graph(model: bytes) -> bytes:
    for number, kind, body in _fields(model):
        if number == _GRAPH and kind == _BYTES:
            return body
    raise FaceError("not an ONNX model: it holds no graph; give an .onnx file")


def _port(body: bytes) -> Port:
    tensor = _inner(_inner(body, 2), 1)
    dims = [_dim(dim) for number, _, dim in _fields(_inner(tensor, 2)) if number == 1]
    return Port(_text(body, 1), _number(tensor, 1) or _FLOAT32, tuple(dims))


def _dim(body: bytes) -> int | None:
    return _number(body, 1)


def _free_port(port: Port) -> bytes:
    free = {0: "n", 2: f"{port.name}.h", 3: f"{port.name}.w"} if len(port.dims) == 4 else {}
    dims = b""
    for axis, size in enumerate(port.dims):
        named = free.get(axis, f"{port.name}.{axis}" if size is None else "")
        value = _bytes_field(2, named.encode()) if named else _varint_field(1, size or 0)
        dims += _bytes_field(1, value)
    tensor = _varint_field(1, port.element_type) + _bytes_field(2, dims)
    return _bytes_field(1, port.name.encode()) + _bytes_field(2, _bytes_field(1, tensor))


def _fields(message: bytes) -> list[tuple[int, int, bytes]]:
    """(number, wire type, body) in order; the body of a field that is no bytes is all of it."""
    return list(_walk(message))


def _walk(message: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at < len(message):
        start = at
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _BYTES:
            size, at = _varint(message, at)
            body, at = message[at : at + size], at + size
        elif kind == _VARINT:
            _, at = _varint(message, at)
            body = message[start:at]
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
            body = message[start:at]
        else:
            raise FaceError("not an ONNX model: damaged protobuf; give an .onnx file")
        if at > len(message):
            raise FaceError("the ONNX model is cut short; fetch the file again")
        yield number, kind, body


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise FaceError("the ONNX model is cut short; fetch the file again")


def _inner(message: bytes, wanted: int) -> bytes:
    return next(
        (b for number, kind, b in _walk(message) if number == wanted and kind == _BYTES), b""
    )


def _text(message: bytes, wanted: int) -> str:
    return _inner(message, wanted).decode("utf-8", "replace")


def _number(message: bytes, wanted: int) -> int | None:
    for number, kind, body in _walk(message):
        if number == wanted and kind == _VARINT:
            return _varint(body, _varint(body, 0)[1])[0]
    return None


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _bytes_field(number: int, body: bytes) -> bytes:
    return _encode_varint(number << 3 | _BYTES) + _encode_varint(len(body)) + body


def _varint_field(number: int, value: int) -> bytes:
    return _encode_varint(number << 3 | _VARINT) + _encode_varint(value)
