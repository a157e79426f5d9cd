"""Networks of others, given as ONNX files: options, loading, shapes checked, pictures in and out.

Written on the command line as FILE or FILE,key=value,...: `gfpgan.onnx`, `net.onnx,range=0..1`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.libraries.onnxruntime.providers import (
    on_device,
    open_session,
    prepare,
    provider_named,
)
from keeprt.export.training.degradation import Frame
from keeprt.kernels.installing import install_onnxruntime

Tensor = NDArray[Any]

#: What pixel values 0 and 255 become.
RANGES = {"-1..1": (-1.0, 1.0), "0..1": (0.0, 1.0), "0..255": (0.0, 255.0)}
_FLOATS: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(double)": np.dtype(np.float64),
}


@dataclass(frozen=True)
class OnnxFile:
    """A file and its options as given."""

    path: Path
    options: Mapping[str, str] = field(default_factory=dict)

    def choice(self, key: str, choices: Collection[str]) -> str:
        """The value of an option, by default the first choice. Raises UsageError."""
        value = self.options.get(key, next(iter(choices)))
        if value not in choices:
            raise UsageError(f"{self.path}: {key}={value} is unknown; choose {', '.join(choices)}")
        return value


def parse_file(text: str, allowed: Collection[str]) -> OnnxFile:
    """`FILE[,key=value]...` with those keys. Raises UsageError."""
    path, *words = re.split(r",(?=\w+=)", text)
    options = dict(word.split("=", 1) for word in words)
    for key in options:
        if key not in allowed:
            raise UsageError(f"{text!r}: there is no option {key}; choose {', '.join(allowed)}")
    if not Path(path).is_file():
        raise UsageError(f"no such ONNX file: {path}")
    return OnnxFile(Path(path), options)


@dataclass(frozen=True)
class Port:
    """An input or output: dims are None where the graph leaves them free."""

    name: str
    element: str
    dims: tuple[int | None, ...]

    def __str__(self) -> str:
        dims = " x ".join("?" if dim is None else str(dim) for dim in self.dims)
        return f"{self.name} ({dims or 'scalar'}, {self.element[7:-1]})"

    def fits(self, *dims: int | None) -> bool:
        """Whether the dims can be these; None fits all."""
        return len(dims) == len(self.dims) and all(
            None in (mine, other) or mine == other
            for mine, other in zip(self.dims, dims, strict=True)
        )

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """NumPy's type, None where it is no float."""
        return _FLOATS.get(self.element)


class OnnxNetwork:
    """A loaded file."""

    def __init__(
        self,
        file: OnnxFile,
        provider: str = "cpu",
        threads: int | None = None,
        device: int = 0,
    ) -> None:
        """Raises UsageError for a file that is no network, BackendError without ONNX Runtime."""
        try:
            import onnxruntime
        except ImportError:
            raise BackendError(f"ONNX Runtime is not installed: {install_onnxruntime()}") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        chosen = on_device(provider_named(provider), device)
        prepare(onnxruntime, chosen, options)
        self.file = file
        try:
            self._session = open_session(onnxruntime, chosen, str(file.path), options)
        except Exception as error:  # the library raises a family of its own, unrelated classes
            raise UsageError(f"{file.path} is no network that ONNX Runtime loads: "
                             f"{str(error).splitlines()[0]}") from None  # fmt: skip
        self.inputs = [_port(value) for value in self._session.get_inputs()]
        self.outputs = [_port(value) for value in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, Tensor], output: str) -> Tensor:
        """One output. Raises BackendError where the graph fails or gives no finite numbers."""
        try:
            result = np.asarray(self._session.run([output], dict(inputs))[0])
        except Exception as error:  # as above
            reason = str(error).splitlines()[0]
            raise BackendError(f"{self.file.path} fails on its input: {reason}") from error
        if not np.isfinite(result).all():
            raise BackendError(f"{self.file.path} gave values that are not finite in {output}")
        return result

    def refuse(self, contract: str) -> UsageError:
        """The error for a graph of other ports than a use of it needs."""
        found = "; ".join(
            f"{what} {', '.join(map(str, ports))}"
            for what, ports in (("inputs", self.inputs), ("outputs", self.outputs))
        )
        return UsageError(f"{self.file.path} does not fit: it has {found}; expected {contract}")


def picture_tensor(
    picture: Frame, port: Port, value_range: str = "-1..1", order: str = "rgb"
) -> Tensor:
    """RGB uint8 (H, W, 3) -> (1, 3, H, W) of the port's type."""
    low, high = RANGES[value_range]
    channels = picture[..., ::-1] if order == "bgr" else picture
    values = np.asarray(channels, np.float32).transpose(2, 0, 1)[None] * ((high - low) / 255) + low
    return np.ascontiguousarray(values, port.dtype)


def tensor_picture(tensor: Tensor, value_range: str = "-1..1", order: str = "rgb") -> Frame:
    """(1, 3, H, W) -> RGB uint8 (H, W, 3), clamped and rounded half to even."""
    low, high = RANGES[value_range]
    values = (np.asarray(tensor[0], np.float32).transpose(1, 2, 0) - low) * (255 / (high - low))
    picture = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(picture[..., ::-1] if order == "bgr" else picture)


def square_side(port: Port) -> int | None:
    """Side of the square pictures that an input takes, None where it is free."""
    return port.dims[2] if port.dims[2] is not None else port.dims[3]


def takes_pictures(port: Port) -> bool:
    """Whether an input is (1, 3, S, S) of floats."""
    if port.dtype is None or not port.fits(1, 3, None, None):
        return False
    side = square_side(port)
    return port.fits(1, 3, side, side)


def resized(picture: Frame, side: int) -> Frame:
    """A square picture at another side: by area where it shrinks, else cubic."""
    if picture.shape[0] == side:
        return picture
    way = cv2.INTER_AREA if side < picture.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side, side), interpolation=way), np.uint8)


def _port(value: Any) -> Port:
    dims: Sequence[Any] = value.shape or ()
    return Port(value.name, value.type, tuple(d if isinstance(d, int) else None for d in dims))
