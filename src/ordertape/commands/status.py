"""``status``: the recorded markets and who collects them, as lines, JSON or a table that moves."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ordertape import limits
from ordertape.commands.common import (
    DataOption,
    JsonOption,
    out,
    out_json,
    prepare,
    until_interrupted,
)
from ordertape.commands.progress import waiting
from ordertape.database.told import read_copied, read_told
from ordertape.errors import OrdertapeError
from ordertape.numbers import counted
from ordertape.printable import visible_line
from ordertape.roles.status import StreamReport, read_report
from ordertape.settings import Settings
from ordertape.tape.folder import MarketFolder, markets
from ordertape.tape.summary import TapeSummary, summary_of
from ordertape.times import iso_from_ns

__all__ = ["status"]

_COLOURS = {"LIVE": "green", "STOPPED": "dim", "FAILED": "bold red"}
"""Of the other states: yellow."""
_COLUMNS = (
    *("market", "state", "era", "sequence", "events/s", "age", "orders"),
    *("gaps", "not in database", "proof"),
)
_NUMBERS = frozenset({"era", "sequence", "events/s", "age", "orders", "gaps", "not in database"})


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it until Ctrl-C.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List the recorded markets, what their tapes hold, and the collectors that run."""
    settings = prepare(data)
    tapes = _Tapes()
    console = Console()
    drawn = console.is_terminal and not console.is_dumb_terminal
    if not watch:
        with waiting("status"):
            rows = _rows(settings, tapes)
        if as_json:
            _tell_json(settings, rows)
        elif drawn:
            console.print(_picture(settings, rows))
        else:
            _tell_lines(settings, rows)
        return
    with until_interrupted() as stop:
        if as_json or not drawn:
            while not stop.is_set():
                rows = _rows(settings, tapes)
                (_tell_json if as_json else _tell_lines)(settings, rows)
                stop.wait(limits.view_line_ms / 1000)
            return
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while not stop.is_set():
                live.update(_picture(settings, _rows(settings, tapes)), refresh=True)
                stop.wait(limits.view_line_ms / 1000)


# What there is ------------------------------------------------------------------------------------


