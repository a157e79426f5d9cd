"""Numbers as people read them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

MINUS = "\N{MINUS SIGN}"
TIMES = " \N{MULTIPLICATION SIGN} "
NOTHING = "\N{EN DASH}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def format_number(value: float | np.number[Any], digits: int | None = None) -> str:
    """`digits` decimals, or up to four significant digits; a power of ten when extreme.

    What `digits` would show as zero, though it is not, becomes a power of ten too.
    """
    if isinstance(value, (int, np.integer)):
        return _minus(f"{value:,}")
    value = float(value)
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if digits is not None and (value == 0 or round(value, digits)):
        return _minus(f"{value:,.{digits}f}")
    size = abs(value)
    if value and not 1e-4 <= size < 1e7:
        mantissa, exponent = f"{value:.2e}".split("e")
        return _minus(f"{mantissa}{TIMES}") + power_of_ten(int(exponent))
    decimals = max(0, 3 - math.floor(math.log10(size))) if value else 0
    text = f"{value:,.{decimals}f}"
    return _minus(text.rstrip("0").rstrip(".") if decimals else text)


def format_tick(value: float) -> str:
    """A label of an axis: the shortest text, powers of ten when extreme."""
    if value and not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.2e}".split("e")
        short = f"{float(mantissa):g}"
        power = power_of_ten(int(exponent))
        return power if short == "1" else _minus(f"{short}{TIMES}") + power
    return _minus(f"{value:,.10g}")


def power_of_ten(exponent: int) -> str:
    """10⁻³ for -3."""
    return "10" + str(exponent).translate(_SUPERSCRIPTS)


def _minus(text: str) -> str:
    return text.replace("-", MINUS)
