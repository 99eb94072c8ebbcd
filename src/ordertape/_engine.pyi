"""The Rust engine: batches of events, the book, exact numbers, reversible ids, journal frames.

Everything that runs once per event lives here and nothing else; see ``engine/src``.
Numbers cross this border as the venue's own text (``str``, ``bytes`` or any object with the
buffer protocol such as ``msgspec.Raw``), as ``Decimal``, or as ``int`` already scaled.  Never as a
float.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, TypeAlias, final, overload

import numpy as np
import pyarrow as pa
from typing_extensions import Buffer

_Text: TypeAlias = str | Buffer
_Number: TypeAlias = _Text | Decimal | int
_OrderId: TypeAlias = _Text | int
_Integers: TypeAlias = Buffer | Sequence[int] | np.ndarray[Any, Any]

NULL: int
"""The int64 that stands for "no value" inside columns; every edge shows null."""

@final
class IdCodec:
    """A reversible text <-> 128-bit key.  ``spec``: "auto", "int", "uuid", "kraken", "hex:N",
    "base62:N", "ascii" or "intern".  An id that a codec can't hold goes to its dictionary.
    Equal where both are one codec with one dictionary, not merely of one spec."""

    def __new__(cls, spec: str = "auto") -> IdCodec: ...
    spec: str
    def encode(self, text: _OrderId) -> bytes: ...
    def decode(self, key: bytes) -> str: ...
    @property
    def terms(self) -> int: ...
    """How many ids stand in the dictionary."""
    def terms_from(self, start: int) -> list[str]: ...
    """Dictionary entries from index ``start`` on: what must be journaled before its use."""
    def load_terms(self, start: int, terms: Sequence[str]) -> None: ...
    """Adds entries read from a tape; IdRefused, and none added, where they contradict what is
    there, leave a hole or name a term twice."""

@final
class Column:
    """A read-only view of one column (buffer protocol, no copy).  int64 'q', uint16 'H', uint8 'B';
    ids are (n, 16) 'B', little-endian keys."""

    name: str
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def validity(self) -> bytes | None: ...
    """Arrow validity bitmap, None where nothing is null."""

@final
class EventBatch:
    """Events of one market in columns, all at the same scales.  A slice is a batch (no copy)."""

    price_scale: int
    size_scale: int
    codec: IdCodec
    trade_codec: IdCodec
    @classmethod
    def from_arrays(
        cls,
        *,
        kind: _Integers,
        side: _Integers,
        order_id: Any,
        price: _Integers,
        size: _Integers,
        ts_event: _Integers | None = None,
        price_scale: int,
        size_scale: int,
        seq: _Integers | None = None,
        ts_recv: _Integers | None = None,
        flags: _Integers | None = None,
        reason: _Integers | None = None,
        venue_seq: _Integers | None = None,
        trade_id: Any = None,
        taker_order_id: Any = None,
        taker_side: _Integers | None = None,
        price_before: _Integers | None = None,
        size_before: _Integers | None = None,
        codec: IdCodec | str | None = None,
        trade_codec: IdCodec | str | None = None,
    ) -> EventBatch: ...
    """Integers in any width, sign and byte order; ids as uint64, as (n, 16) uint8 keys (which show
    as UUIDs where no codec says otherwise) or as texts, None where there is none.  TypeError or
    ValueError name the column that doesn't fit."""
    @staticmethod
    def concat(
        batches: Sequence[EventBatch], *, price_scale: int = 0, size_scale: int = 0
    ) -> EventBatch: ...
    """One batch of several of the same two codecs, at the largest of their scales and of those that
    are asked for; ValueError where the codecs differ, NumberRefused where a value doesn't fit."""
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: slice, /) -> EventBatch: ...
    @overload
    def __getitem__(self, key: int, /) -> dict[str, Any]: ...
    """One row as a dict at the edge: text ids, Decimal numbers, absent values None."""
    def column(self, name: str) -> Column | None: ...
    """A column of events.COLUMNS by name, None where no row of the batch has a value."""
    def id_texts(self, name: str = "order_id") -> list[str | None]: ...
    def to_arrow(self) -> pa.Table: ...
    @property
    def first_seq(self) -> int: ...
    @property
    def last_seq(self) -> int: ...
    @property
    def last_ts_recv(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def search_ts_recv(self, ts: int) -> int: ...
    """Index of the first row with ts_recv > ts (rows never decrease in ts_recv)."""
    def search_seq(self, seq: int) -> int: ...
    """Index of the first row with its seq >= seq."""
    def last_complete(self) -> int: ...
    """Number of rows up to and with the last row flagged LAST (0: none)."""
    def counts(self) -> list[int]: ...
    """Rows by kind, index = kind (0 unused); SNAPSHOT rows are not counted."""
    def encode_frame(self, frame_type: int, synced: int) -> bytes: ...
    """A journal frame (header, raw columns, crc32c); frame_type 1 EVENTS, 2 SNAPSHOT."""

@final
class BatchBuilder:
    """Collects events as a venue's parser meets them; scales grow to hold every number exactly."""

    def __new__(
        cls,
        codec: IdCodec | str | None = None,
        price_scale: int | None = None,
        size_scale: int | None = None,
        trade_codec: IdCodec | str | None = None,
    ) -> BatchBuilder: ...
    codec: IdCodec
    trade_codec: IdCodec
    def add(
        self,
        kind: int,
        side: int | None,
        order_id: _OrderId | None,
        price: _Text | None,
        size: _Text | None,
        ts_recv: int,
        ts_event: int | None = None,
        flags: int = 0,
        reason: int = 0,
        venue_seq: int | None = None,
        trade_id: _OrderId | None = None,
        taker_order_id: _OrderId | None = None,
        taker_side: int | None = None,
        /,
    ) -> None: ...
    def finish(self, first_seq: int) -> EventBatch: ...
    """The batch; its last row gets LAST; seq counts from first_seq (rows with SNAPSHOT take
    the seq of the CLEAR before them).  The builder is empty afterwards.  ValueError: first_seq
    below 0 or beyond 2^62."""
    def discard(self) -> None: ...
    def __len__(self) -> int: ...

@final
class Counters:
    """What one apply met.  All are counts of events but ``crossed``: message ends (LAST) with
    bid >= ask."""

    events: int
    unknown_id: int
    duplicate_id: int
    negative: int
    overflow: int
    overfill: int
    before_differs: int
    late: int
    crossed: int
    @property
    def faults(self) -> int: ...
    """Sum of all but events and late."""
    def as_dict(self) -> dict[str, int]: ...
    def __add__(self, other: Counters, /) -> Counters: ...

@final
class Effects:
    """What each event of a batch did, as aligned columns (int64, NULL where it does not apply):
    price_before, size_before, level_size, level_orders, best_bid, best_ask, orders_ahead."""

    def column(self, name: str) -> Column: ...
    def __len__(self) -> int: ...

@final
class Rows:
    """Columns of one answer, all of one length but where a docstring says otherwise; int64 has NULL
    where nothing is known."""

    @property
    def names(self) -> list[str]: ...
    def column(self, name: str) -> Column: ...
    def id_texts(self) -> list[str | None]: ...
    """The venue's own text of each ``order_id``."""
    @property
    def price_scale(self) -> int: ...
    @property
    def size_scale(self) -> int: ...
    def __len__(self) -> int: ...

@final
class Heat:
    """How much rested in each row of prices, bucket by bucket, on four levels of detail (100 ms,
    1 s, 5 s, 1 min).  A row is ``group`` price units: bids are rounded down, asks up.  A bucket's
    value is the largest total that a row held within it.  Orders below ``min_size`` count for
    nothing."""

    def __new__(
        cls,
        group: int,
        min_size: int = 0,
        *,
        price_scale: int = 0,
        size_scale: int = 0,
        level: int | None = None,
    ) -> Heat: ...
    """``level``: the only level of detail that is wanted, 0 to 3; None: all."""
    def begin(self, book: OrderBook) -> None: ...
    """Stands on a book, as if it had been told of all that rests there; nothing is finished yet."""
    def apply(self, book: OrderBook, batch: EventBatch) -> None: ...
    """Applies a batch to the book that it stands on, and takes in what that did: what
    ``OrderBook.apply`` with effects and ``Lifecycles.take`` do to it, at a third of the cost."""
    @property
    def group(self) -> int: ...
    @property
    def min_size(self) -> int: ...
    @property
    def prices(self) -> tuple[int, int, int]: ...
    """Best bid, best ask, last trade; NULL where there is none."""
    def advance(self, ts: int) -> None: ...
    """Finishes the buckets before that of a time (ns of our clock)."""
    def drain(self, level: int) -> Rows: ...
    """Buckets finished since it was last asked in which something happened; those between are as
    the one before.  ``bucket`` (since 1970, in buckets of the level), ``bid``, ``ask``, ``last``
    and ``end`` have a value a bucket, ``row`` and ``size`` one a row that was touched: those of
    bucket n end at ``end[n]``."""
    def resting(self) -> Rows: ...
    """``row`` and ``size`` of what rests now, lowest first."""

@final
class Flow:
    """The flow of a market, a row a second of our clock: what came, went and traded, and how the
    book stood meanwhile.  ``hold_ns``: how long a cancel may turn out to be a trade; its second is
    told once that is settled.  Where nothing happens for more than a minute, a row stands for
    several ``seconds``.  What nobody asks for is dropped, the oldest first, and counted.

    Wide numbers come as two int64 each, the lower half first."""

    def __new__(
        cls,
        *,
        hold_ns: int,
        rows_max: int = 100_000,
        cells_max: int = 4_000_000,
        trades_max: int = 262_144,
        shocks_max: int = 4_096,
        held_max: int = 1_000_000,
    ) -> Flow: ...
    """``…_max``: seconds, and lifetimes and cohorts, that wait to be asked for; trades and shocks
    that are followed; cancels that a trade may explain yet (the oldest is believed)."""
    def gap(self, from_ns: int | None = None) -> None: ...
    """Events are missing: nothing is known of the book from a time on (ns; None: now)."""
    def advance(self, ts: int) -> None: ...
    """Finishes the seconds before a time (ns of our clock)."""
    def drain(self) -> Rows: ...
    """Seconds that are over and settled, oldest first: ``second`` (since 1970), ``seconds``, and in
    the order of ``names``: ``counts``, ``sums`` (wide), ``means`` (float64), one row after another.
    """
    @staticmethod
    def names() -> dict[str, list[str]]: ...
    """Of ``counts``, ``sums`` and ``means``."""
    @staticmethod
    def flows() -> dict[str, int]: ...
    """How many of each, from the first, are sums over the second; the others are as it ended."""
    def drain_lifetimes(self) -> Rows: ...
    """Orders that ended: ``second``, ``fate`` (0 filled, 1 canceled, 2 cut by a new era),
    ``truncated`` (1: its beginning was not seen), ``lasted`` (where its bucket of lifetimes begins,
    ns; 16 buckets an octave), ``count``."""
    def drain_cohorts(self) -> Rows: ...
    """What came to be known in a ``second`` of the orders that the second ``cohort`` opened:
    ``orders``, ``touched`` (traded for the first time), ``filled``, ``cancelled``; wide: ``size``,
    ``filled_size``."""
    def drain_shocks(self) -> Rows: ...
    """Market orders that took at least half of the best level, once they were followed for 30 s:
    ``ts``, ``side`` (the taker's), ``spread`` before it; wide: ``traded``, ``best`` and ``depth``
    (within 10 bp of the mid) before it; for each of ``shock_delays``: ``depths`` (wide, of the same
    prices), ``spreads`` (NULL: not known)."""
    @staticmethod
    def shock_delays() -> list[int]: ...
    """ns."""
    @property
    def scales(self) -> tuple[int, int]: ...
    @property
    def dropped(self) -> int: ...

@final
class Detectors:
    """Patterns of orders as they happen.  ``parameters``: those of `parameters` by name; ValueError
    for others and for what is no number from 0 on."""

    def __new__(cls, **parameters: float) -> Detectors: ...
    @staticmethod
    def parameters() -> dict[str, float]: ...
    """The defaults."""
    def gap(self) -> None: ...
    """Events are missing from here: open candidates are dropped, what is usual stays."""
    def drain(self, codec: IdCodec) -> list[dict[str, Any]]: ...
    """Findings since the last call, oldest first: ``kind`` ("spoof-like", "layering", "quote
    stuffing", "native iceberg", "synthetic iceberg", "momentum ignition"), ``phase`` ("detected";
    of icebergs "traded", "executed" and "cancelled" follow, with the numbers as they are then),
    ``number`` (counts findings, one for all phases), ``side`` (of the orders that were shown; of
    momentum ignition the taker's), ``began``, ``ended``, ``told`` (ns of our clock; told: when it
    was found), ``began_seq``, ``told_seq``, ``price_low``, ``price_high``, ``size`` (all that was
    shown), ``filled``, ``score`` (0 to 1), ``evidence`` and ``against`` (parts of the score by
    their names, each 0 to 1), ``order_ids`` (at most 200), ``orders`` (how many there were),
    ``price_scale``, ``size_scale``"""

@final
class Lifecycles:
    """Orders from birth to end.  ``hold_ns``: how long an end of unknown reason waits for the trade
    that may explain it.  ``evicted_max``: orders out of a window's sight that are kept in mind."""

    def __new__(cls, *, hold_ns: int, evicted_max: int, era: int = 0) -> Lifecycles: ...
    def take(
        self,
        batch: EventBatch,
        effects: Effects,
        book: OrderBook,
        watchers: Sequence[Heat | Flow | Detectors] = ...,
    ) -> None: ...
    """A batch that the book has just applied, with what it did; watchers are told of each event.
    ValueError: effects of another batch, ids of another codec, a watcher of larger scales than the
    book's."""
    def drain(self, ts: int | None = None) -> Rows: ...
    """Orders that ended since it was last asked, a row each: ``order_id``, ``side``, ``ending`` (1
    told, 2 cut by a new era, 3 evicted; 0 alive), ``reason``, ``flags`` (1 stood in a snapshot, 2
    place assumed, 4 came back into the window, 8 is out of it), ``opened``, ``ended`` (ns of our
    clock), ``opened_seq``, ``ended_seq``, ``era``, ``price_first``, ``price``, ``size_first``,
    ``size`` (what was left), ``filled``, ``fills``, ``amendments``, ``inferred`` (events that were
    concluded), ``bid_first``, ``ask_first``, ``bid``, ``ask`` (the touch behind the first and the
    last event), ``ahead_first``, ``ahead`` (orders ahead), ``told_seq``, ``told`` (the event by
    which the end became known, and its time)"""
    def alive(self) -> Rows: ...
    """The same of those that go on; ``ended`` is NULL but where they are out of sight."""
    def waiting(self) -> Rows: ...
    """The same of those whose end still waits for a trade that may explain it."""
    def cut(self, told: tuple[int, int]) -> None: ...
    """Events are missing: everything ends with the last event taken.  ``told``: seq and time (ns)
    of the first one behind the hole."""
    def restore(
        self,
        columns: Mapping[str, Any],
        codec: IdCodec,
        *,
        era: int,
        scales: tuple[int, int],
        now: tuple[int, int],
    ) -> None: ...
    """Takes over ``alive`` and ``waiting`` of another, as columns of these names, in place of all
    it knows.  ``now``: seq and time (ns) of the last event that the other took.  ValueError."""
    @property
    def era(self) -> int: ...
    @era.setter
    def era(self, value: int) -> None: ...
    def get(self, order_id: _OrderId) -> Rows | None: ...
    """The one row of an order that is alive, or whose end still waits for an explanation."""
    @property
    def codec(self) -> IdCodec | None: ...
    def __len__(self) -> int: ...

@final
class OrderBook:
    def __new__(
        cls,
        price_scale: int | None = None,
        size_scale: int | None = None,
        codec: IdCodec | str | None = None,
    ) -> OrderBook: ...
    @property
    def price_scale(self) -> int | None: ...
    @property
    def size_scale(self) -> int | None: ...
    @property
    def codec(self) -> IdCodec: ...
    @property
    def seq(self) -> int: ...
    """seq of the last applied event, 0 before the first."""
    @property
    def ts_recv(self) -> int: ...
    era: int
    @overload
    def apply(self, batch: EventBatch) -> Counters: ...
    @overload
    def apply(self, batch: EventBatch, effects: Literal[False]) -> Counters: ...
    @overload
    def apply(self, batch: EventBatch, effects: Literal[True]) -> tuple[Counters, Effects]: ...
    def apply_one(
        self,
        kind: int,
        side: int | None,
        order_id: _OrderId | None,
        price: _Number | None,
        size: _Number | None,
        /,
    ) -> int: ...
    """Returns an events.ApplyResult."""
    def depth(
        self, levels: int
    ) -> tuple[list[tuple[Decimal, Decimal, int]], list[tuple[Decimal, Decimal, int]]]: ...
    def depth_scaled(
        self, levels: int
    ) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]: ...
    def best(self) -> tuple[Decimal | None, Decimal | None]: ...
    def best_scaled(self) -> tuple[int | None, int | None]: ...
    def queue(self, price: _Number, side: int | None = None) -> list[tuple[str, Decimal]]: ...
    def place(self, order_id: _OrderId) -> tuple[int, Decimal]: ...
    def get(self, order_id: _OrderId) -> tuple[int, Decimal, Decimal] | None: ...
    """(side, price, size) of a resting order."""
    def orders(self, side: int, limit: int = 0) -> list[tuple[str, Decimal, Decimal]]: ...
    """(order_id, price, size), best price first, front of the queue first; limit 0: all."""
    def snapshot(self) -> EventBatch: ...
    """The whole book as OPEN rows flagged SNAPSHOT, bids then asks, best first, in queue order,
    every row with the book's seq and ts_recv."""
    def restore(
        self, batch: EventBatch, era: int, seq: int | None = None, ts_recv: int | None = None
    ) -> None: ...
    """Replaces everything by the rows of a snapshot; seq and ts_recv become the given ones,
    else the batch's.  BookCorrupt where an order stands twice or is impossible: then the book is
    left empty."""
    def digest(self) -> str: ...
    """32 hex digits over ids, prices, sizes, sides and queue order; equal at any scale and
    machine.  Ids count by their keys: books compare where their codecs give the same ones."""
    def top_text(self, orders: int = 25) -> str: ...
    """Bitfinex's checksum text: ids and signed sizes of the best orders, id ascending inside
    a price."""
    def top_crc32(self, orders: int = 25) -> int: ...
    """CRC-32 of top_text as the signed int that Bitfinex sends."""
    def totals(self) -> tuple[int, int, Decimal, Decimal]: ...
    """(bid orders, ask orders, bid size, ask size)."""
    @property
    def levels(self) -> tuple[int, int]: ...
    @property
    def crossed(self) -> bool: ...
    @property
    def memory_bytes(self) -> int: ...
    def check(self) -> None: ...
    """Walks every structure and raises BookCorrupt where two of them disagree."""
    def __len__(self) -> int: ...
    def __contains__(self, order_id: _OrderId, /) -> bool: ...

