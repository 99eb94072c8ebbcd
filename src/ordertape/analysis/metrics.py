"""The table of metrics: what each is called, its unit, and what makes it of windows of flow.

A metric's docstring is its definition and its source; the edges show it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from ordertape.analysis import fills, imbalances, liquidity, rates, spreads
from ordertape.analysis.windows import Floats, Windows
from ordertape.errors import SettingRefused

__all__ = ["METRICS", "Metric", "chosen"]

Made: TypeAlias = Callable[[Windows], dict[str, Floats]]


@dataclass(frozen=True, slots=True)
class Metric:
    """``make`` gives columns, one value a window, NaN where it is null; ``unit`` is theirs."""

    name: str
    unit: str
    make: Made

    @property
    def definition(self) -> str:
        return inspect.getdoc(self.make) or ""


METRICS: Final = {
    make.__name__: Metric(make.__name__, unit, make)
    for unit, make in (
        ("1/s", rates.event_rate),
        ("1/s", rates.arrival_rate),
        ("size/s", rates.arrival_size),
        ("1/s", rates.cancel_rate),
        ("1/s", rates.reduction_rate),
        ("1/s", rates.market_order_rate),
        ("1/s per order", rates.cancel_hazard),
        ("1", rates.order_to_trade),
        ("1", rates.cancel_to_trade),
        ("%", rates.trade_to_order_volume),
        ("%", rates.hidden_rate),
        ("size", rates.volume),
        ("messages/size, %/s", rates.book_churn),
        ("1", rates.cancel_fano),
        ("1", fills.fill_ratio),
        ("price, bp", spreads.quoted_spread),
        ("price, bp", spreads.effective_spread),
        ("price, bp", spreads.realised_spread),
        ("1", imbalances.queue_imbalance),
        ("price", imbalances.weighted_mid),
        ("price", imbalances.mid),
        ("size", imbalances.order_flow_imbalance),
        ("size", liquidity.depth),
        ("1", liquidity.slope),
    )
}
"""By name, in the order in which they are shown."""


def chosen(names: Iterable[str] | None) -> list[Metric]:
    """The metrics of these names; all where none are given.  Raises SettingRefused."""
    if names is None:
        return list(METRICS.values())
    asked = list(dict.fromkeys(names))
    unknown = [name for name in asked if name not in METRICS]
    if unknown or not asked:
        raise SettingRefused(
            f"metrics: expected names among {', '.join(METRICS)}, "
            f"found {repr(unknown[0])[:80] if unknown else 'none'}"
        )
    return [METRICS[name] for name in asked]
