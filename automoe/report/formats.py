"""Numbers as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence

DASH = "–"


def significant(value: float | None, digits: int = 3) -> str:
    """Three significant digits without an exponent, whole numbers from 100 up with commas: "11.4", "1,204", "0.0123".

    None and what is not a number are a dash.
    """
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    return f"{value:,.{max(0, digits - 1 - magnitude)}f}"


def beside(value: float, limit: float) -> str:
    """Three significant digits, or as many more as show that the value is not the limit: "24.31" beside 24.3."""
    digits = next((many for many in range(3, 8) if significant(value, many) != significant(limit, many)), 3)
    return significant(value, digits)


def fixed(value: float | None, decimals: int = 1) -> str:
    """So many decimals, as scores are printed; None and what is not a number are a dash."""
    return DASH if value is None or not math.isfinite(value) else f"{value:,.{decimals}f}"


def percent(share: float) -> str:
    """A share of 0 to 1 in whole per cent; "<1 %" for what is little but not nothing."""
    return "<1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def interval(value: float | None, low: float | None, high: float | None) -> str:
    """ "11.4 (11.1 to 11.9)"; without the brackets if an end is unknown."""
    if value is None or low is None or high is None:
        return significant(value)
    return f"{significant(value)} ({significant(low)} to {significant(high)})"


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def shortened(text: str, length: int) -> str:
    """The text, or its beginning and an ellipsis if it is longer than that."""
    return text if len(text) <= length else text[: length - 1] + "…"


def counted(number: int, singular: str) -> str:
    """ "1 layer", "3 layers"."""
    return f"{number:,} {singular}" + ("" if number == 1 else "s")