@final
class WindowResolver:
    """Turns the statements of a windowed feed ("this order stands so", "this order left my window",
    "a trade happened") into events, applying them to the book it was given."""

    def __new__(
        cls,
        book: OrderBook,
        *,
        orders_per_side: int,
        horizon_ns: int,
        evicted_max: int,
        trades_max: int,
        closed: Callable[[EventBatch | None, int, int], Any] | None = None,
        otherwise: Callable[[bytes, int], Any] | None = None,
    ) -> WindowResolver: ...
    orders_per_side: int
    def clear(
        self, ts_recv: int, ts_event: int | None = None, venue_seq: int | None = None
    ) -> None: ...
    """The rows put before the next commit are a whole new book (a new era)."""
    def put(
        self,
        order_id: _OrderId,
        price: _Text,
        amount: _Text,
        ts_recv: int,
        ts_event: int | None = None,
        venue_seq: int | None = None,
        /,
    ) -> None: ...
    """amount > 0: bid, < 0: ask."""
    def remove(
        self,
        order_id: _OrderId,
        ts_recv: int,
        ts_event: int | None = None,
        venue_seq: int | None = None,
        /,
    ) -> None: ...
    row_head: bytes
    """How a frame of this book begins, as ``[165356,``."""
    trade_head: bytes
    """How a frame of its trades begins."""
    expected_seq: int
    """The venue's sequence of the connection's next frame, -1 where unknown."""
    next_seq: int
    """The first seq of the next batch of a closing that ``frame`` takes."""
    heard_at: int
    """When the book's channel last said something (ns): ``frame`` notes it."""
    closed_at: int
    """When the book's last message was complete (ns): ``commit`` and ``frame`` note it."""
    @property
    def trades_due(self) -> int:
        """Until then trades wait (ns), 2**63 - 1 where none does."""

    def frame(self, frame: bytes, ts_recv: int, /) -> Any:
        """One text frame.  With the sequence expected it is taken here where it is exactly

        * ``ROW_HEAD[ID,PRICE,AMOUNT],SEQUENCE,MILLISECONDS]``, a row (price 0: a removal): None;
        * ``TRADE_HEAD"te",[ID,MILLISECONDS,AMOUNT,PRICE],SEQUENCE,MILLISECONDS]`` (or ``tu``),
          a trade: None;
        * ``ROW_HEAD"cs",CHECKSUM,SEQUENCE,MILLISECONDS]``: ``closed(batch, sent, ours)``, the batch
          of ``commit``, the checksum sent, ``top_crc32`` after it; without ``closed`` the tuple.

        Anything else, or a number that doesn't fit: ``otherwise(frame, ts_recv)``, and nothing has
        changed before; without ``otherwise`` a ValueError."""

    def trade(
        self,
        trade_id: _OrderId,
        amount: _Text,
        price: _Text,
        ts_recv: int,
        ts_event: int | None = None,
        venue_seq: int | None = None,
        /,
    ) -> bool: ...
    """amount > 0: the taker bought (the resting side is ask).  False: this trade was known."""
    def known_trade(self, trade_id: _OrderId) -> None: ...
    """Marks a trade of the history as known."""
    @property
    def pending(self) -> int: ...
    """Statements since the last commit (trades not counted)."""
    @property
    def waiting_trades(self) -> int: ...
    def commit(self, first_seq: int, now_ns: int) -> EventBatch | None: ...
    """The events of all statements since the last commit, already applied to the book;
    None where there are none.  Trades older than the horizon become TRADE."""
    def discard(self) -> None: ...
    @property
    def counters(self) -> dict[str, int]: ...
    """unknown_id, unchanged, side_flips, evicted, reentered, ended, matched, late_matched,
    unmatched_trades, known_trades, crossed (message ends)."""

