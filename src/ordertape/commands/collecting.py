"""``collect``: writes a tape from a venue, in the foreground."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from ordertape import limits
from ordertape.commands.common import (
    DataOption,
    ExchangeArgument,
    out,
    prepare,
)
from ordertape.roles.children import Child, Children
from ordertape.roles.collector import Collector
from ordertape.roles.demonstration import refuse_demonstration
from ordertape.roles.logs import logger
from ordertape.roles.markets import Market
from ordertape.settings import Settings
from ordertape.terminal.tables import View, line

__all__ = ["collect"]


def collect(
    exchange: ExchangeArgument,
    symbols: Annotated[
        list[str], typer.Argument(metavar="SYMBOL...", help="Markets in any usual form.")
    ],
    capture: Annotated[
        bool, typer.Option("--capture", help="Keep the raw frames beside the tape, too.")
    ] = False,
    simulated: Annotated[
        bool,
        typer.Option(
            "--simulated", help="The venue is a simulated one: tape, answers and page say so."
        ),
    ] = False,
    data: DataOption = None,
) -> None:
    """Collect markets into the tape, in the foreground, a live line a market; Ctrl-C ends it."""
    settings = prepare(data)
    if not simulated:
        refuse_demonstration(settings.data)
    with Children() as children, _Lines(Console()) as lines:
        keeper = _Keeper(children, settings)

        def on_report(collected: list[Market]) -> None:
            keeper.mind()
            lines.show(collected)

        collector = Collector(
            *(settings, exchange, symbols),
            capture=capture,
            simulated=simulated,
            on_report=on_report,
        )
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
    """A line a market that is written over in a terminal, and written anew in a pipe and where the
    terminal can't go back (``TERM=dumb``)."""

    def __init__(self, console: Console) -> None:
        self._console = console
        writes_over = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(console=console, auto_refresh=False) if writes_over else None

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
