"""Numbers as the page writes them."""

from __future__ import annotations

import math

from being_remote.report.page.values import Cell


def cell_text(value: Cell, decimals: int = 3) -> str:
    """A table's value for people; what is not known is a dash.

    Example:
        >>> cell_text(0.99951, 4), cell_text(838), cell_text(None), cell_text(True)
        ('0.9995', '838', '–', 'yes')
        >>> cell_text(1e12), cell_text(2e-7)
        ('1.000e+12', '2.000e-07')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    lost = value != 0 and abs(value) < 10.0**-decimals
    return f"{value:.{decimals}e}" if lost or abs(value) >= 1e9 else f"{value:.{decimals}f}"


def matrix_text(value: float) -> str:
    """An entry of K: four decimals, but plain 0 and 1 where it is exactly that."""
    return f"{value:g}" if value in (0.0, 1.0) else cell_text(float(value), 4)
