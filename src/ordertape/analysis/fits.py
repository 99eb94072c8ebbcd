"""What is fitted to a market's flow over a period: the table of fits, and how each is made."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from ordertape import limits
from ordertape.analysis import hawkes, impact, lifetimes, microprice, queues, resiliency
from ordertape.analysis.collected import Lives, MarketOrders, Seconds, Shocks
from ordertape.analysis.measure import Period, Walked, period_of, walk_flow
from ordertape.analysis.walk import Leave
from ordertape.errors import SettingRefused
from ordertape.tape.lookup import TapeLookup
from ordertape.times import NS_PER_SECOND

__all__ = ["FITS", "Fit", "Fitted", "fit_period"]

Summary: TypeAlias = dict[str, Any]
Table: TypeAlias = dict[str, Any]
Options: TypeAlias = dict[str, int]

BAR_S: Final = 60
OFI_BAR_S: Final = 10
LEVELS: Final = 10
_FLEETING_NS: Final = 2 * NS_PER_SECOND
_AGES_S: Final = (0.001, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0)


@dataclass(frozen=True, slots=True)
class Fitted:
    """``summary``: numbers and texts, None where they are not known; ``table``: columns of equal
    length, NaN the same."""

    name: str
    summary: Summary
    table: Table
    caption: str


class Asked(NamedTuple):
    period: Period
    options: Options
    leave: Leave
    """Raises where nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True)
class Fit:
    """``gather`` gives what is to be told on the walk, ``make`` the answer of it; ``options`` with
    their defaults, least and largest values."""

    make: Callable[[Any, Asked], tuple[Summary, Table]]
    gather: Callable[[Period], Walked]
    source: Callable[..., Any]
    """Its docstring is the definition."""
    options: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    caption: str = ""

    @property
    def definition(self) -> str:
        return inspect.getdoc(self.source) or ""


def fit_period(
    lookup: TapeLookup,
    period: Period,
    name: str,
    options: dict[str, int] | None = None,
    *,
    leave: Leave = lambda: None,
) -> Fitted:
    """Walks a period of a tape and fits what is asked.

    Raises SettingRefused for an unknown name or option, UnknownMarket, TapeCorrupt, and what
    ``leave`` raises.
    """
    if name not in FITS:
        raise SettingRefused(f"fit: expected one of {', '.join(FITS)}, found {name[:80]!r}")
    fit = FITS[name]
    values = _options(name, fit, options or {})
    period = _within_tape(lookup, period)
    gathered, unknown = fit.gather(period), _Unknown(period)
    walk_flow(lookup, period, [gathered, unknown], leave=leave)
    leave()
    summary, table = fit.make(gathered, Asked(period, values, leave))
    return Fitted(name, summary | {"gap_seconds": unknown.seconds}, table, fit.caption)


class _Unknown(Walked):
    """How much of a period lies within gaps (s)."""

    def __init__(self, period: Period) -> None:
        self._begin, self._end = (s * NS_PER_SECOND for s in (period.start, period.end))
        self.seconds = 0.0

    def gaps(self, gaps: list[tuple[int, int | None]], /) -> None:
        for first, last in gaps:
            end = self._end if last is None else min(last, self._end)
            self.seconds += max(0, end - max(first, self._begin)) / NS_PER_SECOND


def _within_tape(lookup: TapeLookup, period: Period) -> Period:
    """What of a period can hold events: a fit keeps numbers of every second.

    Raises SettingRefused where there is nothing of it, or too much.
    """
    whole = period_of(lookup, None, None)
    found = Period(max(period.start, whole.start), min(period.end, whole.end))
    if found.end <= found.start:
        raise SettingRefused("expected a time in which something was recorded, found none of it")
    if found.seconds > limits.analysis_fit_seconds_max:
        raise SettingRefused(
            f"expected at most {limits.analysis_fit_seconds_max} s to fit, found {found.seconds} s"
        )
    return found


def _options(name: str, fit: Fit, given: dict[str, int]) -> Options:
    found = {option: default for option, (default, _, _) in fit.options.items()}
    for option, value in given.items():
        if option not in fit.options:
            known = ", ".join(fit.options) or "no options"
            raise SettingRefused(f"{name}: expected {known}, found {option!r}")
        _, least, most = fit.options[option]
        if not least <= value <= most:
            raise SettingRefused(f"{option}: expected {least} to {most}, found {value}")
        found[option] = value
    return found


def _survival(lives: Lives, period: Period) -> lifetimes.Survival:
    return lifetimes.survival(*lifetimes.fates_of(lives.columns, period.end * NS_PER_SECOND))


def _make_lifetimes(lives: Lives, asked: Asked) -> tuple[Summary, Table]:
    found = _survival(lives, asked.period)
    summary: Summary = {"orders": found.orders}
    for share in lifetimes.QUANTILES:
        summary[f"p{share * 100:g}_s"] = found.quantile(share)
    summary["fleeting_share"] = found.at(found.canceled, _FLEETING_NS) if found.orders else None
    ages = [int(age * NS_PER_SECOND) for age in _AGES_S]
    table = {
        name: np.array([found.at(of, age) if found.orders else np.nan for age in ages])
        for name, of in (
            ("alive", found.alive),
            ("filled", found.filled),
            ("canceled", found.canceled),
        )
    }
    return summary, {"age_s": np.array(_AGES_S), **table}


