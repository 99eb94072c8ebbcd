"""The public models: one object an order or a book, for people and for the edges.

Inside, events travel as columns (``EventBatch``); an object an order exists only here.
Numbers are ``Decimal``, in JSON plain numbers with every digit (no exponent, no trailing zeros);
a float is refused, in both directions.  Times are aware UTC datetimes, which hold microseconds;
the exact nanoseconds stand beside them and are what JSON shows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook
from ordertape.events import FLAG_NAMES, REASONS, EventKind, Flag, Side
from ordertape.numbers import plain
from ordertape.times import datetime_from_ns, iso_from_ns, ns_from_datetime

__all__ = [
    "L3BookOrder",
    "L3EventType",
    "L3Order",
    "L3Orderbook",
    "L3Side",
    "L3Snapshot",
    "L3Statistics",
    "L3StreamStatus",
    "StartL3Request",
    "StreamInfo",
    "datetime_from_ns",
    "iso_from_ns",
    "orders_of",
]


class L3Side(StrEnum):
    """``Side`` as the edges write it."""

    BID = "bid"
    ASK = "ask"

    @property
    def code(self) -> Side:
        return Side[self.name]


class L3EventType(StrEnum):
    """``EventKind`` as the edges write it."""

    OPEN = "open"
    CHANGE = "change"
    MATCH = "match"
    DONE = "done"
    CLEAR = "clear"
    EVICT = "evict"
    TRADE = "trade"

    @property
    def kind(self) -> EventKind:
        return EventKind[self.name]


def _without_float(value: Any) -> Any:
    if isinstance(value, float):
        # A float has already lost the digits that the sender wrote.
        raise ValueError("is a float, expected a Decimal, an int or text")
    return value


def _utc(value: Any) -> Any:
    """Naive times are UTC; times in another zone are turned into UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value


Exact = Annotated[Decimal, BeforeValidator(_without_float)]
Moment = Annotated[AwareDatetime, BeforeValidator(_utc)]


def _plain(value: Any) -> Any:
    """A dumped value as msgspec has to see it to write exact JSON."""
    if isinstance(value, Decimal):
        return msgspec.Raw(plain(value).encode())
    if isinstance(value, datetime):
        return iso_from_ns(ns_from_datetime(value))
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


_exact_json = msgspec.json.Decoder(float_hook=Decimal)


