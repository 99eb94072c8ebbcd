"""A raw capture played through the same session and stream as a live connection.

Times are the capture's: what only silence ends (a message that nothing closes, a trade whose
horizon passed) ends after that much silence in the capture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook
from ordertape.errors import BadFile
from ordertape.replay.capture_file import CaptureWriter, read_lines
from ordertape.stream.market import MarketStream
from ordertape.stream.state import StreamState
from ordertape.tape.marks import Mark
from ordertape.times import NS_PER_MILLISECOND
from ordertape.venues.registry import venue_of
from ordertape.venues.session import Fetch

__all__ = ["CaptureReplay", "CaptureWriter", "read_capture"]

_OK = 200
"""Only answers that were ones are captured."""
_SILENCES_NS = (
    (limits.commit_silence_ms + 1) * NS_PER_MILLISECOND,
    (limits.commit_silence_ms + limits.attribution_horizon_ms + 2) * NS_PER_MILLISECOND,
)
"""After these, what waits for a silence has had it: first statements, then trades."""


class _Gathered:
    """A stream's sink that hands on what it was given."""

    def __init__(self) -> None:
        self.items: list[EventBatch | Mark] = []

    def append(self, batch: EventBatch, /) -> None:
        self.items.append(batch)

    def snapshot(self, book: OrderBook, /) -> None:
        """A replay keeps no books."""

    def mark(self, mark: Mark, /) -> None:
        self.items.append(mark)

    def take(self) -> list[EventBatch | Mark]:
        items, self.items = self.items, []
        return items


class CaptureReplay:
    """One market of a capture; ``stream`` shows its book, proofs and counters on the way.

    ``symbol`` in any usual form.  Raises UnknownMarket for a venue or symbol that can't be.
    """

    def __init__(self, path: Path | str, exchange: str, symbol: str) -> None:
        self.path = Path(path)
        self.venue = venue_of(exchange)
        self.symbol = self.venue.resolve(symbol)
        self._sink = _Gathered()
        self.stream = MarketStream(self.venue, self.symbol, sink=self._sink)
        self.lines = 0

    def batches(self) -> Iterator[EventBatch]:
        """The events, a batch for each complete message of the venue; see ``items``."""
        return (item for item in self.items() if isinstance(item, EventBatch))

    def items(self) -> Iterator[EventBatch | Mark]:
        """Events and marks in order.  To be used up once.

        Raises BadFile with the line where the file is no capture, or is one of other markets.
        """
        stream, last = self.stream, 0
        for number, line in read_lines(self.path):
            self.lines = number
            now, text = max(line.t, last), line.text.encode("utf-8", "surrogatepass")
            if line.via == "rest" and last:
                stream.on_answer(Fetch(_path_of(line.url), "capture"), _OK, {}, text, now)
                last = now
                yield from self._settled(now)
                continue
            if line.via != "ws":
                continue
            if not last:
                stream.start(now)
                stream.on_open(now)
            else:
                self._pass_time(last, now)
                if stream.session.begins(text):
                    self._connect_again(now)
            last = now
            stream.on_frame(text, now)
            yield from self._settled(now)
            self._check_failure(number)
        if last:
            self._pass_time(last, last + 2 * _SILENCES_NS[-1])
            stream.stop(stream.last_ts)
        yield from self._sink.take()
        if stream.book.era == 0:
            raise BadFile(self.path, f"line {max(self.lines, 1)}", self._missing())

    def _settled(self, now: int) -> Iterator[EventBatch | Mark]:
        """What a frame led to, all of it: a live stream hands much of it out tick by tick."""
        self.stream.flush()
        yield from self._sink.take()
        while self.stream.session.busy:
            self.stream.tick(now, liveness=False)
            yield from self._sink.take()

    def _pass_time(self, last: int, now: int) -> None:
        """Between two frames time passes as it would for a live stream."""
        for silence in _SILENCES_NS:
            if now - last > silence:
                self.stream.tick(last + silence, liveness=False)

    def _connect_again(self, now: int) -> None:
        """The capture goes on with the next connection."""
        if self.stream.frames:
            self.stream.on_close("the capture goes on with another connection", now)
        if self.stream.state is StreamState.CONNECTING:
            self.stream.on_open(now)

    def _check_failure(self, number: int) -> None:
        if self.stream.state is StreamState.FAILED:
            raise BadFile(self.path, f"line {number}", self.stream.reason)

    def _missing(self) -> str:
        wanted = f"{self.venue.name} {self.symbol} ({self.venue.pair(self.symbol)})"
        foreign = sorted(" ".join(found).strip() for found in self.stream.session.foreign)
        return f"expected a raw book of {wanted}, found {', '.join(foreign) or 'none'}"


def _path_of(url: str) -> str:
    """Path and query of an address."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def read_capture(path: Path | str, exchange: str, symbol: str) -> Iterator[EventBatch]:
    """The events of one market of a capture, a batch for each complete message of the venue.

    ``seq`` counts from 1; the first batch begins with a CLEAR.  Prices and sizes are int64 at the
    batch's scales, times ns since 1970.  Raises BadFile (with the line), UnknownMarket.
    """
    return CaptureReplay(path, exchange, symbol).batches()
