"""What the KEEP paper states of itself: Table 1 and A2, VFHQ-Test. No measurement of keeprt's."""

from __future__ import annotations

from keeprt.benchmarks.evaluate.measure import (
    AKD,
    IDS,
    LPIPS,
    PSNR,
    SIGMA_AKD,
    SIGMA_IDS,
    SSIM,
    Column,
)

ROW = "paper: KEEP"
MEANING = (
    f"{ROW} is what the paper (arXiv 2408.05205, Tables 1 and A2) states for VFHQ-Test at the "
    "level of that name, in the paper's own ranges: a reference, not measured in this run"
)
_COLUMNS = (PSNR, SSIM, LPIPS, IDS, AKD, SIGMA_IDS, SIGMA_AKD)
# In the paper's units and order; its sigma_IDS is in hundredths.
_STATED = {
    "mild": (27.9994, 0.8267, 0.1619, 0.7960, 8.8182, 3.6866, 3.2538),
    "medium": (27.4853, 0.8171, 0.1740, 0.7481, 9.5937, 4.6179, 3.3764),
    "heavy": (27.2165, 0.8124, 0.1803, 0.7282, 9.8833, 4.8643, 3.3217),
}


def stated(level: str, column: Column) -> float | None:
    """The paper's figure in the column's own unit, None where it states none."""
    figures = dict(zip((c.key for c in _COLUMNS), _STATED.get(level, ()), strict=False))
    value = figures.get(column.key)
    return value / 100 if value is not None and column is SIGMA_IDS else value
