"""``book``, ``watch``, ``verify``, ``venues``: what reads and changes nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ordertape.commands.answers import book_answer
from ordertape.commands.common import (
    DataOption,
    ExchangeArgument,
    JsonOption,
    SymbolArgument,
    market_on_tape,
    out,
    out_json,
    prepare,
    until_interrupted,
)
from ordertape.commands.progress import waiting
from ordertape.numbers import counted, plain
from ordertape.printable import visible_line
from ordertape.tape.verify import verify as verify_tape
from ordertape.terminal.replica import Replica
from ordertape.terminal.view import show
from ordertape.times import parse_time
from ordertape.venues.registry import VENUES

__all__ = ["book", "venues", "verify", "watch"]

_PIPE_COLUMNS = 1_000
_exact = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


def book(
    exchange: ExchangeArgument,
    symbol: SymbolArgument,
    at: Annotated[
        str | None,
        typer.Option(
            help="The moment, ISO 8601, UTC unless it says otherwise; inclusive. Default: now.",
            show_default=False,
        ),
    ] = None,
    depth: Annotated[int, typer.Option(min=0, help="Orders a side; 0: all.")] = 100,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Print a market's book as it stood at a moment, order by order."""
    settings = prepare(data)
    at_ns = None if at is None else parse_time(at)
    folder = market_on_tape(settings, exchange, symbol)
    with waiting(f"rebuild {folder.market}"):
        answer = book_answer(folder, at_ns, depth)
    if as_json:
        out(answer)
    else:
        _print_book(_exact.decode(answer))


def _print_book(answer: dict[str, Any]) -> None:
    simulated = "  SIMULATED" if answer["simulated"] else ""
    out(
        f"{answer['exchange']} {answer['symbol']}{simulated}  {answer['state']}  "
        f"era {answer['era']}  sequence {answer['sequence']}  {answer['timestamp']}"
    )
    if gap := answer.get("gap"):
        out(f"inside a gap from {gap['from']} to {gap['to'] or 'now'}: {gap['reason']}")
    figures = answer["statistics"]
    out(
        f"{counted(figures['bid_count'], 'bid')} of {plain(Decimal(figures['total_bid_volume']))}, "
        f"{counted(figures['ask_count'], 'ask')} of {plain(Decimal(figures['total_ask_volume']))}"
    )
    beside = _book_table(answer, ("bid", "ask"))
    if _width(beside) <= Console().width or not Console().is_terminal:
        _print_whole(beside)
        return
    _print_whole(_book_table(answer, ("bid",)))
    _print_whole(_book_table(answer, ("ask",)))


def _book_table(answer: dict[str, Any], sides: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for side in sides:
        for name in ("order", "size", "price"):
            table.add_column(f"{side} {name}", justify="right", no_wrap=True)
    orders = [answer[f"{side}s"] for side in sides]
    for index in range(max(map(len, orders))):
        table.add_row(*(cell for side in orders for cell in _cells(side, index)))
    return table


def _cells(orders: list[dict[str, Any]], index: int) -> tuple[str | Text, str, str]:
    if index >= len(orders):
        return "", "", ""
    order = orders[index]
    # As text: what stands in brackets would be rich's markup.
    name = Text(visible_line(order["order_id"]))
    return name, plain(Decimal(order["size"])), plain(Decimal(order["price"]))


def watch(exchange: ExchangeArgument, symbol: SymbolArgument, data: DataOption = None) -> None:
    """Show a market's live book in the terminal; in a pipe, a line a second."""
    settings = prepare(data)
    folder = market_on_tape(settings, exchange, symbol)
    replica = Replica(settings.data, folder.exchange, folder.symbol)
    replica.start()
    with until_interrupted() as stop:
        try:
            show(replica, stop)
        finally:
            replica.stop()


def verify(
    exchange: ExchangeArgument,
    symbol: SymbolArgument,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Replay a tape and compare the book with the digest at every mark; status 1 if one differs."""
    settings = prepare(data)
    folder = market_on_tape(settings, exchange, symbol)
    with waiting(f"verify {folder.market}"):
        report = verify_tape(settings.data, folder.exchange, folder.symbol)
    if as_json:
        out_json(report.as_dict())
    else:
        out(f"{folder.exchange} {folder.symbol}: {report}")
        for gap in report.gap_list:
            out(f"  {_gap_line(gap)}")
    if not report.equal:
        raise typer.Exit(1)


def _gap_line(gap: dict[str, Any]) -> str:
    """A gap of ``History.gaps`` in one line."""
    healed = "not healed" if gap["healed_by"] is None else f"healed by event {gap['healed_by']:,}"
    return f"gap from {gap['from']} to {gap['to'] or 'now'}: {gap['reason']}; {healed}"


def venues(as_json: JsonOption = False) -> None:
    """List the venues: what each can prove, and what not."""
    rows = [venue.capability.as_dict() for venue in VENUES.values()]
    if as_json:
        out_json({"venues": rows})
        return
    for row in rows:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for name, text in row.items():
            table.add_row(name.replace("_", " "), text)
        _print(table)


def _width(table: Table) -> int:
    """Columns that it takes where no cell is cut or folded."""
    return Console(width=_PIPE_COLUMNS).measure(table).maximum


def _print(table: Table) -> None:
    """In a pipe nothing is cut to the width of a terminal that isn't there."""
    console = Console()
    if not console.is_terminal:
        console.width = _PIPE_COLUMNS
    console.print(table)


def _print_whole(table: Table) -> None:
    """As ``_print``; a terminal that is too narrow folds the lines, so that no digit is lost."""
    console = Console()
    console.width = max(console.width, _width(table))
    console.print(table)
