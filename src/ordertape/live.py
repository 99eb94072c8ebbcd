"""``live``: the events of a running server as batches, over its WebSocket.

The server sends JSON with the venue's own digits; here it becomes the columns that ``read_tape``
gives: numbers scaled without a float on the way, ids in keys, flags as they stand on the tape.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from ordertape import limits
from ordertape._engine import NULL, EventBatch, IdCodec, parse_number
from ordertape.errors import (
    AccessRefused,
    MarketBusy,
    OrdertapeError,
    ServerGone,
    SettingRefused,
    UnknownMarket,
)
from ordertape.events import FLAG_NAMES, NO_SIDE, REASON_CODES, EventKind, Flag, Side

__all__ = ["live"]

_PATH: Final = "/api/v1/orderbook-heatmap/level3/ws/"
_REFUSALS: Final[dict[int, type[OrdertapeError]]] = {
    401: AccessRefused,
    403: AccessRefused,
    404: UnknownMarket,
    409: MarketBusy,
    422: SettingRefused,
}
_SIDE_CODES: Final = {side.name.lower(): int(side) for side in Side} | {None: NO_SIDE}
_FLAG_NAMES: Final = {**FLAG_NAMES, Flag.PLACE_ASSUMED: "place_assumed"}
_NOTHING: Final = b"null"
_LOG: Final = logging.getLogger("ordertape.live")


async def live(
    server: str,
    exchange: str,
    symbol: str,
    *,
    batch_ms: int = limits.live_batch_ms_default,
    patience_ms: int = limits.live_patience_ms,
    key: str | None = None,
) -> AsyncIterator[EventBatch]:
    """The events of one market as they come, from the server at ``http://127.0.0.1:8000``.

    First the book: a CLEAR and its orders flagged SNAPSHOT, at the ``seq`` of the last event in
    it; then each event once.  A new era begins with its own CLEAR in the same way.  A connection
    that is lost is made anew and goes on behind the last event; where the server no longer has
    what followed, a CLEAR with the whole book comes instead.  A stream that does not run is waited
    for, which a warning of the logger ``ordertape.live`` says.  ``batch_ms``: how long events are
    gathered into one batch, 0: not at all.

    ``key``: an API key of that server, where it asks for one.

    Raises UnknownMarket (such as for a market that was never collected there), SettingRefused,
    MarketBusy and AccessRefused where the server refuses, ServerGone where
    it does not listen at first, not again within ``patience_ms``, or is another program.
    """
    place = _Place(_address(server, symbol), exchange, batch_ms, key)
    reader = _Reader()
    gone_since, gone = time.monotonic(), 0.0
    wait_ms = limits.live_reconnect_ms_min
    while True:
        connected = False
        try:
            async with place.connection(reader.since) as socket:
                # A server that lets in and says nothing may be about to end each time: only the
                # time that a connection stands does not count against it.
                place.reached = connected = True
                gone += time.monotonic() - gone_since
                async for text in socket:
                    gone, wait_ms = 0.0, limits.live_reconnect_ms_min
                    for batch in reader.take(text):
                        yield batch
            problem = "it ended the connection"
        except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError) as error:
            problem = _refused(error) or str(error) or type(error).__name__
        except (msgspec.MsgspecError, KeyError) as error:
            raise ServerGone(f"{server} sent a frame that can't be read: {error}") from None
        now = time.monotonic()
        gone_since = now if connected else gone_since
        if not place.reached or gone + now - gone_since > patience_ms / 1000:
            raise ServerGone(f"{server} does not answer: {problem}")
        await asyncio.sleep(wait_ms / 1000)
        wait_ms = min(wait_ms * 2, limits.live_reconnect_ms_max)


class _Place:
    """Where the frames come from."""

    def __init__(self, address: str, exchange: str, batch_ms: int, key: str | None) -> None:
        self._address = address
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._query = {"exchange": exchange, "batch_ms": str(batch_ms)}
        self.reached = False

    def connection(self, since: str | None) -> connect:
        query = self._query if since is None else {**self._query, "since": since}
        # Books may be large; a reader that stands still is held up by the socket, not by memory.
        return connect(
            f"{self._address}?{urlencode(query)}",
            additional_headers=self._headers,
            max_size=None,
            compression=None,
            open_timeout=limits.live_connect_ms / 1000,
        )


def _address(server: str, symbol: str) -> str:
    """Raises SettingRefused."""
    parts = urlsplit(server)
    schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
    if parts.scheme not in schemes or not parts.hostname:
        raise SettingRefused(f"expected a server like http://127.0.0.1:8000, found {server!r}")
    below = parts.path.rstrip("/")
    return f"{schemes[parts.scheme]}://{parts.netloc}{below}{_PATH}{quote(symbol, safe='/')}"


def _refused(error: Exception) -> str | None:
    """Why it can be tried again; raises where it can't."""
    if not isinstance(error, InvalidStatus):
        return None
    answer = error.response
    try:
        detail = msgspec.json.decode(answer.body or b"", type=_Refusal).detail
    except msgspec.MsgspecError:
        detail = f"the server answered {answer.status_code}"
    if answer.status_code in _REFUSALS:
        raise _REFUSALS[answer.status_code](detail) from None
    return detail


