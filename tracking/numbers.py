"""Numbers as text."""

from __future__ import annotations

import math


def significant_digits(value: float, digits: int = 3) -> str:
    """The number rounded to so many digits, but never before the point, and never as a power of ten: "0.0000400",
    "12.3", "1,234"."""
    if not value or not math.isfinite(value):
        return f"{value:.0f}"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"
