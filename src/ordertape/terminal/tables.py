"""The pictures of a replica: one line for a pipe, panels for a terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ordertape import limits
from ordertape.events import REASONS, EventKind, Flag, Side
from ordertape.numbers import plain
from ordertape.roles.status import StreamReport

__all__ = ["View", "line", "screen"]

Level = tuple[Decimal, Decimal, int]

STATE_STYLES = {
    "LIVE": "bold green",
    "CONNECTING": "yellow",
    "SYNCING": "yellow",
    "RESYNCING": "yellow",
    "STALE": "bold red",
    "FAILED": "bold red",
    "STOPPED": "bold",
}


_NO_BOOK = ("CONNECTING", "SYNCING", "RESYNCING", "FAILED")
"""States in which nothing is claimed of the book, so nothing can be proven."""
_FRAMED_LINES = 5
"""Lines of the heading and of the footing, with their frames."""


@dataclass(frozen=True, slots=True)
class View:
    """One moment of a market, ready to be drawn."""

    exchange: str
    symbol: str
    simulated: bool
    state: str
    reason: str
    era: int
    sequence: int
    age_ms: int | None
    bids: list[Level]
    asks: list[Level]
    bid_orders: int
    ask_orders: int
    events: list[dict[str, Any]]
    rates: Mapping[str, float]
    gaps: int
    faults: int
    report: StreamReport | None

    @property
    def best(self) -> tuple[Decimal | None, Decimal | None]:
        return (
            self.bids[0][0] if self.bids else None,
            self.asks[0][0] if self.asks else None,
        )


def line(view: View) -> str:
    """The market in one plain line: what a pipe gets each second, and ``collect`` shows."""
    bid, ask = view.best
    parts = [
        f"{view.exchange} {view.symbol}",
        *(["SIMULATED"] if view.simulated else []),
        view.state or "WAITING",
        f"era {view.era}",
        f"seq {view.sequence}",
        f"bid {_number(bid)} ask {_number(ask)}",
        f"{view.bid_orders}+{view.ask_orders} orders",
        f"{sum(view.rates.values()):.0f} events/s",
        f"age {_age(view.age_ms)}",
        integrity(view),
    ]
    if view.reason and view.state != "LIVE":
        parts.insert(-1, f"({view.reason})")
    return "  ".join(parts)


def integrity(view: View) -> str:
    """What is proven about the book, in words."""
    words = []
    if view.report is not None and view.state not in _NO_BOOK:
        words.append(str(view.report.integrity.get("summary", "unproven")))
    words.append("1 gap" if view.gaps == 1 else f"{view.gaps} gaps")
    if view.faults:
        words.append(f"{view.faults} faults while following the tape")
    return ", ".join(words)


def screen(view: View, *, width: int, height: int) -> RenderableType:
    """Everything, fitted to a terminal of this size."""
    room = height - 2 * _FRAMED_LINES
    side_by_side = width >= limits.view_wide_columns
    if side_by_side:
        rows = last = max(1, min(room - 2, limits.view_levels_shown))
    else:
        rows = max(1, (room - 4) * 3 // 5)
        last = max(1, room - 4 - rows)
    book = _panel(ladder(view, min(rows, limits.view_levels_shown)), "orders  size  price")
    tape = _panel(event_table(view, min(last, limits.view_events_shown)), "last events")
    if not side_by_side:
        return Group(heading(view), book, tape, footing(view))
    middle = Table.grid(expand=True)
    middle.add_column(ratio=1)
    middle.add_column(ratio=1)
    middle.add_row(book, tape)
    return Group(heading(view), middle, footing(view))


def _panel(content: RenderableType, title: str | None = None) -> Panel:
    return Panel(content, title=title, box=box.ROUNDED)


def heading(view: View) -> Panel:
    """Three lines: what it is, its best prices, how far it is."""
    name = Text(f"{view.exchange} {view.symbol}   ", "bold", no_wrap=True, overflow="ellipsis")
    if view.simulated:
        name.append(" SIMULATED ", "bold black on yellow")
        name.append("   ")
    name.append(view.state or "WAITING", STATE_STYLES.get(view.state, "yellow"))
    if view.reason and view.state != "LIVE":
        name.append(f" ({view.reason})", "not bold")
    bid, ask = view.best
    prices = Text("best bid ", no_wrap=True, overflow="ellipsis")
    prices.append(_number(bid), "bold green")
    prices.append("   best ask ")
    prices.append(_number(ask), "bold red")
    if bid is not None and ask is not None:
        prices.append(f"   spread {plain(ask - bid)}")
    place = Text(
        f"era {view.era}   sequence {view.sequence:,}   age {_age(view.age_ms)}   "
        f"{view.bid_orders:,} bids, {view.ask_orders:,} asks",
        no_wrap=True,
        overflow="ellipsis",
    )
    return _panel(Group(name, prices, place))


def ladder(view: View, rows: int) -> Table:
    """Bids on the left, asks on the right, best in the first row."""
    table = Table(box=None, expand=True, pad_edge=False, show_header=False)
    for style in ("dim", "", "green"):
        table.add_column(justify="right", style=style, no_wrap=True)
    for style in ("red", "", "dim"):
        table.add_column(justify="left", style=style, no_wrap=True)
    for index in range(rows):
        bid = view.bids[index] if index < len(view.bids) else None
        ask = view.asks[index] if index < len(view.asks) else None
        left = (str(bid[2]), plain(bid[1]), plain(bid[0])) if bid else ("", "", "")
        right = (plain(ask[0]), plain(ask[1]), str(ask[2])) if ask else ("", "", "")
        table.add_row(*left, *right)
    return table


def event_table(view: View, rows: int) -> Table:
    """The newest events first."""
    table = Table(box=None, expand=True, pad_edge=False, show_header=False)
    for number in range(5):
        table.add_column(justify="left" if number < 3 else "right", no_wrap=True)
    for row in view.events[:rows]:
        kind = EventKind(row["kind"])
        side = row.get("side")
        price, size = row.get("price"), row.get("size")
        table.add_row(
            Text(f"{row['seq']:,}", "dim"),
            kind.name.lower() + _detail(row),
            "" if side is None else Text(*_side(Side(side))),
            "" if price is None else plain(price),
            "" if size is None else plain(size),
        )
    for _ in range(rows - len(view.events)):
        table.add_row()
    return table


def _side(side: Side) -> tuple[str, str]:
    return ("bid", "green") if side is Side.BID else ("ask", "red")


def _detail(row: Mapping[str, Any]) -> str:
    reason = REASONS.get(row.get("reason") or 0)
    if reason is not None:
        return f" {reason}"
    return " again" if (row.get("flags") or 0) & Flag.REENTRY else ""


def footing(view: View) -> Panel:
    """Three lines: how fast, how well proven, who writes."""
    kinds = "".join(f"   {kind} {rate:.1f}" for kind, rate in view.rates.items() if rate)
    report = view.report
    if report is None:
        writer = "no collector writes this market now"
    else:
        hours = (time.time_ns() - report.started_at) / 3.6e12
        writer = (
            f"collector {report.pid}: {report.counters.get('frames', 0):,} frames, "
            f"{report.counters.get('connects', 0)} connects, {hours:.1f} h, "
            f"synced to {report.synced_sequence:,}"
        )
    lines = (
        f"events/s {sum(view.rates.values()):.1f}{kinds}",
        f"integrity: {integrity(view)}",
        writer,
    )
    return _panel(Group(*(Text(text, no_wrap=True, overflow="ellipsis") for text in lines)))


def _number(value: Decimal | None) -> str:
    return "–" if value is None else plain(value)


def _age(age_ms: int | None) -> str:
    if age_ms is None:
        return "–"
    return f"{age_ms} ms" if age_ms < 10_000 else f"{age_ms / 1000:.0f} s"
