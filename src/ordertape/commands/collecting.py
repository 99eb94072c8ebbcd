"""``collect`` and ``demo``: what writes a tape from a venue."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from ordertape import limits
from ordertape.commands.common import (
    DataOption,
    ExchangeArgument,
    chosen_data,
    out,
    prepare,
    until_interrupted,
)
from ordertape.errors import ChildFailed, TapeError
from ordertape.roles.children import Child, Children
from ordertape.roles.collector import Collector
from ordertape.roles.logs import logger
from ordertape.roles.markets import Market
from ordertape.roles.status import read_report
from ordertape.settings import Settings
from ordertape.tape.folder import MarketFolder, markets
from ordertape.terminal.replica import Replica
from ordertape.terminal.tables import View, line
from ordertape.terminal.view import show

__all__ = ["collect", "demo"]

DEMO_EXCHANGE, DEMO_SYMBOL, DEMO_PAIR = "bitfinex", "BTC/USDT", "tBTCUST"


def collect(
    exchange: ExchangeArgument,
    symbols: Annotated[
        list[str], typer.Argument(metavar="SYMBOL...", help="Markets in any usual form.")
    ],
    capture: Annotated[
        bool, typer.Option("--capture", help="Keep the raw frames beside the tape, too.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Collect markets into the tape, in the foreground, a live line a market; Ctrl-C ends it."""
    settings = prepare(data)
    with Children() as children, _Lines(Console()) as lines:
        keeper = _Keeper(children, settings)

        def on_report(collected: list[Market]) -> None:
            keeper.mind()
            lines.show(collected)

        collector = Collector(settings, exchange, symbols, capture=capture, on_report=on_report)
        collector.run()
    for market in collector.markets:
        out(
            f"{market.folder.market}: {market.stream.events:,} events, "
            f"the tape is in {market.folder.root}"
        )


class _Keeper:
    """The folder's keeper as a child, started again where it ends on its own."""

    def __init__(self, children: Children, settings: Settings) -> None:
        self._children, self._data = children, settings.data
        self._child: Child | None = None
        self._started = -float("inf")

    def mind(self) -> None:
        """Starts it where it does not run; the tape can wait for it, so never in haste."""
        if self._child is not None and self._child.status is None:
            return
        if time.monotonic() - self._started < limits.keeper_restart_ms / 1000:
            return
        if self._child is not None:
            logger("collector").warning("L3_keeper_ended", reason=self._child.ending())
        self._started = time.monotonic()
        self._child = self._children.start(
            "the keeper",
            "ordertape.roles.keeper",
            ["--data", str(self._data), "--watch-parent"],
        )


