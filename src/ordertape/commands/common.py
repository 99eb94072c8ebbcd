"""What the commands share: options, settings, and the market a person means."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ordertape.errors import UnknownMarket
from ordertape.numbers import json_text
from ordertape.printable import visible
from ordertape.roles.children import handler_of
from ordertape.roles.logs import configure_logs
from ordertape.settings import Settings, load_settings
from ordertape.tape.folder import MarketFolder, markets
from ordertape.venues.registry import VENUES

__all__ = [
    "DataOption",
    "ExchangeArgument",
    "JsonOption",
    "SymbolArgument",
    "chosen_data",
    "command_name",
    "market_on_tape",
    "out",
    "out_json",
    "prepare",
    "until_interrupted",
]

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder of the tapes; as ORDERTAPE_DATA.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One line of JSON.")]
ExchangeArgument = Annotated[
    str, typer.Argument(metavar="EXCHANGE", help="The venue's name, such as bitfinex.")
]
SymbolArgument = Annotated[
    str,
    typer.Argument(
        metavar="SYMBOL", help="The market in any usual form: BTC/USDT, BTC-USDT, tBTCUST."
    ),
]

_chosen: dict[str, Path | None] = {"data": None}


def choose_data(data: Path | None) -> None:
    """What ``ordertape --data DIR command`` said before the command."""
    _chosen["data"] = data


def chosen_data() -> Path | None:
    """What ``choose_data`` was told."""
    return _chosen["data"]


def prepare(data: Path | None = None) -> Settings:
    """The settings of this command, and logs to where they say."""
    settings = load_settings(data=data or _chosen["data"])
    configure_logs(settings.logs)
    return settings


def market_on_tape(settings: Settings, exchange: str, symbol: str) -> MarketFolder:
    """The recorded market that is meant.  Raises UnknownMarket and names what there is."""
    exchange = exchange.strip().lower()
    recorded = {
        found.symbol: found for found in markets(settings.data) if found.exchange == exchange
    }
    meant = symbol
    if symbol not in recorded and exchange in VENUES and recorded:
        # What is recorded serves as the list of products: no network is needed to read.
        try:
            meant = VENUES[exchange].resolve(symbol, frozenset(recorded))
        except UnknownMarket:
            meant = symbol
    if meant not in recorded:
        there = ", ".join(found.market for found in markets(settings.data))
        raise UnknownMarket(
            f"no tape of {exchange} {symbol} in {settings.data}; "
            + (f"there is {there}" if there else "it holds none at all")
        )
    return recorded[meant]


def command_name() -> str:
    """How the person at this terminal calls us: `make run` needs no activated environment."""
    started = Path(sys.argv[0])
    unknown = started.name == "ordertape" and shutil.which("ordertape") is None
    return str(started) if unknown else "ordertape"


def out(text: str) -> None:
    """A line for people, who see it at once."""
    sys.stdout.write(visible(text) + "\n")
    sys.stdout.flush()


def out_json(answer: object) -> None:
    """A line for scripts."""
    sys.stdout.write(json_text(answer) + "\n")


@contextmanager
def until_interrupted() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, so that a view ends where it can clean up."""
    stop = threading.Event()
    told = handler_of(stop.set)
    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        told()
        for number, handler in before.items():
            signal.signal(number, handler)