class _Edge(BaseModel):
    """JSON with every digit both ways: pydantic alone passes JSON numbers through a float."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, validate_default=True)

    def _exact_ns(self) -> int | None:
        """The nanoseconds of ``timestamp`` where they are known."""
        return None

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """JSON text; ``options`` as for ``model_dump``."""
        data = self.model_dump(**options)
        exact, shown = self._exact_ns(), data.get("timestamp")
        if exact is not None and shown == datetime_from_ns(exact):
            data["timestamp"] = iso_from_ns(exact)
        text = msgspec.json.encode(_plain(data))
        if indent is not None:
            text = msgspec.json.format(text, indent=indent)
        return text.decode()

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """The model of a JSON text, without a float on the way."""
        return cls.model_validate(_exact_json.decode(json_data), **options)


class L3Order(_Edge):
    """One event of a market.

    ``price`` and ``size`` mean what ``EventKind`` says; of a ``clear`` they, ``order_id`` and
    ``side`` are None.  ``timestamp`` is the venue's clock where it gives one, else ours;
    ``metadata`` holds, absent when unknown: ``reason``, ``trade_id``, ``taker_order_id``,
    ``taker_side``, ``old_price``, ``old_size``, ``venue_seq``, ``ts_event_ns``, ``ts_recv_ns``,
    ``era``, ``inferred``, ``late``, ``reentry``.
    """

    exchange: str
    symbol: str
    order_id: str | None = None
    sequence: int
    side: L3Side | None = None
    price: Exact | None = None
    size: Exact | None = None
    event_type: L3EventType
    timestamp: Moment
    metadata: dict[str, Any] = Field(default_factory=dict)

    def _exact_ns(self) -> int | None:
        ns = self.metadata.get("ts_event_ns", self.metadata.get("ts_recv_ns"))
        return ns if isinstance(ns, int) else None

    @classmethod
    def from_row(
        cls, exchange: str, symbol: str, row: Mapping[str, Any], era: int | None = None
    ) -> Self:
        """The order of one row of a batch (``batch[index]``)."""
        metadata = _metadata(row, era)
        side = row["side"]
        return cls(
            exchange=exchange,
            symbol=symbol,
            order_id=row["order_id"],
            sequence=row["seq"],
            side=None if side is None else L3Side[Side(side).name],
            price=row["price"],
            size=row["size"],
            event_type=L3EventType[EventKind(row["kind"]).name],
            timestamp=datetime_from_ns(metadata.get("ts_event_ns", row["ts_recv"])),
            metadata=metadata,
        )


def _metadata(row: Mapping[str, Any], era: int | None) -> dict[str, Any]:
    flags = Flag(row["flags"] or 0)
    taker_side = row.get("taker_side")
    found = {
        "reason": REASONS.get(row.get("reason") or 0),
        "trade_id": row.get("trade_id"),
        "taker_order_id": row.get("taker_order_id"),
        "taker_side": None if taker_side is None else L3Side[Side(taker_side).name].value,
        "old_price": row.get("price_before"),
        "old_size": row.get("size_before"),
        "venue_seq": row.get("venue_seq"),
        "ts_event_ns": row.get("ts_event"),
        "ts_recv_ns": row["ts_recv"],
        "era": era,
        **{name: True for flag, name in FLAG_NAMES.items() if flags & flag},
    }
    return {key: value for key, value in found.items() if value is not None}


def orders_of(
    batch: EventBatch, exchange: str, symbol: str, era: int | None = None
) -> Iterator[L3Order]:
    """The events of a batch one by one.  Rows flagged SNAPSHOT are state, not events: left out.

    ``era`` is that of the first row where known; each CLEAR met begins the next.
    """
    for index in range(len(batch)):
        row = batch[index]
        if row["flags"] & Flag.SNAPSHOT:
            continue
        if row["kind"] == EventKind.CLEAR and era is not None and index > 0:
            era += 1
        yield L3Order.from_row(exchange, symbol, row, era)


class L3BookOrder(_Edge):
    """One resting order."""

    order_id: str
    price: Exact
    size: Exact


class L3Statistics(_Edge):
    """Figures of one book; ``spread`` and ``mid_price`` need both sides."""

    total_orders: int
    bid_count: int
    ask_count: int
    total_bid_volume: Exact
    total_ask_volume: Exact
    best_bid: Exact | None = None
    best_ask: Exact | None = None
    spread: Exact | None = None
    mid_price: Exact | None = None

    @classmethod
    def from_book(cls, book: OrderBook) -> Self:
        return cls.of(*book.totals(), *book.best())

    @classmethod
    def of(
        cls,
        bid_count: int,
        ask_count: int,
        bid_volume: Decimal,
        ask_volume: Decimal,
        best_bid: Decimal | None,
        best_ask: Decimal | None,
    ) -> Self:
        """Orders and their volume a side, and the best prices where a side has any."""
        spread = mid_price = None
        if best_bid is not None and best_ask is not None:
            spread, mid_price = best_ask - best_bid, (best_ask + best_bid) / 2
        return cls(
            total_orders=bid_count + ask_count,
            bid_count=bid_count,
            ask_count=ask_count,
            total_bid_volume=bid_volume,
            total_ask_volume=ask_volume,
            best_bid=best_bid,
            best_ask=best_ask,
            spread=spread,
            mid_price=mid_price,
        )


class L3Orderbook(_Edge):
    """A book order by order: best price first and, in a price, the front of the queue first.

    ``sequence`` is that of the last event in it, ``timestamp`` our clock at that event
    (``ts_recv_ns`` has all nine digits).
    """

    exchange: str
    symbol: str
    sequence: int
    timestamp: Moment
    ts_recv_ns: int | None = None
    era: int | None = None
    bids: list[L3BookOrder] = Field(default_factory=list)
    asks: list[L3BookOrder] = Field(default_factory=list)

    def _exact_ns(self) -> int | None:
        return self.ts_recv_ns

    @property
    def best_bid(self) -> Decimal | None:
        return self.bids[0].price if self.bids else None

    @property
    def best_ask(self) -> Decimal | None:
        return self.asks[0].price if self.asks else None

    @classmethod
    def from_book(cls, exchange: str, symbol: str, book: OrderBook, depth: int = 0) -> Self:
        """The book as it stands; ``depth`` orders a side, 0: all."""
        return cls(**_book_fields(exchange, symbol, book, depth))


class L3Snapshot(L3Orderbook):
    """A book with its figures; ``statistics`` also counts the orders that ``depth`` left out."""

    statistics: L3Statistics

    @classmethod
    def from_book(cls, exchange: str, symbol: str, book: OrderBook, depth: int = 0) -> Self:
        statistics = L3Statistics.from_book(book)
        return cls(statistics=statistics, **_book_fields(exchange, symbol, book, depth))


def _book_fields(exchange: str, symbol: str, book: OrderBook, depth: int) -> dict[str, Any]:
    def side(code: Side) -> list[L3BookOrder]:
        return [
            L3BookOrder.model_construct(order_id=order_id, price=price, size=size)
            for order_id, price, size in book.orders(code, depth)
        ]

    return {
        "exchange": exchange,
        "symbol": symbol,
        "sequence": book.seq,
        "timestamp": datetime_from_ns(book.ts_recv),
        "ts_recv_ns": book.ts_recv,
        "era": book.era,
        "bids": side(Side.BID),
        "asks": side(Side.ASK),
    }


# Streams ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """One stream as the server knows it; times are ns since 1970 UTC, counts since its start."""

    exchange: str
    symbol: str
    state: str
    reason: str = ""
    era: int = 0
    persist: bool = True
    simulated: bool = False
    orders_received: int = 0
    orders_persisted: int = 0
    snapshots_taken: int = 0
    started_at: int | None = None
    last_update: int | None = None
    last_frame_at: int | None = None
    """Of the venue's last frame, None before the first."""
    errors: Sequence[str] = ()
    sequence: int = 0
    data: Path | None = None
    """The data folder of its tape where that is not the server's own (``persist`` false)."""

    @property
    def is_active(self) -> bool:
        """Neither STOPPED nor FAILED."""
        return self.state not in ("STOPPED", "FAILED")

    @property
    def age_ms(self) -> int | None:
        """Milliseconds since the venue's last frame."""
        if self.last_frame_at is None:
            return None
        return max(0, time.time_ns() - self.last_frame_at) // 10**6


