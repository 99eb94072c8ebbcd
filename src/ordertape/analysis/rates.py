"""How often things happen: rates, hazards, ratios of orders to trades, churn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from ordertape.analysis.windows import Floats, Windows
from ordertape.times import NS_PER_SECOND

__all__ = [
    "DISTANCES",
    "SIDES",
    "added",
    "arrival_rate",
    "arrival_size",
    "book_churn",
    "cancel_fano",
    "cancel_hazard",
    "cancel_rate",
    "cancel_to_trade",
    "event_rate",
    "hidden_rate",
    "market_order_rate",
    "order_to_trade",
    "ratio",
    "reduction_rate",
    "trade_to_order_volume",
    "volume",
]

SIDES: Final = ("bid", "ask")
DISTANCES: Final = ("touch", "2bp", "5bp", "10bp", "25bp", "50bp", "beyond")
"""Behind the best price of the order's own side as it stood before: there or better, to 2 bp, …."""
TAKERS: Final = ("buy", "sell", "unknown")


def ratio(above: Floats, below: Floats) -> Floats:
    """NaN where there is nothing to divide by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)


def added(parts: Iterable[Floats]) -> Floats:
    found: Floats = np.sum(list(parts), axis=0)
    return found


def by_place(windows: Windows, name: str, side: str) -> dict[str, Floats]:
    return {distance: windows[f"{name}_{side}_{distance}"] for distance in DISTANCES}


def of_side(windows: Windows, name: str, side: str) -> Floats:
    return added(by_place(windows, name, side).values())


def in_all(windows: Windows, name: str) -> Floats:
    return of_side(windows, name, "bid") + of_side(windows, name, "ask")


def _rates(windows: Windows, count: str, name: str) -> dict[str, Floats]:
    seconds, found = windows.known_seconds, {}
    for side in SIDES:
        found[f"{name}_{side}"] = of_side(windows, count, side) / seconds
        for distance, values in by_place(windows, count, side).items():
            found[f"{name}_{side}_{distance}"] = values / seconds
    return found


def event_rate(windows: Windows) -> dict[str, Floats]:
    """Events and complete messages of the venue a second.  Source: our tape."""
    seconds = windows.known_seconds
    return {
        "events_per_second": windows["events"] / seconds,
        "messages_per_second": windows["messages"] / seconds,
    }


def arrival_rate(windows: Windows) -> dict[str, Floats]:
    """New orders a second, lambda = adds / T, by side and by distance behind the best price of
    their own side before them.  Orders of a snapshot and those that come back into a venue's window
    are none.  Source: Cont, Stoikov, Talreja, Operations Research 58 (2010)."""
    return _rates(windows, "added", "arrival_rate")


def arrival_size(windows: Windows) -> dict[str, Floats]:
    """The size of new orders a second, by side.  Source: as ``arrival_rate``."""
    seconds = windows.known_seconds
    return {
        f"arrival_size_{side}": of_side(windows, "added_size", side) / seconds for side in SIDES
    }


def cancel_rate(windows: Windows) -> dict[str, Floats]:
    """Orders canceled whole a second, by side and distance.  An end of unknown reason is a cancel
    once no trade explained it within the attribution horizon; what leaves a venue's window is none.
    Source: as ``arrival_rate``."""
    return _rates(windows, "cancelled", "cancel_rate")


def reduction_rate(windows: Windows) -> dict[str, Floats]:
    """Orders made smaller at their price a second, without a trade, by side (partial cancels).
    Source: SEC MIDAS methodology (sec.gov/marketstructure/mar_methodology)."""
    seconds = windows.known_seconds
    return {f"reduction_rate_{side}": of_side(windows, "reduced", side) / seconds for side in SIDES}


def market_order_rate(windows: Windows) -> dict[str, Floats]:
    """Aggressive orders a second by the taker's side, mu = orders / T: trades in a row of one taker
    id are one; where the venue tells none, those of one side and one time.  And trades a second.
    Source: as ``arrival_rate``."""
    seconds = windows.known_seconds
    found = {
        f"market_order_rate_{taker}": windows[f"market_orders_{taker}"] / seconds
        for taker in TAKERS
    }
    return found | {"trade_rate": _trades(windows) / seconds}


def cancel_hazard(windows: Windows) -> dict[str, Floats]:
    """Cancels an order and second at risk, theta = cancels / integral of the resting orders over
    time, by side.  Source: as ``arrival_rate``."""
    return {
        f"cancel_hazard_{side}": ratio(
            of_side(windows, "cancelled", side), windows[f"order_ns_{side}"] / NS_PER_SECOND
        )
        for side in SIDES
    }


def _trades(windows: Windows) -> Floats:
    return added(windows[f"trades_{taker}"] for taker in TAKERS)


def _traded(windows: Windows) -> Floats:
    return added(windows[f"volume_{taker}"] for taker in TAKERS)


def order_to_trade(windows: Windows) -> dict[str, Floats]:
    """Orders / transactions - 1, in number and in volume.  A new order and a cancel count once, any
    change twice, as a cancel and a new order; in volume by what came, went, or stands anew.  Null
    without a trade.  Source: Delegated Regulation (EU) 2017/566 (MiFID II RTS 9), article 3 and
    annex."""
    found = {}
    for name, suffix, traded in (
        ("number", "", _trades(windows)),
        ("volume", "_size", _traded(windows)),
    ):
        once = in_all(windows, f"added{suffix}") + in_all(windows, f"cancelled{suffix}")
        twice = in_all(windows, f"reduced{suffix}") + sum(
            windows[f"amended{suffix}_{side}"] for side in SIDES
        )
        found[f"order_to_trade_{name}"] = ratio(once + 2 * twice, traded) - 1
    return found


def cancel_to_trade(windows: Windows) -> dict[str, Floats]:
    """Cancels, whole or in part, a lit trade (of a resting order that was shown).  Source: SEC
    MIDAS methodology."""
    lit = _trades(windows) - windows["hidden"]
    canceled = in_all(windows, "cancelled") + in_all(windows, "reduced")
    return {"cancel_to_trade": ratio(canceled, lit)}


def trade_to_order_volume(windows: Windows) -> dict[str, Floats]:
    """100 x lit volume / volume of new orders.  Source: SEC MIDAS methodology."""
    lit = _traded(windows) - windows["hidden_volume"]
    return {"trade_to_order_volume": 100 * ratio(lit, in_all(windows, "added_size"))}


def hidden_rate(windows: Windows) -> dict[str, Floats]:
    """100 x trades of orders that were not shown / trades.  On a venue that links no trades it is
    those that could not be attributed.  Source: SEC MIDAS methodology."""
    return {"hidden_rate": 100 * ratio(windows["hidden"], _trades(windows))}


def volume(windows: Windows) -> dict[str, Floats]:
    """Traded size by the taker's side, and what was paid for it.  Source: our tape."""
    found = {f"volume_{taker}": windows[f"volume_{taker}"] for taker in TAKERS}
    paid = added(windows[f"notional_{taker}"] for taker in TAKERS)
    return found | {"notional": paid}


def book_churn(windows: Windows) -> dict[str, Floats]:
    """Messages a traded unit of size; and the share of levels that changed in a second, in per
    cent: different (side, price) a second over the levels there were at the window's end.
    Source: our tape."""
    levels = windows["levels_bid"] + windows["levels_ask"]
    changed = windows["levels_changed"] / windows.known_seconds
    return {
        "messages_per_traded_unit": ratio(windows["messages"], _traded(windows)),
        "levels_changed_share": 100 * ratio(changed, levels),
    }


def cancel_fano(windows: Windows) -> dict[str, Floats]:
    """Variance / mean of the cancels, whole or in part, in each second: 1 for a Poisson process,
    more where they come in clusters.  Needs two seconds.  Source: Fano, Phys. Rev. 72 (1947)."""
    seconds = windows.covered.astype(float)
    total = in_all(windows, "cancelled") + in_all(windows, "reduced")
    variance = ratio(windows.cancel_squares - ratio(total**2, seconds), seconds - 1)
    return {"cancel_fano": ratio(variance, ratio(total, seconds))}
