"""Measures by networks: LPIPS, identity and landmarks, from ONNX files; CenterFace by default.

No package ships the weights of the first three, and there is no stand-in for them: without a file
the columns say that none was given. What a file has to be:

--lpips-onnx: two inputs (1, 3, S, S) RGB (S free or the face's size), one output of one number.
--identity-onnx: one input (1, 3, S, S), one output (1, D), the embedding (ArcFace: S 112, RGB in
    -1..1). The face is laid on ArcFace's template, always by the same transform, since it is
    aligned already; `crop=whole` shows it whole.
--landmarks-onnx: one input (1, 3, S, S) that sees the whole face, one output (1, K, 2) or (1, 2K):
    x, y in pixels of its input, or with `points=unit` in 0..1.

All take `range=-1..1` (default), `0..1` or `0..255`, and `order=rgb` (default) or `bgr`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from keeprt.benchmarks.evaluate.measure import (
    AKD,
    IDS,
    LPIPS,
    NOT_GIVEN,
    SIGMA_AKD,
    SIGMA_IDS,
    Measure,
    by_pairs,
)
from keeprt.benchmarks.evaluate.onnx_file import (
    RANGES,
    OnnxNetwork,
    Port,
    Tensor,
    picture_tensor,
    resized,
    square_side,
    takes_pictures,
)
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.faces.alignment import FACE_SIZE, TEMPLATE
from keeprt.engine.faces.centerface import CenterFace
from keeprt.export.training.degradation import Frame
from keeprt.export.training.portrait import similarity

Points = NDArray[np.float64]

COMMON_OPTIONS = ("range", "order")
IDENTITY_OPTIONS = (*COMMON_OPTIONS, "crop")
LANDMARK_OPTIONS = (*COMMON_OPTIONS, "points")
ORDERS = ("rgb", "bgr")

# Where ArcFace's training crops have eyes, nose tip and mouth corners, in 112 x 112 pixels.
ARCFACE_SIDE = 112
ARCFACE_TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)


@dataclass(frozen=True)
class PictureNetwork:
    """A network with one or two picture inputs and one output that matters."""

    network: OnnxNetwork
    output: Port
    value_range: str
    order: str

    @classmethod
    def check(
        cls,
        network: OnnxNetwork,
        contract: str,
        inputs: int,
        outputs: Sequence[tuple[int | None, ...]],
    ) -> PictureNetwork:
        """Raises UsageError for ports that are not those of the contract."""
        fits = (
            len(network.inputs) == inputs
            and all(takes_pictures(port) for port in network.inputs)
            and len(network.outputs) == 1
            and any(network.outputs[0].fits(*dims) for dims in outputs)
        )
        if not fits:
            raise network.refuse(contract)
        return cls(
            network,
            network.outputs[0],
            network.file.choice("range", RANGES),
            network.file.choice("order", ORDERS),
        )

    def run(self, *pictures: Frame) -> Tensor:
        """The output for those pictures, one per input."""
        tensors = {
            port.name: picture_tensor(picture, port, self.value_range, self.order)
            for port, picture in zip(self.network.inputs, pictures, strict=True)
        }
        return self.network.run(tensors, self.output.name)


def lpips_measure(network: OnnxNetwork | None, face_size: int) -> Measure:
    """LPIPS of each frame; NOT_GIVEN without a network. Raises UsageError for another one."""
    if network is None:
        return Measure(LPIPS, NOT_GIVEN)
    contract = "two inputs (1, 3, S, S) and one output of one number per pair"
    shapes = [(), (1,), (1, 1), (1, 1, 1, 1)]
    checked = PictureNetwork.check(network, contract, 2, shapes)
    for port in network.inputs:
        if square_side(port) not in (None, face_size):
            raise network.refuse(f"inputs of the face's size, {face_size} x {face_size}, or free")

    def distance(sharp: Frame, restored: Frame) -> float:
        result = checked.run(sharp, restored)
        if result.size != 1:
            raise BackendError(f"{network.file.path} gave {result.shape}; expected {contract}")
        return float(result.ravel()[0])

    return Measure(LPIPS, network.file.path.name, list, by_pairs(distance))


def identity_measure(network: OnnxNetwork | None, face_size: int) -> Measure:
    """IDS: cosine of the two faces' embeddings. Raises UsageError for another network."""
    if network is None:
        return Measure(IDS, NOT_GIVEN, spread=SIGMA_IDS)
    contract = "one input (1, 3, S, S) and one output (1, D) with D of 2 or more"
    checked = PictureNetwork.check(network, contract, 1, [(1, None)])
    if checked.output.dims[1] == 1:
        raise network.refuse(contract)
    side = square_side(network.inputs[0]) or ARCFACE_SIDE
    whole = network.file.choice("crop", ("arcface", "whole")) == "whole"

    def embedding(face: Frame) -> Points:
        picture = resized(face, side) if whole else arcface_crop(face, side)
        vector = checked.run(picture).astype(np.float64).ravel()
        length = np.linalg.norm(vector)
        if length == 0:
            raise BackendError(f"{network.file.path} gave an embedding of zeros")
        return np.asarray(vector / length, np.float64)

    return Measure(
        IDS,
        f"{network.file.path.name}, {'whole face' if whole else 'ArcFace crop'}",
        lambda sharp: [embedding(face) for face in sharp],
        by_pairs(lambda expected, face: float(expected @ embedding(face))),
        SIGMA_IDS,
    )


