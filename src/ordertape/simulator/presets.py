"""What two kinds of market are like: the numbers behind the traders of `ordertape.simulator`.

Starting values come from measured order flow: Bitstamp BTC/USD of a quiet half hour in 2026 for
``CRYPTO``, NASDAQ AAPL of the first hour of 2012-06-21 for ``EQUITY``; they were tuned until the
statistics of `ordertape.simulator.statistics` met the bands in docs/simulator.md.

Times are milliseconds at the preset's own rate (a market run faster runs everything faster),
prices ticks, sizes shares of the market's program size, probabilities 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

__all__ = ["CRYPTO", "EQUITY", "LIVELY", "PRESETS", "Law", "Preset"]

Law = tuple[float, float, float]
"""(weight, median, deviation of the logarithm) of a part of a lognormal mixture."""


@dataclass(frozen=True, slots=True)
class Preset:
    """See the module.  ``events_per_second``: how many occurrences it makes at its own rate."""

    name: str
    events_per_second: float
    rejects_published: bool
    live_orders: int
    active_orders: int
    """About how many of them are not patient."""
    # Births
    births_per_second: float
    children: tuple[tuple[float, float], ...]
    """(mean number, mean delay in ms): what each birth causes, on two time scales."""
    child_same_side: float
    twin: float
    twin_ms: float
    # Where, how much, how long
    distances: tuple[tuple[float, int, int], ...]
    """(probability, nearest, farthest) behind the touch; the rest lies beyond with a power tail."""
    inside: float
    """Probability of a quote inside a spread wider than ``inside_from`` ticks."""
    inside_from: int
    inside_wide: float
    """The same where the spread is wider than ``wide_from`` ticks."""
    wide_from: int
    inside_gain: Law
    """How much of the spread such a quote takes."""
    spread_left: int
    """Ticks that a quote inside leaves at least."""
    fixed_sizes: tuple[tuple[float, float], ...]
    """(probability, size) of the programs; the rest is drawn from ``sizes``."""
    sizes: tuple[Law, ...]
    large: float
    """Sizes beyond this are not shown at the touch."""
    inside_stays: bool
    """Whether orders inside the spread live as long as slow ones."""
    size_digits: int
    """Significant digits of drawn sizes, 0: all."""
    lives: tuple[Law, ...]
    """The first is that of fast programs; the others grow with the distance."""
    life_distance: tuple[float, float]
    """(d0, g): a slow life is multiplied by ((1 + distance) / d0) ** g."""
    # Chains of re-quotes
    requote: float
    requote_gaps: tuple[Law, ...]
    requote_same_price: float
    requote_step: float
    amend: float
    """Probability that a re-quote is an amendment of the order's price."""
    # Repricing: makers that believe in another price
    shocks_per_second: float
    shock_children: tuple[float, float]
    """(mean number, mean delay in ms)."""
    shock_still: float
    """Probability that the price stays and quotes are only renewed."""
    shock_step: float
    shock_share: float
    shock_share_deviation: float
    reaction: Law
    shock_requote: float
    shock_gap: Law
    first_stays: bool
    """Whether the first in the queue at the touch stays in a shock that does not overrun it."""
    settled_ms: int
    """Orders older than this take part in fewer shocks."""
    settled_share: float
    """By this factor."""
    shock_together: float
    """Probability that an order is renewed together with the others of its owner."""
    shock_spacing: float
    """ms between two of those."""
    trend: float
    """How much likelier the next price move is in the direction of the last."""
    lead: float
    reach: int
    """Ticks from the touch within which orders are renewed."""
    # Takers
    takers_per_second: float
    taker_children: tuple[float, float]
    taker_same_side: float
    taker_sizes: Law
    births_per_trade: float
    births_per_move: float
    # The patient
    patient_ticks: tuple[int, int]
    """How far from the touch they place themselves."""
    patient_churn: float
    """Probability that one goes in 10 s, of layers of more than 6,000 less."""
    # Post-only retriers
    chains_per_second: float
    chain_length: Law
    retry: Law
    # The rest
    off_grid: float
    """Probability of a price between two ticks, as venues with fine prices have them."""
    oddities_per_second: float
    watch_ms: int
    """How often makers look whether the mid has moved."""


