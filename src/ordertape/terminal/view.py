"""The live view: panels in a terminal, a plain line a second in a pipe and where TERM is dumb."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live

from ordertape import limits
from ordertape.printable import visible_line
from ordertape.roles.status import StreamReport
from ordertape.terminal.replica import Replica
from ordertape.terminal.tables import View, line, screen
from ordertape.times import NS_PER_MILLISECOND

__all__ = ["show", "view_of"]


def view_of(replica: Replica) -> View:
    """What a replica holds now."""
    report = replica.report
    with replica.lock:
        book = replica.book
        bids, asks = book.depth(limits.view_levels_shown) if book is not None else ([], [])
        state, reason = replica.history.state, replica.history.reason
        if replica.replayed_at is not None:
            state, reason = "REPLAY", replica.replayed_at
        elif report is None and state not in ("", "STOPPED", "FAILED"):
            # Its collector was killed before it could say so on the tape.
            state, reason = "STOPPED", "nobody collects it now"
        elif report is not None and (state == report.state or (not state and _bookless(report))):
            # The tape says when a state began, the collector what keeps it there; and of a market
            # that never had a book, there is no tape to read.
            state, reason = report.state, report.reason
        age_ms = None
        if report is not None:
            # The report is up to a second old; the tape itself may know of a later frame.
            seen = max(report.last_frame_at or 0, book.ts_recv if book is not None else 0)
            age_ms = max(0, time.time_ns() - seen) // NS_PER_MILLISECOND if seen else None
        bid_orders, ask_orders = book.totals()[:2] if book is not None else (0, 0)
        return View(
            exchange=replica.exchange,
            symbol=replica.symbol,
            simulated=replica.history.simulated or (report is not None and report.simulated),
            state=state,
            reason=visible_line(reason),
            era=book.era if book is not None else 0,
            sequence=book.seq if book is not None else 0,
            age_ms=age_ms,
            bids=bids,
            asks=asks,
            bid_orders=bid_orders,
            ask_orders=ask_orders,
            events=replica.events(limits.view_events_shown),
            rates=replica.rates(),
            gaps=replica.history.gap_count,
            faults=replica.faults,
            report=report,
        )


def _bookless(report: StreamReport) -> bool:
    return report.state in ("CONNECTING", "SYNCING", "FAILED", "STOPPED")


def show(
    replica: Replica,
    stop: threading.Event,
    *,
    check: Callable[[], None] = lambda: None,
    console: Console | None = None,
) -> None:
    """Shows a started replica until ``stop`` is set.

    ``check`` is called at every picture and ends the view by raising; so does a failed replica.
    """
    console = console or Console()
    if console.is_terminal and not console.is_dumb_terminal:
        _panels(replica, stop, check, console)
    else:
        _lines(replica, stop, check, console)


def _panels(
    replica: Replica, stop: threading.Event, check: Callable[[], None], console: Console
) -> None:
    def draw() -> None:
        live.update(
            screen(view_of(replica), width=console.width, height=console.height), refresh=True
        )

    with Live(console=console, screen=True, auto_refresh=False) as live:
        while not stop.is_set():
            _raise_failure(replica, check)
            draw()
            stop.wait(limits.view_picture_ms / 1000)


def _lines(
    replica: Replica, stop: threading.Event, check: Callable[[], None], console: Console
) -> None:
    while not stop.wait(limits.view_line_ms / 1000):
        _raise_failure(replica, check)
        console.file.write(line(view_of(replica)) + "\n")
        console.file.flush()


def _raise_failure(replica: Replica, check: Callable[[], None]) -> None:
    check()
    if replica.failure is not None:
        raise replica.failure