def arcface_crop(face: Frame, side: int) -> Frame:
    """An aligned face laid on ArcFace's template, (side, side, 3)."""
    # least squares, as ArcFace's own crops are made
    matrix = similarity(TEMPLATE, ARCFACE_TEMPLATE)[:2] * (side / ARCFACE_SIDE)
    # from pixels of this face, of whatever size, rather than from those of the template
    matrix[:, :2] *= FACE_SIZE / face.shape[0]
    scale = float(np.hypot(*matrix[0, :2]))
    if scale < 1:
        # linear sampling alone would skip pixels of the larger face
        face = np.asarray(cv2.GaussianBlur(face, (0, 0), 0.5 / scale), np.uint8)
    return np.asarray(cv2.warpAffine(face, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE))


def landmarks_measure(network: OnnxNetwork | None, face_size: int, threads: int = 1) -> Measure:
    """AKD: mean distance of the landmarks in pixels of the face.

    By the network that is given, else by CenterFace's five points if its wheel is there. A frame
    in which the detector finds no face has no value. Raises UsageError for another network.
    """
    if network is None:
        return _centerface_measure()
    contract = "one input (1, 3, S, S) and one output (1, K, 2) or (1, 2K)"
    checked = PictureNetwork.check(network, contract, 1, [(1, None, 2), (1, None)])
    side = square_side(network.inputs[0]) or face_size
    unit = network.file.choice("points", ("pixels", "unit")) == "unit"

    def landmarks(face: Frame) -> Points:
        values = checked.run(resized(face, side)).astype(np.float64).ravel()
        if values.size < 2 or values.size % 2:
            raise BackendError(f"{network.file.path} gave {values.size} numbers, no x, y pairs")
        return np.asarray(values.reshape(-1, 2) * (face_size if unit else face_size / side))

    return Measure(
        AKD,
        network.file.path.name,
        lambda sharp: [landmarks(face) for face in sharp],
        by_pairs(lambda expected, face: keypoint_distance(expected, landmarks(face))),
        SIGMA_AKD,
    )


def keypoint_distance(first: Points | None, second: Points | None) -> float | None:
    """Mean distance of (K, 2) points, None where a face was not found."""
    if first is None or second is None:
        return None
    if first.shape != second.shape:
        raise UsageError(f"landmarks of shapes {first.shape} and {second.shape} do not compare")
    return float(np.linalg.norm(first - second, axis=1).mean())


def _centerface_measure() -> Measure:
    try:
        detector = CenterFace()
    except BackendError:
        return Measure(AKD, NOT_GIVEN, spread=SIGMA_AKD)

    def landmarks(face: Frame) -> Points | None:
        found = detector.detect(face)
        return found[0].landmarks if found else None

    return Measure(
        AKD,
        "CenterFace, 5 points",
        lambda sharp: [landmarks(face) for face in sharp],
        by_pairs(lambda expected, face: keypoint_distance(expected, landmarks(face))),
        SIGMA_AKD,
    )
