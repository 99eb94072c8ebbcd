"""What an order's place in the queue at its entry is worth."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ordertape.analysis.lifetimes import FILLED, fates_of, survival
from ordertape.events import Side
from ordertape.times import NS_PER_SECOND

__all__ = ["AHEAD", "fill_probability"]

Longs = npt.NDArray[np.int64]
AHEAD: Final = (0, 1, 2, 4, 8, 16)
"""Where classes of orders ahead begin; the last has no end."""
HORIZONS_S: Final = (1, 10, 60)


def fill_probability(lives: dict[str, Longs], end: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The probability that an order that joined the best price (or bettered it) is filled whole
    within 1, 10 and 60 s, by how many orders stood ahead of it in its price at entry, and by
    whether it was larger than their median: cumulative incidence with cancels as the other risk,
    what goes on or was cut is censored.  An order that improves the price stands in front, with 0
    ahead.  Source: Aalen, Johansen (1978); queue place as in Moallemi, Yuan, A model for queue
    position valuation in a limit order book (2017)."""
    bid = lives["side"] == Side.BID
    # Behind its own opening the best price of its side is its own where it joined or bettered it.
    at_best = np.where(
        bid,
        lives["price_first"] >= lives["bid_first"],
        lives["price_first"] <= lives["ask_first"],
    )
    lasted, fate = fates_of(lives, end)
    ahead = lives["ahead_first"]
    joined = at_best & (ahead >= 0)
    size = lives["size_first"]
    middle = float(np.median(size[joined])) if joined.any() else 0.0
    table: dict[str, list[Any]] = {
        name: []
        for name in (
            *("ahead_from", "ahead_to", "large", "orders", "filled"),
            *(f"filled_{horizon}s" for horizon in HORIZONS_S),
        )
    }
    for begin, over in zip(AHEAD, (*AHEAD[1:], None), strict=True):
        within = joined & (ahead >= begin) & (ahead < (over or np.iinfo(np.int64).max))
        for large in (False, True):
            wanted = within & ((size > middle) == large)
            found = survival(lasted[wanted], fate[wanted])
            count = int(wanted.sum())
            table["ahead_from"].append(begin)
            table["ahead_to"].append(np.nan if over is None else over - 1)
            table["large"].append(large)
            table["orders"].append(count)
            table["filled"].append(int((fate[wanted] == FILLED).sum()))
            for horizon in HORIZONS_S:
                share = found.at(found.filled, horizon * NS_PER_SECOND) if count else np.nan
                table[f"filled_{horizon}s"].append(share)
    return {"orders": int(joined.sum()), "elsewhere": int((~joined).sum())}, {
        name: np.array(values) for name, values in table.items()
    }