class _Lines:
    """A line a market that is written over in a terminal, and written anew in a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> _Lines:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, collected: Sequence[Market]) -> None:
        texts = [line(_view_of(market)) for market in collected]
        if self._live is not None:
            shown = Text("\n".join(texts), no_wrap=True, overflow="ellipsis")
            self._live.update(shown, refresh=True)
        else:
            for text in texts:
                out(text)
            self._console.file.flush()


def _view_of(market: Market) -> View:
    """The view of a stream in this process, which needs no tape to be read."""
    stream, report = market.stream, market.report()
    bids, asks = stream.book.depth(1)
    bid_orders, ask_orders = stream.book.totals()[:2]
    return View(
        exchange=market.folder.exchange,
        symbol=market.folder.symbol,
        simulated=stream.simulated,
        state=report.state,
        reason=report.reason,
        era=report.era,
        sequence=report.sequence,
        age_ms=report.age_ms(),
        bids=bids,
        asks=asks,
        bid_orders=bid_orders,
        ask_orders=ask_orders,
        events=[],
        rates={"events": report.events_per_second},
        gaps=report.counters.get("gaps", 0),
        faults=0,
        report=report,
    )


def demo(
    seed: Annotated[int, typer.Option(help="The same seed makes the same market.")] = 7,
    rate: Annotated[
        int, typer.Option(min=1, max=5_000, help="Orders, cancels and amendments a second.")
    ] = 200,
    seconds: Annotated[
        int | None,
        typer.Option(min=1, help="End after so many seconds.", show_default="until Ctrl-C"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="Folder of the simulated tape.", show_default="data-demo"
        ),
    ] = None,
) -> None:
    """Collect a simulated venue into a folder of its own and show its live book."""
    settings = prepare(data or chosen_data() or Path("data-demo"))
    _refuse_real(settings)
    replica = Replica(settings.data, DEMO_EXCHANGE, DEMO_SYMBOL)
    with Children() as children, until_interrupted() as stop:
        collector = _start_demo(children, settings, seed, rate, stop)
        replica.start()
        timer = threading.Timer(seconds or 0, stop.set)
        timer.daemon = True
        if seconds is not None:
            timer.start()

        def check() -> None:
            ended = children.ended()
            if ended is not None:
                raise ChildFailed(f"{ended.name} ended: {ended.ending()}")

        try:
            show(replica, stop, check=check)
        finally:
            timer.cancel()
            collector.stop()
            replica.stop()
    _farewell(settings, replica)


def _refuse_real(settings: Settings) -> None:
    for folder in markets(settings.data):
        report = read_report(folder.root)
        if report is None or not report.simulated:  # what was imported has no report
            raise TapeError(
                f"{settings.data} holds real data ({folder.market}), the demonstration can't be "
                "mixed in: choose another --data"
            )


def _start_demo(
    children: Children, settings: Settings, seed: int, rate: int, stop: threading.Event
) -> Child:
    """Starts venue, keeper and collector; returns the collector once it reports."""
    venue = children.start(
        "the simulated venue",
        "ordertape.simulator",
        [
            *(DEMO_EXCHANGE, "--port", "0", "--seed", str(seed)),
            *("--symbol", DEMO_PAIR, "--rate", str(rate), "--watch-parent"),
        ],
    )
    listening = msgspec.json.decode(venue.first_line(), type=dict)
    folder = ["--data", str(settings.data), "--watch-parent"]
    children.start(
        "the keeper",
        "ordertape.roles.keeper",
        [*folder, "--archive-bytes-max", str(limits.demo_archive_bytes_max)],
    )
    collector = children.start(
        "the collector",
        "ordertape.roles.collector",
        [DEMO_EXCHANGE, DEMO_SYMBOL, "--simulated", *folder],
        {
            "ORDERTAPE_BITFINEX_WS_URL": listening["url"],
            "ORDERTAPE_BITFINEX_REST_URL": listening["rest_url"],
        },
    )
    root = MarketFolder(settings.data, DEMO_EXCHANGE, DEMO_SYMBOL).root
    deadline = time.monotonic() + limits.child_start_timeout_ms / 1000
    while not stop.wait(limits.view_wait_ms / 1000):
        report = read_report(root)
        if report is not None and report.pid == collector.pid:
            break
        if collector.status is not None or time.monotonic() > deadline:
            raise ChildFailed(f"the collector could not start: {collector.ending()}")
    return collector


def _farewell(settings: Settings, replica: Replica) -> None:
    events = replica.book.seq if replica.book is not None else 0
    market = f"{DEMO_EXCHANGE} {DEMO_SYMBOL} --data {settings.data}"
    # `make run` needs no activated environment; what is tried next may.
    started = Path(sys.argv[0])
    unknown = started.name == "ordertape" and shutil.which("ordertape") is None
    command = started if unknown else "ordertape"
    out(
        f"The simulated tape is in {replica.folder.root}: {events:,} events. Another run goes on "
        "with it. Try:\n"
        f"  {command} book {market} --depth 5\n"
        f"  {command} verify {market}\n"
        f"  {command} export parquet {market} --out out"
    )
