"""What is measured on a restored clip against the sharp one, frame by frame, and its averages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np

from keeprt.engine.errors import UsageError
from keeprt.export.training.degradation import Frame
from keeprt.kernels.installing import install

#: One value per frame; None where a frame has none.
Series = list[float | None]
NOT_GIVEN = "not given"


@dataclass(frozen=True)
class Column:
    """A column of the tables. key: its name in JSON. factor, decimals: how a value is printed."""

    key: str
    label: str
    unit: str
    better: Literal["higher", "lower"]
    decimals: int = 4
    factor: float = 1.0

    @property
    def heading(self) -> str:
        """Label with unit."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    def text(self, value: float | None) -> str:
        """A value as the tables show it."""
        if value is None:
            return "-"
        return "identical" if np.isinf(value) else f"{value * self.factor:.{self.decimals}f}"


@dataclass(frozen=True)
class Measure:
    """One figure per frame.

    source: what computes it, or NOT_GIVEN for a measure whose network was not given.
    prepare: what is needed of the sharp clip, made once for all methods. values: from that and
    the restored frames. spread: column of the standard deviation over time, None without.
    """

    column: Column
    source: str
    prepare: Callable[[Sequence[Frame]], Any] = lambda sharp: None
    values: Callable[[Any, Sequence[Frame]], Series] | None = None
    spread: Column | None = None

    @property
    def columns(self) -> list[Column]:
        """Its columns in the tables."""
        return [self.column, *([self.spread] if self.spread else [])]

    @property
    def given(self) -> bool:
        """False where the column can only say that its network was not given."""
        return self.values is not None


def averages(measure: Measure, series: Series) -> dict[str, float | None]:
    """Mean over the frames that have a value, and their standard deviation (divided by n).

    As in the paper: sigma is that of a clip's frames over time. It needs two values.
    """
    known = np.array([value for value in series if value is not None], np.float64)
    mean = float(known.mean()) if known.size else None
    result: dict[str, float | None] = {measure.column.key: mean}
    if measure.spread:
        result[measure.spread.key] = float(known.std()) if known.size > 1 else None
    return result


def mean_known(values: Sequence[float | None]) -> float | None:
    """Mean of several clips' figures; None unless every clip has one."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


PSNR = Column("psnr_db", "PSNR", "dB", "higher", 2)
SSIM = Column("ssim", "SSIM", "", "higher")
LPIPS = Column("lpips", "LPIPS", "", "lower")
IDS = Column("ids", "IDS", "", "higher")
SIGMA_IDS = Column("sigma_ids", "\N{GREEK SMALL LETTER SIGMA}_IDS", "1e-2", "lower", 3, 1e2)
AKD = Column("akd_px", "AKD", "px", "lower", 3)
SIGMA_AKD = Column("sigma_akd_px", "\N{GREEK SMALL LETTER SIGMA}_AKD", "px", "lower", 3)
E_WARP = Column("e_warp", "E_warp", "1e-3", "lower", 3, 1e3)


def pictures_measures() -> list[Measure]:
    """PSNR and SSIM by scikit-image, of 8-bit RGB frames. Raises UsageError where it is missing.

    SSIM with the weights of Wang et al. 2004: Gaussian of sigma 1.5, 11 x 11, biased covariance;
    the mean of the three channels.
    """
    try:
        metrics = import_module("skimage.metrics")
    except ImportError as error:
        raise UsageError(f"PSNR and SSIM need scikit-image: {install('all')}") from error

    def psnr(sharp: Frame, restored: Frame) -> float:
        if np.array_equal(sharp, restored):
            return float("inf")
        return float(metrics.peak_signal_noise_ratio(sharp, restored, data_range=255))

    def ssim(sharp: Frame, restored: Frame) -> float:
        similarity = metrics.structural_similarity(
            sharp,
            restored,
            channel_axis=2,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        return float(similarity)

    return [
        Measure(PSNR, "scikit-image, RGB", list, by_pairs(psnr)),
        Measure(SSIM, "scikit-image, RGB, Gaussian 11 x 11", list, by_pairs(ssim)),
    ]


def by_pairs(
    compare: Callable[[Any, Frame], float | None],
) -> Callable[[Any, Sequence[Frame]], Series]:
    """`values` of a measure that compares frame with frame."""
    return lambda sharp, restored: [compare(a, b) for a, b in zip(sharp, restored, strict=True)]
