"""The bands of real order flow that the simulated one is held against.

Measured on Bitstamp BTC/USD (2026-05-02, 02:36 to 03:06 UTC) for ``crypto`` and on LOBSTER's AAPL
(2012-06-21, 09:30 to 10:30, 50 levels) for ``equity``: a band is the range over six equal blocks of
that one session, at least 25 % to either side.  Bands describe those sessions, not every market.
A session is accepted where it meets what ``ACCEPTED`` says.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["ACCEPTED", "GATES", "Band", "Gate", "gates_of"]


class Band(NamedTuple):
    """From, to (both inclusive) and the real session's value."""

    low: float
    high: float
    real: float


class Gate(NamedTuple):
    """A statistic of `ordertape.simulator.statistics.figures`; no band: it does not apply."""

    name: str
    text: str
    hard: bool
    crypto: tuple[float, float, float] | None
    equity: tuple[float, float, float] | None


GATES: Final = (
    Gate(
        "cancel/add(rest)",
        "cancels for each resting add",
        True,
        (0.98, 1.01, 0.997),
        (0.85, 0.97, 0.92),
    ),
    Gate(
        "any_fill_share",
        "ended resting orders with any fill",
        True,
        (0.0025, 0.007, 0.0043),
        (0.045, 0.105, 0.07),
    ),
    Gate("life_c<100ms", "canceled within 100 ms", True, (0.31, 0.53, 0.418), (0.15, 0.45, 0.298)),
    Gate("life_c<1000ms", "canceled within 1 s", True, (0.55, 0.78, 0.673), (0.48, 0.81, 0.64)),
    Gate("inside", "adds inside the spread", True, (0.006, 0.027, 0.015), (0.14, 0.4, 0.202)),
    Gate("touch", "adds at the touch", True, (0.14, 0.31, 0.249), (0.064, 0.107, 0.085)),
    Gate(
        "size_seen100",
        "adds of a size among the last 100 of their side",
        True,
        (0.41, 0.69, 0.55),
        (0.8, 1, 0.95),
    ),
    Gate("spread_mean*", "mean spread, ticks", True, (1, 1.1, 1.03), (14.5, 26.5, 19.3)),
    Gate("spread_1tick*", "time with a spread of one tick", True, (0.97, 1, 0.993), (0, 0.005, 0)),
    Gate(
        "p99/mean",
        "events a second: 99th percentile over mean",
        True,
        (4.6, 7.7, 6.2),
        (4.7, 7.8, 6.2),
    ),
    Gate(
        "p50/mean",
        "events a second: median over mean",
        True,
        (0.46, 0.77, 0.61),
        (0.41, 0.69, 0.55),
    ),
    Gate("Fano0.01", "variance over mean of counts, 10 ms", True, (2.7, 4.6, 3.7), (5.1, 8.5, 6.8)),
    Gate("Fano0.1", "the same, 100 ms", True, (13.5, 23.5, 18.7), (12, 20.2, 16.2)),
    Gate("Fano1", "the same, 1 s", True, (51, 110, 87.7), (28, 51, 40.6)),
    Gate("Fano10", "the same, 10 s", True, (110, 336, 269), (47, 127, 102)),
    Gate(
        "acf0.1_lag1",
        "autocorrelation of counts, 100 ms",
        True,
        (0.5, 0.83, 0.66),
        (0.23, 0.41, 0.32),
    ),
    Gate(
        "acf1_lag1", "autocorrelation of counts, 1 s", True, (0.33, 0.55, 0.44), (0.19, 0.39, 0.3)
    ),
    Gate("P(next<=10ms)", "next event within 10 ms", True, (0.5, 0.82, 0.66), (0.56, 0.94, 0.75)),
    Gate("same_side|10ms", "and then on the same side", True, (0.52, 0.73, 0.59), (0.6, 0.9, 0.73)),
    Gate(
        "same_type|10ms", "and then of the same type", True, (0.5, 0.78, 0.63), (0.31, 0.51, 0.41)
    ),
    Gate(
        "requote1ms",
        "equal size quoted again within 1 ms",
        True,
        (0.02, 0.07, 0.05),
        (0.21, 0.35, 0.28),
    ),
    Gate(
        "requote10ms",
        "equal size quoted again within 10 ms",
        True,
        (0.045, 0.09, 0.07),
        (0.31, 0.51, 0.41),
    ),
    Gate(
        "requote100ms",
        "equal size quoted again within 100 ms",
        True,
        (0.36, 0.6, 0.48),
        (0.41, 0.68, 0.55),
    ),
    Gate(
        "flash_share_adds",
        "adds that are rejected post-only orders",
        False,
        (0.45, 0.83, 0.67),
        (0, 0, 0),
    ),
    Gate("amend/add", "price amendments for each add", False, None, (0.07, 0.15, 0.097)),
    Gate("life_c<1ms", "canceled within 1 ms", False, (0, 0.02, 0.008), (0.02, 0.105, 0.055)),
    Gate("life_c<10ms", "canceled within 10 ms", False, (0.02, 0.17, 0.07), (0.06, 0.3, 0.173)),
    Gate(
        "life_c_ms_q50",
        "life of canceled orders, median, ms",
        False,
        (80, 315, 199),
        (130, 1080, 374),
    ),
    Gate(
        "life_c_ms_q95",
        "life of canceled orders, 95 %, ms",
        False,
        (15000, 37000, 23120),
        (14600, 29000, 19410),
    ),
    Gate(
        "life_f_ms_q50",
        "life of filled orders, median, ms",
        False,
        (1750, 5050, 3386),
        (500, 2190, 889),
    ),
    Gate("1..5", "adds 1 to 5 ticks behind", False, (0.086, 0.2, 0.137), (0.13, 0.225, 0.178)),
    Gate("6..20", "adds 6 to 20 ticks behind", False, (0.19, 0.41, 0.258), (0.16, 0.37, 0.292)),
    Gate(
        "21..100", "adds 21 to 100 ticks behind", False, (0.22, 0.37, 0.292), (0.11, 0.242, 0.171)
    ),
    Gate(">100", "adds farther behind", False, (0.037, 0.073, 0.05), (0.048, 0.09, 0.072)),
    Gate(
        "dist_bps<=5", "adds within 5 bp of the best", False, (0.75, 0.88, 0.83), (0.75, 0.88, 0.83)
    ),
    Gate("size_q5/med", "sizes: 5 % over median", False, (0.007, 0.016, 0.01), (0.01, 0.12, 0.08)),
    Gate("size_q25/med", "sizes: 25 % over median", False, (0.2, 0.76, 0.61), (0.14, 1, 0.19)),
    Gate("size_q75/med", "sizes: 75 % over median", False, (1.05, 2.2, 1.73), (1, 1, 1)),
    Gate("size_q95/med", "sizes: 95 % over median", False, (4.9, 10.4, 8.0), (1, 2.5, 2)),
    Gate("size_q99/med", "sizes: 99 % over median", False, (16, 28, 21.9), (3, 10, 6)),
    Gate("round<=2sig", "sizes of at most 2 digits", False, (0.28, 0.48, 0.382), (0.95, 1, 0.993)),
    Gate(
        "top5_share",
        "adds of the five commonest sizes",
        False,
        (0.28, 0.47, 0.37),
        (0.6, 0.95, 0.78),
    ),
    Gate("live_orders", "live orders", False, (4900, 8100, 6516), (247, 411, 329)),
    Gate("orders_at_touch", "orders at the touch, median", False, (3, 7, 5), (1, 1, 1)),
    Gate(
        "depth_L1/mean10",
        "size of level 1 over the mean of ten",
        False,
        (0.8, 1.5, 1.12),
        (0.55, 1.4, 0.83),
    ),
    Gate(
        "depth_L10/mean10",
        "size of level 10 over the mean of ten",
        False,
        (0.9, 1.65, 1.25),
        (0.86, 1.5, 1.17),
    ),
    Gate("sd1s_bps", "deviation of 1 s returns, bp", False, (0.12, 0.61, 0.31), (0.63, 1.32, 0.89)),
    Gate(
        "sd60/sd1/sqrt60",
        "deviation of 60 s over that of 1 s, scaled",
        False,
        (0.6, 1.42, 1.1),
        (0.74, 1.37, 1.08),
    ),
    Gate("hawkes_n", "Hawkes branching ratio", False, (0.61, 0.95, 0.81), (0.51, 0.85, 0.65)),
    Gate(
        "P(<=10ms)|T",
        "next event within 10 ms of a trade",
        False,
        (0.46, 0.77, 0.62),
        (0.7, 1, 0.94),
    ),
    Gate("cxl_touch", "cancels at the touch", False, (0.12, 0.3, 0.24), (0.126, 0.295, 0.17)),
    Gate(
        "cxl_1..5", "cancels 1 to 5 ticks behind", False, (0.097, 0.215, 0.15), (0.17, 0.32, 0.23)
    ),
    Gate(
        "cxl_rank_mean",
        "place in the queue at cancel, mean",
        False,
        (0.62, 0.95, 0.82),
        (0.5, 0.84, 0.67),
    ),
    Gate(
        "cxl_rank_last",
        "cancels at the back of a queue",
        False,
        (0.55, 0.92, 0.74),
        (0.48, 0.79, 0.63),
    ),
    Gate(
        "cxl_rank_first",
        "cancels at the front of a queue",
        False,
        (0.088, 0.15, 0.12),
        (0.21, 0.36, 0.29),
    ),
    Gate(
        "requote_same_px",
        "of those within 100 ms: same price",
        False,
        (0.4, 0.69, 0.55),
        (0.04, 0.18, 0.08),
    ),
    Gate(
        "requote_1-10t",
        "of those within 100 ms: 1 to 10 ticks away",
        False,
        (0.28, 0.52, 0.38),
        (0.46, 0.77, 0.61),
    ),
    Gate(
        "pair100ms",
        "adds with a twin on the other side",
        False,
        (0.18, 0.3, 0.24),
        (0.295, 0.53, 0.42),
    ),
    Gate("restadds/aggr", "adds for each taker", False, (219, 437, 292), (8.9, 15.8, 12.3)),
    Gate(
        "sign_acf1",
        "autocorrelation of takers' sides",
        False,
        (0.4, 0.69, 0.54),
        (0.46, 0.77, 0.62),
    ),
    Gate("fills/aggr", "fills for each taker", False, (1.25, 2.1, 1.67), (1, 1.55, 1.24)),
)

ACCEPTED: Final = {"crypto": (True, 0.80), "equity": (False, 0.75)}
"""Whether every hard gate must be passed, and which share of all."""


def gates_of(preset: str) -> list[tuple[Gate, Band]]:
    """The gates of ``crypto`` or ``equity``, the hard ones first."""
    bands = [(gate, gate.crypto if preset == "crypto" else gate.equity) for gate in GATES]
    return [(gate, Band(*band)) for gate, band in bands if band is not None]