# Frames ------------------------------------------------------------------------------------------


class _Refusal(msgspec.Struct):
    detail: str


class _Metadata(msgspec.Struct):
    ts_recv_ns: int
    era: int = 0
    reason: str | None = None
    trade_id: str | None = None
    taker_order_id: str | None = None
    taker_side: str | None = None
    old_price: msgspec.Raw = msgspec.Raw(_NOTHING)
    old_size: msgspec.Raw = msgspec.Raw(_NOTHING)
    venue_seq: int = NULL
    ts_event_ns: int = NULL
    inferred: bool = False
    late: bool = False
    reentry: bool = False
    place_assumed: bool = False
    partial: bool = False


class _Event(msgspec.Struct):
    sequence: int
    order_id: str | None
    side: str | None
    price: msgspec.Raw
    size: msgspec.Raw
    event_type: str
    metadata: _Metadata


class _Order(msgspec.Struct):
    order_id: str
    price: msgspec.Raw
    size: msgspec.Raw


class _Tape(msgspec.Struct):
    ts_recv_ns: int
    price_scale: int
    size_scale: int
    id_codec: str


class _Head(msgspec.Struct):
    type: str


class _Orders(msgspec.Struct):
    data: list[_Event]


class _One(msgspec.Struct):
    data: _Event


class _Snapshot(msgspec.Struct):
    sequence: int
    era: int
    bids: list[_Order]
    asks: list[_Order]
    tape: _Tape


class _Circumstances(msgspec.Struct):
    reason: str = ""


class _Status(msgspec.Struct):
    exchange: str
    symbol: str
    state: str
    data: _Circumstances


_head = msgspec.json.Decoder(_Head)
_one = msgspec.json.Decoder(_One)
_orders = msgspec.json.Decoder(_Orders)
_snapshot = msgspec.json.Decoder(_Snapshot)
_status = msgspec.json.Decoder(_Status)


class _Reader:
    """Frames into batches; knows where it stands."""

    def __init__(self) -> None:
        self._stand: tuple[int, int] | None = None
        self._columns = _Columns()
        self._clear: _Event | None = None
        self._told = ("", "")

    @property
    def since(self) -> str | None:
        """``era:sequence`` of the last event it has; a CLEAR without its book is none."""
        if self._stand is None or self._clear is not None:
            return None
        return f"{self._stand[0]}:{self._stand[1]}"

    def take(self, text: str | bytes) -> Iterator[EventBatch]:
        kind = _head.decode(text).type
        if kind == "l3_orders":
            yield from self._events(_orders.decode(text).data)
        elif kind == "l3_order":
            yield from self._events([_one.decode(text).data])
        elif kind == "l3_snapshot":
            yield self._book(_snapshot.decode(text))
        elif kind == "l3_status":
            self._tell(_status.decode(text))

    def _tell(self, status: _Status) -> None:
        """Who waits for a stream that does not run is told so, once."""
        told = (status.state, status.data.reason)
        if status.state in ("STOPPED", "FAILED") and told != self._told:
            _LOG.warning(
                "%s %s is %s (%s): waiting until it runs", status.exchange, status.symbol, *told
            )
        self._told = told

    def _events(self, events: list[_Event]) -> Iterator[EventBatch]:
        if self._clear is not None:
            # Events came before the book: what was held is told as it is.
            events, self._clear = [self._clear, *events], None
        last = events[-1]
        self._stand = (last.metadata.era, last.sequence)
        if last.event_type == "clear":
            self._clear = events.pop()  # its orders follow in the next frame
        for event in events:
            self._columns.event(event)
        if events:
            yield self._columns.batch()

    def _book(self, book: _Snapshot) -> EventBatch:
        self._columns.like(book.tape)
        clear, self._clear = self._clear, None
        if clear is not None and clear.sequence != book.sequence:
            # The connection was lost between it and its book.
            self._columns.event(clear)
            clear = None
        if clear is None:
            metadata = _Metadata(ts_recv_ns=book.tape.ts_recv_ns, partial=True)
            nothing = msgspec.Raw(_NOTHING)
            clear = _Event(book.sequence, None, None, nothing, nothing, "clear", metadata)
        self._stand = (book.era, book.sequence)
        clear.metadata.partial = bool(book.bids or book.asks)
        self._columns.event(clear)
        orders = [("bid", order) for order in book.bids] + [("ask", order) for order in book.asks]
        for nth, (side, order) in enumerate(orders, 1):
            last = Flag.LAST if nth == len(orders) else 0
            row = _Event(
                book.sequence,
                order.order_id,
                side,
                order.price,
                order.size,
                "open",
                _Metadata(ts_recv_ns=clear.metadata.ts_recv_ns, partial=True),
            )
            self._columns.event(row, Flag.SNAPSHOT | last)
        return self._columns.batch()


