"""`--onnx NAME=FILE`: any per-frame face restorer that exists as an ONNX file, in the same race."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from keeprt.benchmarks.evaluate.methods import BASELINES, OURS, DegradedClip, Method
from keeprt.benchmarks.evaluate.onnx_file import (
    RANGES,
    OnnxNetwork,
    Port,
    Tensor,
    parse_file,
    picture_tensor,
    takes_pictures,
    tensor_picture,
)
from keeprt.engine.errors import BackendError, UsageError
from keeprt.export.training.degradation import Frame

OPTIONS = ("range", "output", "weight", "w")


def onnx_method(
    text: str, face_size: int, provider: str = "cpu", threads: int | None = None, device: int = 0
) -> Method:
    """A face restorer of others, run frame by frame: `NAME=FILE[,range=0..1][,output=PORT]`.

    The file has one input (1, 3, S, S) RGB with S the face's size or free, and an output of that
    shape, both in -1..1 as exports of GFPGAN, GPEN, RestoreFormer and CodeFormer are, unless
    `range` says else. A second input of one number is CodeFormer's fidelity: `w` (or `weight`), 1
    by default, as KEEP has it. Raises UsageError.
    """
    name, file_text = method_name("--onnx", text)
    network = OnnxNetwork(parse_file(file_text, OPTIONS), provider, threads, device)
    return Method(name, network.file.path.name, _onnx_restorer(network, face_size))


def method_name(option: str, text: str) -> tuple[str, str]:
    """The two sides of NAME=FILE. Raises UsageError for a name that is none, or keeprt's own."""
    name, mark, file_text = text.partition("=")
    if not mark or not name or not all(c.isalnum() or c in "-_.+" for c in name):
        raise UsageError(f"{option} {text!r}: give NAME=FILE, the name in letters, digits and -_.+")
    if name in (*BASELINES, *OURS):
        raise UsageError(f"{option} {text!r}: {name} is one of keeprt's methods; take another name")
    return name, file_text


def _onnx_restorer(network: OnnxNetwork, size: int) -> Callable[[DegradedClip], Iterator[Frame]]:
    value_range = network.file.choice("range", RANGES)
    pictures = [p for p in network.inputs if takes_pictures(p) and p.fits(1, 3, size, size)]
    numbers = [p for p in network.inputs if p not in pictures]
    contract = f"one input (1, 3, {size}, {size}), at most one more of one number, and an output"
    contract += f" (1, 3, {size}, {size})"
    if len(pictures) != 1 or len(numbers) > 1 or not all(map(_is_number, numbers)):
        raise network.refuse(contract)
    picture, output = pictures[0], _output(network, size, contract)
    fixed = {port.name: _weight(network, port) for port in numbers}

    def restore(clip: DegradedClip) -> Iterator[Frame]:
        for face in clip.input:
            tensor = network.run(
                {picture.name: picture_tensor(face, picture, value_range), **fixed}, output
            )
            if tensor.shape != (1, 3, size, size):
                raise BackendError(f"{network.file.path} gave {tensor.shape}; expected {contract}")
            yield tensor_picture(tensor, value_range)

    return restore


def _output(network: OnnxNetwork, size: int, contract: str) -> str:
    """The output that is the restored face: the one that fits, or the one that was named."""
    fitting = [port.name for port in network.outputs if port.fits(1, 3, size, size)]
    asked = network.file.options.get("output")
    if asked is not None and asked not in fitting:
        raise network.refuse(f"an output {asked} (1, 3, {size}, {size})")
    if asked is None and len(fitting) > 1:
        raise UsageError(
            f"{network.file.path} has several outputs of the face's shape: "
            f"choose by output={' or output='.join(fitting)}"
        )
    if not fitting:
        raise network.refuse(contract)
    return asked or fitting[0]


def _is_number(port: Port) -> bool:
    return port.dtype is not None and all(dim in (None, 1) for dim in port.dims)


def _weight(network: OnnxNetwork, port: Port) -> Tensor:
    options = network.file.options
    if "w" in options and not 0 <= _float(network, options["w"]) <= 1:
        raise UsageError(f"{network.file.path}: w={options['w']}: CodeFormer's is from 0 to 1")
    text = options.get("w", options.get("weight", "1"))
    return np.full([1] * len(port.dims), _float(network, text), port.dtype)


def _float(network: OnnxNetwork, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{network.file.path}: weight={text} is no number") from None