class _Tapes:
    """What tapes hold, looked at anew after ``limits.status_tape_ms``: that reads all their marks,
    while a collector's report is one small file."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[float, TapeSummary]] = {}

    def of(self, folder: MarketFolder) -> TapeSummary:
        """Raises OrdertapeError, OSError."""
        now = time.monotonic()
        known = self._known.get(folder.root)
        if known is None or now - known[0] > limits.status_tape_ms / 1000:
            known = self._known[folder.root] = (now, summary_of(folder))
        return known[1]


def _rows(settings: Settings, tapes: _Tapes) -> list[dict[str, Any]]:
    return [_row(folder, tapes) for folder in markets(settings.data)]


def _row(folder: MarketFolder, tapes: _Tapes) -> dict[str, Any]:
    report = read_report(folder.root)
    problem = None
    try:
        held = tapes.of(folder)
    except (OrdertapeError, OSError) as error:  # the other markets are still told
        held, problem = TapeSummary(), str(error)
    era, sequence = held.history.last_era, held.last_seq
    live = report is not None and report.fresh
    if report is not None:
        era, sequence = max(era, report.era), max(sequence, report.sequence)
    return {
        "exchange": folder.exchange,
        "symbol": folder.symbol,
        "simulated": held.history.simulated or (report is not None and report.simulated),
        "state": report.state if report is not None and live else "STOPPED",
        "reason": problem or (report.reason if report is not None else None),
        "era": era,
        "sequence": sequence,
        "first_time": None if held.first_ts is None else iso_from_ns(held.first_ts),
        "last_time": None if held.last_ts is None else iso_from_ns(held.last_ts),
        "events": held.events,
        "gaps": held.history.gap_count,
        "age_ms": report.age_ms() if report is not None and live else None,
        "pid": report.pid if report is not None and live else None,
        "last_report": iso_from_ns(report.written_at) if report is not None else None,
        "integrity": report.integrity.get("summary") if report is not None else None,
        "errors": report.errors if report is not None else [],
    }


# How it is shown ----------------------------------------------------------------------------------


def _tell_json(settings: Settings, rows: list[dict[str, Any]]) -> None:
    database = read_told(settings.data)
    told = None if database is None else msgspec.to_builtins(database)
    out_json({"markets": rows, "database": told})


def _tell_lines(settings: Settings, rows: list[dict[str, Any]]) -> None:
    """In a pipe, and where no table can be drawn."""
    for row in rows:
        out(_line(row))
    if not rows:
        out(f"no tape in {settings.data}")
    if (database := read_told(settings.data)) is not None:
        out(f"database: {database}")


def _line(row: dict[str, Any]) -> str:
    simulated = "  SIMULATED" if row["simulated"] else ""
    text = (
        f"{row['exchange']} {row['symbol']}{simulated}  {row['state']}  era {row['era']}  "
        f"sequence {row['sequence']}  {row['first_time'] or '–'} to {row['last_time'] or '–'}  "
        f"{counted(row['events'], 'event')}  {counted(row['gaps'], 'gap')}"
    )
    if row["reason"] and row["state"] != "LIVE":
        text += f"  ({row['reason']})"
    if row["pid"] is not None:
        age = "–" if row["age_ms"] is None else f"{row['age_ms']} ms"
        return f"{text}  age {age}  {row['integrity']}  collector {row['pid']}"
    return f"{text}  collected until {row['last_report']}" if row["last_report"] else text


def _picture(settings: Settings, rows: list[dict[str, Any]]) -> RenderableType:
    """A table, and below it what is not well."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in _COLUMNS:
        table.add_column(
            name, justify="right" if name in _NUMBERS else "left", no_wrap=name != "proof"
        )
    copied = read_copied(settings.data)
    there = {(m.exchange, m.symbol): m.seq for m in copied.markets} if copied is not None else {}
    notes = []
    for row in rows:
        folder = MarketFolder(settings.data, row["exchange"], row["symbol"])
        table.add_row(*_cells(row, read_report(folder.root), there))
        if row["reason"] and row["state"] not in ("LIVE", "STOPPED"):
            notes.append(f"{row['exchange']} {row['symbol']}: {row['reason']}")
    database = read_told(settings.data)
    notes += [] if database is None else [f"database: {database}"]
    parts: list[RenderableType] = [table] if rows else [Text(f"no tape in {settings.data}")]
    return Group(*parts, *(Text(visible_line(note)) for note in notes))


def _cells(
    row: dict[str, Any], report: StreamReport | None, copied: dict[tuple[str, str], int]
) -> list[Text]:
    live = report if row["pid"] is not None else None
    name = f"{row['exchange']} {row['symbol']}" + (" (simulated)" if row["simulated"] else "")
    reached = copied.get((row["exchange"], row["symbol"]))
    return [
        Text(visible_line(name)),
        Text(row["state"], style=_COLOURS.get(row["state"], "yellow")),
        Text(f"{row['era']:,}"),
        Text(f"{row['sequence']:,}"),
        Text("" if live is None else f"{live.events_per_second:,.0f}"),
        Text("" if row["age_ms"] is None else _duration(row["age_ms"])),
        Text("" if live is None else f"{live.orders:,}"),
        Text(f"{row['gaps']:,}", style="yellow" if row["gaps"] else ""),
        Text("" if reached is None else f"{max(0, row['sequence'] - reached):,}"),
        Text("" if live is None else visible_line(str(row["integrity"]))),
    ]


def _duration(milliseconds: int) -> str:
    return f"{milliseconds} ms" if milliseconds < 10_000 else f"{milliseconds // 1000:,} s"