def _make_queues(lives: Lives, asked: Asked) -> tuple[Summary, Table]:
    return queues.fill_probability(lives.columns, asked.period.end * NS_PER_SECOND)


_TOUCH: Final = ("bid", "ask", "best_bid", "best_ask")
_TRADED: Final = ("bid", "ask", "volume_buy", "volume_sell", "notional_buy", "notional_sell")
_OFI: Final = (*(f"ofi_{level}" for level in range(1, LEVELS + 1)), "top_bid", "top_ask")


def _mid(seconds: Seconds) -> Any:
    return (seconds["bid"] + seconds["ask"]) / 2


def _make_micro_price(seconds: Seconds, _: Asked) -> tuple[Summary, Table]:
    return microprice.fit_micro_price(*(seconds[name] for name in _TOUCH))


def _make_ofi(seconds: Seconds, asked: Asked) -> tuple[Summary, Table]:
    flows = np.column_stack([seconds[name] for name in _OFI[:LEVELS]])
    resting = seconds["top_bid"] + seconds["top_ask"]
    return impact.fit_integrated_ofi(_mid(seconds), flows, resting, asked.options["bar"])


def _make_kyle(seconds: Seconds, asked: Asked) -> tuple[Summary, Table]:
    return impact.fit_kyle(
        _mid(seconds), seconds["volume_buy"], seconds["volume_sell"], asked.options["bar"]
    )


def _make_amihud(seconds: Seconds, asked: Asked) -> tuple[Summary, Table]:
    notional = seconds["notional_buy"] + seconds["notional_sell"]
    return impact.fit_amihud(_mid(seconds), notional, asked.options["bar"])


def _make_vpin(seconds: Seconds, _: Asked) -> tuple[Summary, Table]:
    return impact.fit_vpin(seconds["volume_buy"], seconds["volume_sell"])


def _make_resiliency(shocks: Shocks, _: Asked) -> tuple[Summary, Table]:
    return resiliency.fit_resiliency(shocks.depths, shocks.spreads)


def _make_hawkes(orders: MarketOrders, asked: Asked) -> tuple[Summary, Table]:
    sides = orders.sides
    times, step, ties = hawkes.separated(orders.times)
    summary: Summary = {"orders": len(times), "ties": ties, "jitter_ns": step}
    empty = np.empty(0)
    if min((sides == side).sum() for side in (0, 1)) < hawkes.EVENTS_MIN:
        return summary | {"branching": None}, {"decay": empty, "caused_by_buy": empty}
    seconds = (times - asked.period.start * NS_PER_SECOND) / NS_PER_SECOND
    fit = hawkes.fit_hawkes(
        seconds, sides, float(asked.period.seconds), asked.options["kernels"], asked.leave
    )
    summary |= {
        "branching": fit.branching,
        "likelihood": fit.likelihood,
        "rate_buy": float(fit.mu[0]),
        "rate_sell": float(fit.mu[1]),
    }
    for name, waits in zip(("buy", "sell"), fit.residuals, strict=True):
        distance, p_value = hawkes.kolmogorov(waits)
        summary |= {f"ks_{name}": distance, f"p_value_{name}": p_value}
    rows = [(b, i, j) for b in range(len(fit.beta)) for i in (0, 1) for j in (0, 1)]
    return summary, {
        "decay": np.array([fit.beta[b] for b, _, _ in rows]),
        "effect": ["buy" if i == 0 else "sell" for _, i, _ in rows],
        "cause": ["buy" if j == 0 else "sell" for _, _, j in rows],
        "caused": np.array([fit.alpha[i, j, b] for b, i, j in rows]),
    }


_BAR: Final = {"bar": (BAR_S, 1, 3_600)}
FITS: Final[dict[str, Fit]] = {
    "lifetimes": Fit(_make_lifetimes, Lives, lifetimes.survival),
    "queues": Fit(_make_queues, Lives, queues.fill_probability),
    "micro_price": Fit(
        _make_micro_price, lambda period: Seconds(period, _TOUCH), microprice.fit_micro_price
    ),
    "integrated_ofi": Fit(
        _make_ofi,
        lambda period: Seconds(period, ("bid", "ask", *_OFI)),
        impact.fit_integrated_ofi,
        {"bar": (OFI_BAR_S, 1, 3_600)},
    ),
    "kyle": Fit(_make_kyle, lambda period: Seconds(period, _TRADED), impact.fit_kyle, _BAR),
    "amihud": Fit(_make_amihud, lambda period: Seconds(period, _TRADED), impact.fit_amihud, _BAR),
    "vpin": Fit(
        _make_vpin,
        lambda period: Seconds(period, _TRADED),
        impact.fit_vpin,
        caption=impact.VPIN_CAPTION,
    ),
    "resiliency": Fit(_make_resiliency, Shocks, resiliency.fit_resiliency),
    "hawkes": Fit(
        _make_hawkes,
        MarketOrders,
        hawkes.fit_hawkes,
        {"kernels": (1, 1, 4)},
        "Market orders that share a time are spread at random over the step of the clock, in the "
        "same way each time; ties and jitter_ns say how many and how far.",
    ),
}
"""By name."""
