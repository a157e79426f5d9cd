"""Telling people apart by a network of the caller's: ArcFace's kind, as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from keeprt.engine.errors import BackendError, FaceError
from keeprt.engine.faces.detection import Points, Rgb
from keeprt.engine.faces.look import Vector
from keeprt.engine.faces.onnx_shapes import signature_of

SIDE = 112
# Where ArcFace's networks expect the landmarks in a picture of 112 x 112 (Deng et al. 2019).
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)


class FaceEmbedding:
    """A network (n, 3, 112, 112) float32 RGB in -1..1 to (n, d), run on the CPU."""

    def __init__(self, file: Path, threads: int = 1) -> None:
        """Raises FaceError for a file that is missing or has other ports, BackendError without
        ONNX Runtime."""
        self._file = file
        self._session = _open(file, threads)
        self._input = self._session.get_inputs()[0].name

    def embed(self, rgb: Rgb, landmarks: Points) -> Vector:
        """See `Embedding`. Raises FaceError if the network gives no finite vector."""
        affine, _ = cv2.estimateAffinePartial2D(landmarks, TEMPLATE, method=cv2.LMEDS)
        crop = cv2.warpAffine(rgb, affine, (SIDE, SIDE), flags=cv2.INTER_AREA)
        given = (crop.transpose(2, 0, 1)[None].astype(np.float32) - 127.5) / 127.5
        vector = np.asarray(self._session.run(None, {self._input: given})[0], np.float32).ravel()
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length == 0.0:
            raise FaceError(f"{self._file} gives no finite embedding of a face")
        return vector / np.float32(length)


def _open(file: Path, threads: int) -> Any:
    try:
        model = file.read_bytes()
    except OSError as error:
        raise FaceError(f"cannot read the identity network {file}: {error.strerror}") from error
    _check_ports(file, model)
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise BackendError(
            "telling people apart by a network needs ONNX Runtime; install keeprt[cpu]"
        ) from error
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library raises a family of its own, unrelated classes
        reason = str(error).splitlines()[0]
        raise FaceError(f"cannot load the identity network {file}: {reason}") from error


def _check_ports(file: Path, model: bytes) -> None:
    ports = signature_of(file, model)
    inputs = [port.dims[1:] for port in ports.inputs]
    outputs = [len(port.dims) for port in ports.outputs]
    if inputs not in ([(3, SIDE, SIDE)], [(3, None, None)]) or outputs != [2]:
        raise FaceError(
            f"{file} is no face embedding: expected one input (n, 3, {SIDE}, {SIDE}) and one "
            f"output (n, d), found {[port.dims for port in (*ports.inputs, *ports.outputs)]}"
        )
