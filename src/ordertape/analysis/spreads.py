"""What trading costs: quoted, effective and realised spreads, and the impact between them."""

from __future__ import annotations

from typing import Final

from ordertape.analysis.rates import ratio
from ordertape.analysis.windows import Floats, Windows

__all__ = ["TAUS", "effective_spread", "quoted_spread", "realised_spread"]

TAUS: Final = ("1s", "5s", "15s", "60s")
_BP: Final = 10_000


def quoted_spread(windows: Windows) -> dict[str, Floats]:
    """Best ask - best bid, and that over the mid, as means over the time in which there are both.
    Source: Holden, Jacobsen, Journal of Finance 69 (2014)."""
    quoted = windows["quoted_ns"]
    return {
        "quoted_spread": ratio(windows["spread_ns"], quoted),
        "quoted_spread_bp": _BP * ratio(windows["relative_spread_ns"], quoted),
    }


def effective_spread(windows: Windows) -> dict[str, Floats]:
    """2 d (p - m): d +1 where the taker bought and -1 where it sold, as the venue tells, m the mid
    before its order; as means over size, and over value in bp of the mid.  Source: Holden, Jacobsen
    (2014)."""
    return {
        "effective_spread": ratio(windows["effective"], windows["priced_volume"]),
        # The weight is 2 m times size: half of it is the value at the mid.
        "effective_spread_bp": _BP * ratio(2 * windows["effective"], windows["weight"]),
    }


def realised_spread(windows: Windows) -> dict[str, Floats]:
    """For the times tau: realised 2 d (p - m(t + tau)) and impact 2 d (m(t + tau) - m), over value,
    in bp of m, of the trades whose time tau behind them fell into the window, with the effective
    spread of the same trades, so that effective = realised + impact.  Trades are left out where the
    mid before or behind them is not known.  Source: Huang, Stoll, Journal of Financial Economics 41
    (1996); Holden, Jacobsen (2014)."""
    found = {}
    for tau in TAUS:
        weight = windows[f"weight_{tau}"]
        for name, shown in (
            ("effective", "effective_spread"),
            ("realised", "realised_spread"),
            ("impact", "price_impact"),
        ):
            found[f"{shown}_{tau}_bp"] = _BP * ratio(2 * windows[f"{name}_{tau}"], weight)
    return found
