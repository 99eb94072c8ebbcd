"""The pictures of a replica: one line for a pipe, panels for a terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ordertape import limits
from ordertape.events import REASONS, EventKind, Flag, Side
from ordertape.numbers import counted, plain
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


_NO_BOOK = ("", "CONNECTING", "SYNCING", "RESYNCING", "FAILED")
"""States in which nothing is claimed of the book, so nothing can be proven."""
_FRAMED_LINES = 5
"""Lines of the heading and of the footing, with their frames."""
_FRAME_COLUMNS = 4
"""What a frame and its margin take of a line."""
_LEVEL_COLUMNS = ("orders", "size", "price")
"""Of a level; where there is no room for all, from the left on they are left out."""
_EVENT_COLUMNS = (
    ("seq", "kind and reason", "side", "price", "size"),
    ("seq", "kind", "side", "price", "size"),
    ("kind", "side", "price", "size"),
    ("side", "price", "size"),
    ("price", "size"),
    ("price",),
)
"""Of an event; the first that have room are shown."""
_SIDE_STYLES = {"bid": "green", "ask": "red", "": ""}


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
        f"{_rate(view, 0)} events/s",
        f"age {_age(view.age_ms)}",
        integrity(view),
    ]
    if view.reason and view.state != "LIVE":
        parts.insert(-1, f"({view.reason})")
    return "  ".join(parts)


def integrity(view: View, *, brief: bool = False) -> str:
    """What is proven about the book, in words; ``brief``: without the reasons."""
    words = []
    if view.report is not None and view.state not in _NO_BOOK:
        proof = _proof(view.report)
        words.append(proof.partition(":")[0] if brief else proof)
    words.append(counted(view.gaps, "gap"))
    if view.faults:
        words.append(f"{counted(view.faults, 'fault')} while following the tape")
    return ", ".join(words)


def _proof(report: StreamReport) -> str:
    if report.state in _NO_BOOK:
        # Reports are up to a second old: this one was written before there was a book to prove.
        return "proof pending"
    return str(report.integrity.get("summary", "unproven"))


def screen(view: View, *, width: int, height: int) -> RenderableType:
    """Everything, fitted to a terminal of this size: what has no room is left out, never cut."""
    room = height - 2 * _FRAMED_LINES
    side_by_side = width >= limits.view_wide_columns
    if side_by_side:
        rows = last = max(1, min(room - 2, limits.view_levels_shown))
        inside = width // 2 - _FRAME_COLUMNS
    else:
        rows = max(1, (room - 4) * 3 // 5)
        last = max(1, room - 4 - rows)
        inside = width - _FRAME_COLUMNS
    levels, shown = ladder(view, min(rows, limits.view_levels_shown), inside)
    book = _panel(levels, "  ".join(shown))
    tape = _panel(event_table(view, min(last, limits.view_events_shown), inside), "last events")
    if not side_by_side:
        return Group(heading(view, inside), book, tape, footing(view, inside))
    middle = Table.grid(expand=True)
    middle.add_column(ratio=1)
    middle.add_column(ratio=1)
    middle.add_row(book, tape)
    whole = width - _FRAME_COLUMNS
    return Group(heading(view, whole), middle, footing(view, whole))


def _panel(content: RenderableType, title: str | None = None) -> Panel:
    return Panel(content, title=title, box=box.ROUNDED)


def _fitting(width: int, *forms: Text, fold: bool = False) -> Text:
    """The first that fits.  ``fold``: where not even the last does, no digit of it may be lost."""
    chosen = next((form for form in forms if form.cell_len <= width), forms[-1])
    chosen.no_wrap, chosen.overflow = not fold, "fold" if fold else "ellipsis"
    return chosen


def heading(view: View, width: int) -> Panel:
    """Three lines: what it is, its best prices, how far it is."""
    name = Text(f"{view.exchange} {view.symbol}   ", "bold", no_wrap=True, overflow="ellipsis")
    if view.simulated:
        name.append(" SIMULATED ", "bold black on yellow")
        name.append("   ")
    name.append(view.state or "WAITING", STATE_STYLES.get(view.state, "yellow"))
    if view.reason and view.state != "LIVE":
        name.append(f" ({view.reason})", "not bold")
    bid, ask = view.best
    best = Text.assemble(
        "best bid ", (_number(bid), "bold green"), "   best ask ", (_number(ask), "bold red")
    )
    spread = f"   spread {plain(ask - bid)}" if bid is not None and ask is not None else ""
    short = Text.assemble((_number(bid), "bold green"), " ", (_number(ask), "bold red"))
    place = f"era {view.era}   sequence {view.sequence:,}   age {_age(view.age_ms)}"
    orders = f"{counted(view.bid_orders, 'bid')}, {counted(view.ask_orders, 'ask')}"
    return _panel(
        Group(
            name,
            _fitting(width, best + Text(spread), best, short, fold=True),
            _fitting(
                width,
                Text(f"{place}   {orders}"),
                Text(place),
                Text(f"sequence {view.sequence:,}"),
                Text(f"{view.sequence:,}"),
                fold=True,
            ),
        )
    )


def ladder(view: View, rows: int, width: int) -> tuple[Table, tuple[str, ...]]:
    """Bids on the left, asks on the right, best in the first row; and which columns had room."""
    bids, asks = ([_level(level) for level in side[:rows]] for side in (view.bids, view.asks))
    shown: tuple[str, ...] = _LEVEL_COLUMNS
    while len(shown) > 1 and _columns_width(bids, shown) + _columns_width(asks, shown) > width + 1:
        shown = shown[1:]
    table = _table()
    for name in shown:
        style = {"orders": "dim", "price": "green"}.get(name, "")
        table.add_column(justify="right", style=style, overflow="fold")
    for name in reversed(shown):
        style = {"orders": "dim", "price": "red"}.get(name, "")
        table.add_column(justify="left", style=style, overflow="fold")
    nothing = dict.fromkeys(_LEVEL_COLUMNS, "")
    for index in range(rows):
        bid = bids[index] if index < len(bids) else nothing
        ask = asks[index] if index < len(asks) else nothing
        table.add_row(*(bid[name] for name in shown), *(ask[name] for name in reversed(shown)))
    return table, shown


def _table() -> Table:
    return Table(box=None, expand=True, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))


def _level(level: Level) -> dict[str, str]:
    price, size, orders = level
    return {"orders": str(orders), "size": plain(size), "price": plain(price)}


def _columns_width(rows: list[dict[str, str]], shown: tuple[str, ...]) -> int:
    """Of a table that shows these columns, a space behind each."""
    return sum(max((cell_len(row[name]) for row in rows), default=0) + 1 for name in shown)


def event_table(view: View, rows: int, width: int) -> Table:
    """The newest events first."""
    events = [_event(row) for row in view.events[:rows]]
    shown = next(
        (columns for columns in _EVENT_COLUMNS if _columns_width(events, columns) <= width + 1),
        _EVENT_COLUMNS[-1],
    )
    table = _table()
    for name in shown:
        right = name in ("price", "size")
        style = "dim" if name == "seq" else ""
        table.add_column(justify="right" if right else "left", style=style, overflow="fold")
    for row in events:
        table.add_row(
            *(
                Text(row[name], _SIDE_STYLES[row[name]]) if name == "side" else row[name]
                for name in shown
            )
        )
    for _ in range(rows - len(events)):
        table.add_row()
    return table


def _event(row: Mapping[str, Any]) -> dict[str, str]:
    side, price, size = row.get("side"), row.get("price"), row.get("size")
    kind = EventKind(row["kind"]).name.lower()
    return {
        "seq": f"{row['seq']:,}",
        "kind and reason": kind + _detail(row),
        "kind": kind,
        "side": "" if side is None else Side(side).name.lower(),
        "price": "" if price is None else plain(price),
        "size": "" if size is None else plain(size),
    }


def _detail(row: Mapping[str, Any]) -> str:
    reason = REASONS.get(row.get("reason") or 0)
    if reason is not None:
        return f" {reason}"
    return " again" if (row.get("flags") or 0) & Flag.REENTRY else ""


def footing(view: View, width: int) -> Panel:
    """Three lines: how fast, how well proven, who writes."""
    total = f"events/s {_rate(view, 1)}"
    kinds = "".join(f"   {kind} {rate:.1f}" for kind, rate in view.rates.items() if rate)
    report = view.report
    if report is None:
        writer = [Text("no collector writes this market now")]
    else:
        hours = (time.time_ns() - report.started_at) / 3.6e12
        name = f"collector {report.pid}"
        frames = counted(report.counters.get("frames", 0), "frame")
        connects = counted(report.counters.get("connects", 0), "connect")
        synced = f"synced to {report.synced_sequence:,}"
        writer = [
            Text(f"{name}: {frames}, {connects}, {hours:.1f} h, {synced}"),
            Text(f"{name}: {synced}"),
        ]
    return _panel(
        Group(
            _fitting(width, Text(total + kinds), Text(total)),
            _fitting(
                width,
                Text(f"integrity: {integrity(view)}"),
                Text(integrity(view)),
                Text(integrity(view, brief=True)),
            ),
            _fitting(width, *writer),
        )
    )


def _number(value: Decimal | None) -> str:
    return "–" if value is None else plain(value)


def _rate(view: View, digits: int) -> str:
    return f"{sum(view.rates.values()):.{digits}f}" if view.rates else "–"


def _age(age_ms: int | None) -> str:
    if age_ms is None:
        return "–"
    return f"{age_ms} ms" if age_ms < 10_000 else f"{age_ms / 1000:.0f} s"