class _Columns:
    """Events gathered into columns; scales and codecs are the market's."""

    def __init__(self) -> None:
        self._scales = {"price": 0, "size": 0}
        self._codec, self._trade_codec = IdCodec("auto"), IdCodec("auto")
        self._rows: dict[str, list[Any]] = {}
        self._empty()

    def _empty(self) -> None:
        names = ("seq", "venue_seq", "ts_event", "ts_recv", "kind", "side", "reason", "flags")
        texts = ("order_id", "trade_id", "taker_order_id", "taker_side")
        numbers = ("price", "size", "price_before", "size_before")
        self._rows = {name: [] for name in (*names, *texts, *numbers)}

    def like(self, tape: _Tape) -> None:
        """A book tells the scales and ids of its market."""
        self._scales = {
            "price": max(self._scales["price"], tape.price_scale),
            "size": max(self._scales["size"], tape.size_scale),
        }
        if self._codec.spec == "auto":
            self._codec = IdCodec(tape.id_codec)

    def event(self, event: _Event, more: int = 0) -> None:
        known, rows = event.metadata, self._rows
        flags = more | (0 if known.partial else Flag.LAST)
        for flag, name in _FLAG_NAMES.items():
            if getattr(known, name):
                flags |= flag
        rows["seq"].append(event.sequence)
        rows["venue_seq"].append(known.venue_seq)
        rows["ts_event"].append(known.ts_event_ns)
        rows["ts_recv"].append(known.ts_recv_ns)
        rows["kind"].append(int(EventKind[event.event_type.upper()]))
        rows["side"].append(_SIDE_CODES[event.side])
        rows["reason"].append(REASON_CODES[known.reason] if known.reason else 0)
        rows["flags"].append(int(flags))
        rows["order_id"].append(event.order_id)
        rows["trade_id"].append(known.trade_id)
        rows["taker_order_id"].append(known.taker_order_id)
        rows["taker_side"].append(_SIDE_CODES[known.taker_side])
        rows["price"].append(bytes(event.price))
        rows["size"].append(bytes(event.size))
        rows["price_before"].append(bytes(known.old_price))
        rows["size_before"].append(bytes(known.old_size))

    def batch(self) -> EventBatch:
        rows = self._rows
        self._empty()
        for field in ("price", "size"):
            scale = self._scale(field, rows)
            for name in (field, f"{field}_before"):
                rows[name] = [
                    NULL if text == _NOTHING else parse_number(text, scale) for text in rows[name]
                ]
        return EventBatch.from_arrays(
            **rows,
            price_scale=self._scales["price"],
            size_scale=self._scales["size"],
            codec=self._codec,
            trade_codec=self._trade_codec,
        )

    def _scale(self, field: str, rows: dict[str, list[Any]]) -> int:
        """Digits after the point that hold every number; they never become fewer."""
        texts = rows[field] + rows[f"{field}_before"]
        digits = max((len(text.partition(b".")[2]) for text in texts), default=0)
        self._scales[field] = max(self._scales[field], digits)
        return self._scales[field]
