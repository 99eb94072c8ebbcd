"""``import``: files that others recorded, whole or not at all, each once."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from ordertape.commands.common import DataOption, JsonOption, out, out_json, prepare
from ordertape.commands.help import WordedCommand, WordedGroup
from ordertape.commands.progress import counting
from ordertape.errors import SettingRefused
from ordertape.numbers import counted, plain
from ordertape.replay.capture import CaptureReplay
from ordertape.roles.demonstration import refuse_demonstration
from ordertape.settings import Settings
from ordertape.tape.folder import MarketFolder
from ordertape.tape.imports import (
    ImportSummary,
    Progress,
    import_batches,
    import_databento,
    import_lobster,
)

__all__ = ["app"]

app = typer.Typer(cls=WordedGroup, no_args_is_help=True, help="Import recorded files into a tape.")

Exchange = Annotated[
    str, typer.Option(help="The exchange of the market it becomes.", show_default=False)
]
Symbol = Annotated[
    str, typer.Option(help="The symbol of the market it becomes.", show_default=False)
]
Database = Annotated[
    bool, typer.Option("--database", help="Copy the whole market into PostgreSQL as well.")
]


@app.command(cls=WordedCommand)
def lobster(
    messages: Annotated[
        Path, typer.Argument(metavar="MESSAGES", help="The message file, plain or .gz.")
    ],
    exchange: Exchange,
    symbol: Symbol,
    orderbook: Annotated[
        Path | None,
        typer.Option(help="The orderbook file of the same day: the book to start from."),
    ] = None,
    date: Annotated[
        str | None,
        typer.Option(help="The day in New York, such as 2012-06-21; default: in the file's name."),
    ] = None,
    database: Database = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Import a LOBSTER message file.  A repeat adds nothing."""
    settings = _folder(data)
    market, day = _named("--exchange", exchange).lower(), _day(date)
    with _progress(messages) as progress:
        summary = import_lobster(
            settings.data, market, _named("--symbol", symbol), messages, orderbook, day, progress
        )
    _finish(settings, summary, database, as_json)


@app.command(cls=WordedCommand)
def databento(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .dbn, .dbn.zst or .csv file.")],
    exchange: Annotated[
        str | None,
        typer.Option(help="The exchange of the market.", show_default="the file's dataset"),
    ] = None,
    symbol: Annotated[
        str | None,
        typer.Option(help="Its symbol; chooses one of several.", show_default="the file's"),
    ] = None,
    database: Database = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Import Databento's market-by-order data.  A repeat adds nothing."""
    settings = _folder(data)
    market = None if exchange is None else _named("--exchange", exchange).lower()
    symbol = None if symbol is None else _named("--symbol", symbol)
    with _progress(file) as progress:
        summary = import_databento(settings.data, file, market, symbol, progress=progress)
    _finish(settings, summary, database, as_json)


@app.command(cls=WordedCommand)
def capture(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON lines, one a frame, plain or .zst.")
    ],
    exchange: Exchange,
    symbol: Symbol,
    database: Database = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Import raw frames through the parser of their venue.  A repeat adds nothing."""
    settings = _folder(data)
    replay = CaptureReplay(file, exchange, symbol)
    with _progress(file) as progress:
        summary = import_batches(
            settings.data, replay.venue.name, replay.symbol, replay.items(), file, progress
        )
    _finish(settings, summary, database, as_json)


def _folder(data: Path | None) -> Settings:
    """Raises ImportRefused where it is a demonstration's."""
    settings = prepare(data)
    refuse_demonstration(settings.data)
    return settings


def _named(option: str, name: str) -> str:
    if not name.strip():
        raise SettingRefused(f"{option} is {name!r}: expected a name")
    return name


def _day(text: str | None) -> datetime.date | None:
    try:
        return None if text is None else datetime.date.fromisoformat(text)
    except ValueError:
        raise SettingRefused(f"--date is {text!r}: expected a day like 2012-06-21") from None


@contextmanager
def _progress(path: Path) -> Iterator[Progress]:
    """A bar in bytes where the reader knows them, else a count of events."""
    with counting(f"import {path.name}", unit="done") as done:

        def progress(count: int, total: int) -> None:
            done(count, total or None)

        yield progress


def _finish(settings: Settings, summary: ImportSummary, database: bool, as_json: bool) -> None:
    """Tells what was imported, copied into the database first where that is wanted."""
    copied = _into_database(settings, summary) if database else None
    if as_json:
        more = {} if copied is None else {"database_events": copied}
        out_json({**summary.as_dict(), **more})
        return
    _tell(summary)
    if copied is not None:
        out(f"  into the database: {counted(copied, 'event')}")


def _into_database(settings: Settings, summary: ImportSummary) -> int:
    # The database's driver takes long to load, and few imports want it.
    from ordertape.database.address import address_of
    from ordertape.database.service import copy_tape

    address = address_of(settings)
    folder = MarketFolder(settings.data, summary.exchange, summary.symbol)
    address.acquire()
    try:
        with counting(f"copy {folder.market}", unit="events") as done:
            return copy_tape(
                folder, address, order_index=settings.database_order_index, progress=done
            )
    finally:
        address.release()


def _tell(summary: ImportSummary) -> None:
    market = f"{summary.exchange} {summary.symbol}"
    if summary.repeated:
        out(f"{market}: {', '.join(summary.sources)} is in the tape already; nothing was added")
        return
    out(
        f"{market}: {counted(summary.events, 'event')}, seq {summary.first_seq} to "
        f"{summary.last_seq}, {summary.start} to {summary.end}"
    )
    _by_name("events", summary.kinds)
    out(
        f"  book at the end: {counted(summary.orders, 'order')}, "
        f"best bid {_shown(summary.best_bid)}, best ask {_shown(summary.best_ask)}"
    )
    _by_name("passed over", summary.passed_over)
    _by_name("did not fit the book", summary.faults)


def _by_name(what: str, counts: dict[str, int]) -> None:
    present = [f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count]
    if present:
        out(f"  {what}: {', '.join(present)}")


def _shown(price: Decimal | None) -> str:
    return "–" if price is None else plain(price)
