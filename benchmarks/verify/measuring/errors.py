"""Error figures of one tensor and of one restored frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keeprt.benchmarks.precision.runs import end_point_error, full_flow, psnr_db
from keeprt.benchmarks.verify.measuring.reference_frame import ReferenceFrame

Array = NDArray[Any]


@dataclass(frozen=True)
class TensorError:
    """How a tensor differs: largest absolute difference, relative L2, cosine of the angle.

    A value that is not finite makes the errors infinite and the cosine -1.
    """

    max_abs: float
    relative_l2: float
    cosine: float


@dataclass(frozen=True)
class CodeError:
    """Codebook indices that differ: how many of `tokens`, and how nearly tied they were.

    `gaps` are the reference's gaps between the first and second logit of each flipped token,
    in standard deviations of the frame's logits, largest first.
    """

    tokens: int
    flips: int
    gaps: list[float] = field(default_factory=list)

    @property
    def largest_gap(self) -> float:
        """0 where none flips."""
        return self.gaps[0] if self.gaps else 0.0


@dataclass(frozen=True)
class FrameError:
    """How a restored frame differs from the reference's, both unclamped, in [-1, 1].

    `since_same_state` counts frames from where both sides stood at the same state. `state` has
    the relative L2 error of every array carried to the next frame. `flow_px` is the median
    length of the flow's difference.
    """

    max_abs: float
    relative_l2: float
    psnr_db: float
    codes: CodeError
    state: dict[str, float]
    flow_px: float | None
    since_same_state: int


def tensor_error(value: Array, exact: Array) -> TensorError:
    """Differences of two arrays of the same shape, computed in float64."""
    ours, theirs = value.astype(np.float64).ravel(), exact.astype(np.float64).ravel()
    if not np.isfinite(ours).all():
        return TensorError(math.inf, math.inf, -1.0)
    difference = ours - theirs
    size, norm = float(np.linalg.norm(theirs)), float(np.linalg.norm(ours))
    error = float(np.linalg.norm(difference))
    relative = error / size if size else (math.inf if error else 0.0)
    cosine = float(ours @ theirs) / (size * norm) if size and norm else float(size == norm)
    return TensorError(float(np.abs(difference).max(initial=0)), relative, cosine)


def code_error(codes: Array, exact: Array, margin: Array, logits_std: float) -> CodeError:
    """Flipped codes and their gaps; `margin` and `logits_std` are the reference's."""
    flipped = codes != exact
    gaps = sorted((float(gap) / logits_std for gap in margin[flipped]), reverse=True)
    return CodeError(flipped.size, int(flipped.sum()), [float(f"{gap:.3g}") for gap in gaps])


def frame_error(
    outputs: Mapping[str, Mapping[str, Array]],
    after: Mapping[str, Array],
    reference: ReferenceFrame,
    since_same_state: int,
) -> FrameError:
    """A frame by its subgraphs' outputs and the state it left, against the reference's."""
    ours, theirs = outputs["decoder"], reference.outputs["decoder"]
    face = tensor_error(ours["restored"], theirs["restored"])
    flow = None
    if "flow_matching" in reference.outputs and "flow_matching" in outputs:
        flow = end_point_error(full_flow(outputs), full_flow(reference.outputs))
    return FrameError(
        max_abs=face.max_abs,
        relative_l2=face.relative_l2,
        psnr_db=psnr_db(ours["restored"], theirs["restored"]),
        codes=code_error(ours["codes"], theirs["codes"], theirs["margin"], reference.logits_std),
        state={
            name: tensor_error(after[name][: len(exact)], exact).relative_l2
            for name, exact in reference.after.items()
        },
        flow_px=flow,
        since_same_state=since_same_state,
    )
