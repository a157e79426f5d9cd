"""An ONNX network that enlarges the whole picture, tile by tile: the background of `--scale`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.faces.painting.compositing import RgbPicture
from keeprt.engine.libraries.onnxruntime.providers import PROVIDERS, load_cuda_libraries
from keeprt.kernels.installing import install_onnxruntime

TILE, OVERLAP = 400, 16


class Upscaler:
    """Any network from (1, 3, h, w) float32 RGB in 0..1 to (1, 3, scale h, scale w), with free h
    and w, as Real-ESRGAN's are exported. Tiles overlap by 16 pixels, and the picture's edge is
    repeated, so that no seams show."""

    def __init__(self, file: Path, scale: int, threads: int = 0) -> None:
        """Raises BackendError for a file that cannot be loaded, UsageError for other ports."""
        self._scale, self._file = scale, file
        self._session = _open(file, threads)
        self._input = self._session.get_inputs()[0].name

    def enlarge(self, picture: RgbPicture) -> RgbPicture:
        """(H, W, 3), uint8 or uint16 -> (scale H, scale W, 3) of the same type."""
        height, width = picture.shape[:2]
        highest = float(np.iinfo(picture.dtype).max)
        margin = ((OVERLAP, OVERLAP), (OVERLAP, OVERLAP), (0, 0))
        padded = np.pad(picture, margin, mode="edge")
        larger = np.empty((height * self._scale, width * self._scale, 3), picture.dtype)
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                bottom, right = min(top + TILE, height), min(left + TILE, width)
                tile = padded[top : bottom + 2 * OVERLAP, left : right + 2 * OVERLAP]
                inner = self._run(np.asarray(tile, np.float32) / highest)
                rows = slice(top * self._scale, bottom * self._scale)
                larger[rows, left * self._scale : right * self._scale] = np.rint(inner * highest)
        return larger

    def _run(self, tile: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        given = np.ascontiguousarray(tile.transpose(2, 0, 1)[None], np.float32)
        try:
            result = np.asarray(self._session.run(None, {self._input: given})[0])
        except Exception as error:  # the library raises a family of its own, unrelated classes
            reason = str(error).splitlines()[0]
            raise UsageError(
                f"the upscaler {self._file} cannot take a picture: {reason}"
            ) from error
        height, width = given.shape[2] * self._scale, given.shape[3] * self._scale
        if result.shape != (1, 3, height, width):
            raise UsageError(
                f"the upscaler {self._file} makes {result.shape} of {given.shape}; for a scale of "
                f"{self._scale} it has to make (1, 3, {height}, {width})"
            )
        cut = OVERLAP * self._scale
        picture = result[0, :, cut : height - cut, cut : width - cut].transpose(1, 2, 0)
        return np.clip(picture.astype(np.float32, copy=False), 0.0, 1.0)


def _open(file: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise BackendError(f"an upscaler needs ONNX Runtime: {install_onnxruntime()}") from None
    if not file.is_file():
        raise UsageError(f"there is no upscaler {file}; give an ONNX file")
    providers = onnxruntime.get_available_providers()
    if PROVIDERS["cuda"].ort_name in providers:
        load_cuda_libraries(onnxruntime)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=providers)
    except Exception as error:  # the library raises a family of its own, unrelated classes
        reason = str(error).splitlines()[0]
        raise BackendError(f"ONNX Runtime cannot load the upscaler {file}: {reason}") from error