@final
class CoinbaseFeed:
    """Follows the ``full`` channel of one product of Coinbase with the book it was given.

    A notice is (what, sequence, sentence); what: 0 nothing for the book, 1 a message with its
    sequence, 2 a heartbeat with what it says was last, 3 subscriptions or an error, 4 messages are
    missing before it, 5 it contradicts the book, 6 it can't be read.  Of a message that leads to
    one of the last three, or to an error, nothing is applied.  NumberRefused, IdRefused: a value
    that can't be held.
    """

    def __new__(
        cls,
        book: OrderBook,
        product: str,
        *,
        emptied_max: int,
        gather_rows: int,
        gather_ns: int,
    ) -> CoinbaseFeed: ...
    @property
    def last(self) -> int: ...
    """Sequence of the last message in step."""
    def peek(self, frame: bytes, /) -> tuple[int, int, str]: ...
    """The notice of a frame, of which nothing is applied: 0, 1, 2, 3 or 6."""
    def take(
        self, frame: bytes, ts_recv: int, /
    ) -> Literal[True] | tuple[int, int, str] | None: ...
    """One frame, applied to the book; its events wait for ``finish``.  None: nothing is to be done
    now; True: ``finish`` is, since ``gather_rows`` events wait or one for ``gather_ns``; a notice
    (3 to 6) where it is no message in step."""
    def finish(self, first_seq: int) -> EventBatch | None: ...
    """The batch of the events that wait, each message's last flagged LAST; None: none do."""
    def discard(self) -> None: ...
    """Forgets events that no batch took."""
    @property
    def pending(self) -> int: ...
    def adopt(self, snapshot: CoinbaseSnapshot, first_seq: int, now: int) -> EventBatch: ...
    """The book becomes the snapshot's in a new era: a CLEAR and its orders.  ValueError: it was
    taken before, or is one of an auction."""
    def compare(self, other: OrderBook) -> tuple[int, int, int, str | None, bool]: ...
    """How its book differs from another of the same codec: orders only here, only there, in both
    but with another side, price or size; one of these ids; whether queues alone differ."""
    @property
    def counters(self) -> dict[str, int]: ...
    """received, never_rested, changes_of_others, late, heartbeats, other_products,
    without_sequence, unknown_types, unknown_reasons, reopened, empty_opens, traded_as_taker,
    unreadable_times, crossed (messages that left the book crossed)."""