class StartL3Request(BaseModel):
    """What ``POST /start`` is asked: one symbol on one venue or several."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "symbol": "BTC/USDT",
                "exchanges": ["bitfinex"],
                "persist": True,
                "snapshot_interval_seconds": 60,
            }
        },
    )

    symbol: str = Field(
        min_length=1,
        max_length=limits.name_text_max,
        description="in any usual form: BTC/USDT, BTC-USDT, tBTCUST",
    )
    exchanges: list[Annotated[str, Field(max_length=limits.name_text_max)]] = Field(
        min_length=1, max_length=limits.start_exchanges_max, description="names of venues"
    )
    persist: bool = Field(True, description="whether the stream leaves a tape")
    snapshot_interval_seconds: int | None = Field(
        None,
        ge=limits.snapshot_interval_seconds_min,
        le=limits.snapshot_interval_seconds_max,
        description="seconds between full snapshots; absent: L3_SNAPSHOT_INTERVAL",
    )


WORST_FIRST = ("FAILED", "STOPPED", "CONNECTING", "SYNCING", "RESYNCING", "STALE", "LIVE")
"""States of a stream, the one furthest from LIVE first."""


class L3StreamStatus(_Edge):
    """One stream, or several of one symbol: counts summed, the worst state, ``streams`` one by
    one."""

    symbol: str
    exchanges: list[str]
    is_active: bool
    orders_received: int = 0
    orders_persisted: int = 0
    snapshots_taken: int = 0
    started_at: Moment | None = None
    last_update: Moment | None = None
    errors: list[str] = Field(default_factory=list)
    state: str
    reason: str = ""
    era: int = 0
    age_ms: int | None = None
    simulated: bool = False
    persist: bool = True
    sequence: int = 0
    streams: list[L3StreamStatus] | None = None

    @classmethod
    def from_info(cls, info: StreamInfo) -> Self:
        return cls(
            symbol=info.symbol,
            exchanges=[info.exchange],
            is_active=info.is_active,
            orders_received=info.orders_received,
            orders_persisted=info.orders_persisted,
            snapshots_taken=info.snapshots_taken,
            started_at=None if not info.started_at else datetime_from_ns(info.started_at),
            last_update=None if not info.last_update else datetime_from_ns(info.last_update),
            errors=list(info.errors),
            state=info.state,
            reason=info.reason,
            era=info.era,
            age_ms=info.age_ms,
            simulated=info.simulated,
            persist=info.persist,
            sequence=info.sequence,
        )

    @classmethod
    def from_infos(cls, symbol: str, infos: Sequence[StreamInfo]) -> Self:
        """The status of each of several streams, and of all of them under the symbol asked for."""
        streams = [L3StreamStatus.from_info(info) for info in infos]
        worst = min(streams, key=lambda status: WORST_FIRST.index(status.state))
        return cls(
            symbol=symbol,
            exchanges=[info.exchange for info in infos],
            is_active=any(status.is_active for status in streams),
            orders_received=sum(status.orders_received for status in streams),
            orders_persisted=sum(status.orders_persisted for status in streams),
            snapshots_taken=sum(status.snapshots_taken for status in streams),
            started_at=min((s.started_at for s in streams if s.started_at), default=None),
            last_update=max((s.last_update for s in streams if s.last_update), default=None),
            errors=[error for status in streams for error in status.errors],
            state=worst.state,
            reason=worst.reason,
            era=max(status.era for status in streams),
            age_ms=max((s.age_ms for s in streams if s.age_ms is not None), default=None),
            simulated=any(status.simulated for status in streams),
            persist=all(status.persist for status in streams),
            sequence=max(status.sequence for status in streams),
            streams=streams,
        )
