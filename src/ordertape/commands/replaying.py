"""``replay``: a recorded market in the terminal, as it was."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ordertape import limits
from ordertape.commands.common import (
    DataOption,
    ExchangeArgument,
    SymbolArgument,
    market_on_tape,
    out,
    prepare,
    until_interrupted,
)
from ordertape.page.passage import Passage
from ordertape.roles.status import StreamReport
from ordertape.tape.history import history_of
from ordertape.tape.reader import TapeReader
from ordertape.tape.rebuild import Replay
from ordertape.terminal.replica import Replica
from ordertape.terminal.tables import line
from ordertape.terminal.view import show, view_of
from ordertape.times import NS_PER_SECOND, iso_from_ns, parse_time

__all__ = ["Replayed", "replay"]


class Replayed(Replica):
    """A recorded market from a moment on (ns of our clock), ``speed`` times as fast as it was.

    ``ended`` is set behind the last event.
    """

    def __init__(self, data: Path, exchange: str, symbol: str, at: int, speed: float) -> None:
        super().__init__(data, exchange, symbol)
        self.ended = threading.Event()
        self._at, self._speed = at, speed
        self.replayed_at = iso_from_ns(at)

    @property
    def report(self) -> StreamReport | None:
        return None

    def now(self) -> int:
        return self._at

    def _run(self) -> None:
        try:
            self._play()
        except Exception as error:  # the view shows it and ends
            self.failure = error
        finally:
            self.ended.set()

    def _play(self) -> None:
        history = history_of(TapeReader(self.data, self.exchange, self.symbol))
        with closing(Passage(self.data, self.exchange, self.symbol, self._at)) as passage:
            followed = Replay(passage.book)
            if passage.book.seq == 0 and (first := passage.next_ts()) is not None:
                self._at = max(self._at, first)  # nothing was recorded by then
            with self.lock:
                self.history, self.book = history, followed.book
                self._since = self._at // NS_PER_SECOND
            begun, shown = time.monotonic(), self._at
            while not passage.ended and not self._stop.wait(limits.view_picture_ms / 2000):
                at = shown + int((time.monotonic() - begun) * self._speed * NS_PER_SECOND)
                for batch in passage.until(at):
                    with self.lock:
                        followed.take(batch)
                        self.faults = followed.faults
                        self._count(batch)
                    if self._stop.is_set():
                        return
                with self.lock:
                    self._at = at
                    self.replayed_at = iso_from_ns(at // 1_000_000 * 1_000_000)


def replay(
    exchange: ExchangeArgument,
    symbol: SymbolArgument,
    begin: Annotated[
        str,
        typer.Option(
            "--from", help="The moment, ISO 8601, UTC unless it says otherwise.", metavar="TIME"
        ),
    ],
    speed: Annotated[
        float, typer.Option(min=0.1, max=1000, help="How many times as fast as it was.")
    ] = 1.0,
    data: DataOption = None,
) -> None:
    """Play a recorded market in the terminal; in a pipe, a line a second, to the tape's end."""
    settings = prepare(data)
    at = parse_time(begin)
    folder = market_on_tape(settings, exchange, symbol)
    replayed = Replayed(settings.data, folder.exchange, folder.symbol, at, speed)
    piped = not Console().is_terminal
    replayed.start()
    with until_interrupted() as stop:
        if piped:
            # A person looks at the last picture as long as they like.
            threading.Thread(target=_end, args=(replayed, stop), daemon=True).start()
        try:
            show(replayed, stop)
        finally:
            replayed.stop()
    if replayed.failure is not None:
        raise replayed.failure
    if piped:
        out(line(view_of(replayed)))


def _end(replayed: Replayed, stop: threading.Event) -> None:
    replayed.ended.wait()
    stop.set()
