"""Which side presses: imbalance of queues, the mid weighted with it, order-flow imbalance."""

from __future__ import annotations

from typing import Final

from ordertape.analysis.rates import ratio
from ordertape.analysis.windows import Floats, Windows

__all__ = ["LEVELS", "mid", "order_flow_imbalance", "queue_imbalance", "weighted_mid"]

LEVELS: Final = 10


def queue_imbalance(windows: Windows) -> dict[str, Floats]:
    """I = q_b / (q_b + q_a) of the sizes at the best prices, 0 to 1, as a mean over time and at the
    window's end.  Source: Stoikov, Quantitative Finance 18 (2018); Gould, Bonart, arXiv 1512.03492
    (theirs is 2 I - 1)."""
    best = windows["best_bid"] + windows["best_ask"]
    return {
        "queue_imbalance": ratio(windows["imbalance_ns"], windows["quoted_ns"]),
        "queue_imbalance_end": ratio(windows["best_bid"], best),
    }


def weighted_mid(windows: Windows) -> dict[str, Floats]:
    """I p_a + (1 - I) p_b, as a mean over time.  It is not the micro-price.  Source: Stoikov
    (2018), section 2."""
    return {"weighted_mid": ratio(windows["weighted_mid_ns"], windows["quoted_ns"])}


def mid(windows: Windows) -> dict[str, Floats]:
    """(p_a + p_b) / 2, as a mean over time and at the window's end, with both prices there.
    Source: our tape."""
    bid, ask = windows["bid"], windows["ask"]
    return {
        "mid": ratio(windows["mids_ns"], 2 * windows["quoted_ns"]),
        "mid_end": (bid + ask) / 2,
        "bid_end": bid,
        "ask_end": ask,
    }


def order_flow_imbalance(windows: Windows) -> dict[str, Floats]:
    """OFI = sum of e over the venue's messages, e = [P_b >= P_b'] q_b - [P_b <= P_b'] q_b' -
    [P_a <= P_a'] q_a + [P_a >= P_a'] q_a', primes before a message; and the same of each of the ten
    best levels.  A level that is not there has no size and the worst price.  Source: Cont, Kukanov,
    Stoikov, Journal of Financial Econometrics 12 (2014); levels: Xu, Gould, Howison, arXiv
    1907.06230."""
    return {"ofi": windows["ofi_1"]} | {
        f"ofi_{level}": windows[f"ofi_{level}"] for level in range(1, LEVELS + 1)
    }
