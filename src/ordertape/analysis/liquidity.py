"""How much rests, and how steeply."""

from __future__ import annotations

from typing import Final

from ordertape.analysis.rates import SIDES
from ordertape.analysis.windows import Floats, Windows

__all__ = ["DEPTHS", "depth", "slope"]

DEPTHS: Final = ("5bp", "10bp", "25bp", "50bp", "100bp")


def depth(windows: Windows) -> dict[str, Floats]:
    """What rests within 5, 10, 25, 50 and 100 bp of the mid at the window's end, by side, prices on
    the border counted; and the size at the best price.  Source: Degryse, de Jong, van Kervel,
    Review of Finance 19 (2015)."""
    found = {f"best_size_{side}": windows[f"best_{side}"] for side in SIDES}
    for side in SIDES:
        for distance in DEPTHS:
            found[f"depth_{side}_{distance}"] = windows[f"depth_{side}_{distance}"]
    return found


def slope(windows: Windows) -> dict[str, Floats]:
    """How fast what rests grows with the price at the window's end: over the ten best levels of a
    side, the mean of ln(V(k+1) / V(k)) / (|p(k+1) - p(k)| / p(k)), V the size up to a level.  Null
    with fewer than two.  Source: Naes, Skjeltorp, Journal of Financial Markets 9 (2006), on
    logarithms of volume."""
    return {f"slope_{side}": windows[f"slope_{side}"] for side in SIDES}