@final
class CoinbaseSnapshot:
    """A level 3 book of Coinbase over REST, read with the interpreter released, at scales of at
    least these.  ValueError: it is no such book.  Its length is its orders."""

    def __new__(
        cls, body: bytes, codec: IdCodec, price_scale: int = 0, size_scale: int = 0
    ) -> CoinbaseSnapshot: ...
    @property
    def sequence(self) -> int: ...
    @property
    def time(self) -> int | None: ...
    """ns of the venue's clock, None where it gives none."""
    @property
    def auction_mode(self) -> bool: ...
    """Its orders are indicative: there is no book to adopt."""
    def __len__(self) -> int: ...

def encode_cold_block(batch: EventBatch) -> bytes: ...
def decode_cold_block(
    block: Buffer,
    first_seq: int,
    scales: tuple[int, int],
    codec: IdCodec,
    trade_codec: IdCodec,
) -> EventBatch | None: ...

"""The events of a block of the cold archive, counted from ``first_seq``; None where it is damaged.
``scales``: digits of prices and of sizes."""

def encode_mark(payload: bytes, last_seq: int, ts_recv: int, synced: int) -> bytes:
    """A MARK frame (type 3) around a JSON payload."""

def decode_frame(
    buffer: Buffer,
    offset: int,
    codec: IdCodec | None = None,
    trade_codec: IdCodec | None = None,
) -> tuple[int, int, int, EventBatch | bytes] | None:
    """(type, length, synced, batch or payload) of the frame at offset; None where there is
    no whole frame: zeroes, a wrong magic, a length beyond the buffer, a wrong crc32c.  A codec that
    is still "auto" takes the form the frame was written with; any other is believed."""

def decode_run(
    buffer: Buffer,
    offset: int,
    codec: IdCodec,
    trade_codec: IdCodec,
    rows_max: int,
    span_ns: int,
) -> tuple[int, int, int, int, EventBatch] | None:
    """(length, last seq, last ts_recv, synced, batch) of the frame of events at offset and of those
    behind it that go on with it: of the same scales and forms of ids, no event missing, none
    earlier, no CLEAR and no row of a book, at most so many rows and ns in all.  None where no whole
    frame of events stands at offset."""

def frame_header(buffer: Buffer, offset: int) -> tuple[int, int, int, int, int, int] | None:
    """(type, length, rows, first_seq, last_seq, last_ts_recv) without checking the crc."""

def parse_number(text: _Text, scale: int) -> int:
    """Exact value at a scale; NumberRefused where the grammar or int64 doesn't hold it."""

def format_number(value: int, scale: int) -> str:
    """Plain decimal text: no exponent, no trailing zeros."""