CRYPTO: Final = Preset(
    name="crypto",
    events_per_second=250,
    rejects_published=True,
    live_orders=6500,
    active_orders=400,
    births_per_second=1.7,
    children=((0.64, 33), (0.2, 2700.0)),
    child_same_side=0.58,
    twin=0.072,
    twin_ms=25,
    distances=((0.27, 0, 0), (0.14, 1, 5), (0.26, 6, 20), (0.29, 21, 100)),
    inside=0.6,
    inside_from=1,
    inside_wide=0.6,
    wide_from=1,
    inside_gain=(1, 0.7, 0.5),
    spread_left=1,
    fixed_sizes=(
        (0.16, 1.0),
        (0.075, 1.0833333333333333),
        (0.055, 0.8333333333333334),
        (0.045, 0.6666666666666666),
        (0.03, 2.0833333333333335),
    ),
    sizes=((0.58, 0.64, 1.7), (0.055, 0.008, 0.5)),
    large=6,
    inside_stays=True,
    size_digits=0,
    lives=((0.42, 30, 0.9), (0.58, 2800, 2.05)),
    life_distance=(11, 0.35),
    requote=0.5,
    requote_gaps=((0.045, 0.4, 0.5), (0.955, 30, 0.54)),
    requote_same_price=0.55,
    requote_step=2,
    amend=0,
    shocks_per_second=0.112,
    shock_children=(0.62, 500),
    shock_still=0.5,
    shock_step=3,
    shock_share=0.3,
    shock_share_deviation=1.2,
    reaction=(1, 22, 0.9),
    shock_requote=0.6,
    shock_gap=(1, 22, 1.3),
    first_stays=True,
    settled_ms=5000,
    settled_share=0.4,
    shock_together=0.6,
    shock_spacing=0.5,
    trend=0.1,
    lead=0.7,
    reach=100,
    takers_per_second=0.1,
    taker_children=(0, 1),
    taker_same_side=0.77,
    taker_sizes=(1, 0.12, 2.6),
    births_per_trade=1.5,
    births_per_move=3,
    patient_ticks=(1, 800),
    patient_churn=0.0012,
    chains_per_second=6,
    chain_length=(1, 1.35, 1.9),
    retry=(1, 37, 0.25),
    off_grid=0,
    oddities_per_second=0.05,
    watch_ms=5,
)
"""BTC/USD-like: a spread of one tick, a deep book, two thirds of all adds rejected post-only."""

EQUITY: Final = Preset(
    name="equity",
    events_per_second=46,
    rejects_published=False,
    live_orders=329,
    active_orders=75,
    births_per_second=0.28,
    children=((0.38, 2), (0.15, 2000)),
    child_same_side=0.8,
    twin=0.17,
    twin_ms=15,
    distances=((0.135, 0, 0), (0.26, 1, 5), (0.37, 6, 20), (0.155, 21, 100)),
    inside=0.186,
    inside_from=4,
    inside_wide=0.465,
    wide_from=25,
    inside_gain=(1, 0.1, 0.9),
    spread_left=4,
    fixed_sizes=((0.4, 1), (0.11, 0.18), (0.1, 2), (0.09, 0.22), (0.05, 0.5)),
    sizes=((0.25, 0.4, 1.4),),
    large=3.6,
    inside_stays=False,
    size_digits=2,
    lives=((0.26, 3.5, 1.5), (0.66, 1200, 2.05), (0.08, 40000, 1)),
    life_distance=(8, 0.75),
    requote=0.46,
    requote_gaps=((0.771, 0.3, 0.5), (0.42, 22.6, 1.4)),
    requote_same_price=0.08,
    requote_step=4,
    amend=0.2,
    shocks_per_second=0.15,
    shock_children=(0.68, 333),
    shock_still=0.45,
    shock_step=1.0,
    shock_share=0.3,
    shock_share_deviation=1.5,
    reaction=(1, 0.612, 1.8),
    shock_requote=0.64,
    shock_gap=(1, 0.6, 1.6),
    first_stays=False,
    settled_ms=5000,
    settled_share=0.48,
    shock_together=0.3,
    shock_spacing=0.266,
    trend=0.2,
    lead=0.48,
    reach=100,
    takers_per_second=0.72,
    taker_children=(0.44, 300),
    taker_same_side=0.72,
    taker_sizes=(1, 0.55, 0.8),
    births_per_trade=2,
    births_per_move=0.05,
    patient_ticks=(5, 120),
    patient_churn=0.008,
    chains_per_second=0,
    chain_length=(1, 1, 0),
    retry=(1, 37, 0.25),
    off_grid=0,
    oddities_per_second=0.02,
    watch_ms=50,
)
"""Share-like: a spread of many ticks, round sizes, amendments, fast machines."""

LIVELY: Final = replace(
    CRYPTO,
    name="lively",
    events_per_second=320,
    live_orders=2_000,
    amend=0.15,
    takers_per_second=2.5,
    chains_per_second=1,
    off_grid=0.125,
    oddities_per_second=2,
)
"""The BTC/USD-like market with more of all that is seldom there: to be looked at and to test with;
its statistics are not those of a real market."""

PRESETS: Final = {preset.name: preset for preset in (CRYPTO, EQUITY, LIVELY)}
