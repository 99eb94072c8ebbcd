"""What became of the orders that a window brought."""

from __future__ import annotations

from ordertape.analysis.rates import ratio
from ordertape.analysis.windows import Floats, Windows

__all__ = ["fill_ratio"]


def fill_ratio(windows: Windows) -> dict[str, Floats]:
    """Of the orders that a window opened (a cohort, so that no long life is left out): the share
    that traded at all, that traded whole, that was canceled, and the share of their size that
    traded, until a minute behind the window's end (live: until its end).  Source: cohorts as in
    Hasbrouck, Saar, Journal of Financial Markets 12 (2009)."""
    orders = windows.cohort("orders")
    return {
        "fill_ratio_any": ratio(windows.cohort("touched"), orders),
        "fill_ratio_whole": ratio(windows.cohort("filled"), orders),
        "canceled_share": ratio(windows.cohort("cancelled"), orders),
        "fill_ratio_volume": ratio(windows.cohort("filled_size"), windows.cohort("size")),
    }
