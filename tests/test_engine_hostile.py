"""Wrong types and absurd values at every public door: an ordinary exception, never a panic."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ordertape._engine as engine
from ordertape._engine import (
    BatchBuilder,
    CoinbaseFeed,
    CoinbaseSnapshot,
    Detectors,
    EventBatch,
    Flow,
    Heat,
    IdCodec,
    Lifecycles,
    OrderBook,
    WindowResolver,
    decode_cold_block,
    decode_frame,
    decode_run,
    encode_cold_block,
    encode_mark,
    format_number,
    frame_header,
    parse_number,
)
from ordertape.errors import BookCorrupt

INT64 = 2**63


class Hostile:
    """Raises where it is asked for anything."""

    def __index__(self) -> int:
        raise RuntimeError("asked for an index")

    def __iter__(self) -> Any:
        raise RuntimeError("asked for items")

    def __str__(self) -> str:
        raise RuntimeError("asked for text")

    __repr__ = __str__


class HostileDecimal(Decimal):
    def __str__(self) -> str:
        raise RuntimeError("asked for text")


class Liar(str):
    """A text that says it is another."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return b"\xff"


class NegativeInt(int):
    def __index__(self) -> int:
        return -1


absurd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.sampled_from(
        [INT64 - 1, -INT64, INT64, -INT64 - 1, 2**64 - 1, 2**64, 2**127, -(2**127), 255, 256]
    ),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=6),
    st.sampled_from(["1", "-1", "0", "1e400", "9" * 40, "\ud800", "\0", "a" * 1000, "1.5", "uuid"]),
    st.binary(max_size=6),
    st.just(b"\xff" * 16),
    st.decimals(),
    st.sampled_from([Decimal("1E+999999"), HostileDecimal(1), Liar("1"), NegativeInt(5)]),
    st.sampled_from([Hostile(), object(), Ellipsis, int, {}, set(), {1: 2}, slice(None, None, 0)]),
    st.lists(st.one_of(st.none(), st.integers(-2, 300), st.floats(), st.text()), max_size=4),
    st.sampled_from(
        [
            np.int64(7), np.uint64(2**64 - 1), np.float64(1.5), np.float32(1), np.bool_(True),
            np.str_("1"), np.bytes_(b"1"), np.array([]), np.array([1, 2, 3]), np.array(5),
            np.zeros((3, 16), np.uint8), np.zeros((2, 2, 2)), np.array(["a", None, 1.5], object),
            np.array(["NaT"], "datetime64[ns]"), np.zeros(3, "i4,f8"), np.arange(9)[::3],
        ]
    ),
    st.sampled_from([memoryview(b"12"), memoryview(b"1234")[::2], msgspec.Raw(b"1")]),
)  # fmt: skip


def sample() -> EventBatch:
    return EventBatch.from_arrays(
        kind=[1, 1, 2, 3], side=[0, 1, 0, 1], order_id=["1", "2", "1", "2"], price=[5, 6, 5, 6],
        size=[1, 2, 3, 1], ts_recv=[1, 2, 3, 4], price_scale=2, size_scale=3,
    )  # fmt: skip


book = OrderBook()
builder = BatchBuilder()
codec = IdCodec()
batch = sample()
counters, effects = book.apply(batch, effects=True)
column = batch.column("price")
window_book = OrderBook()
window = WindowResolver(window_book, orders_per_side=3, horizon_ns=10, evicted_max=5, trades_max=5)
window.row_head, window.trade_head = b"[17,", b"[9,"
window.expected_seq = 5
feed_book = OrderBook(codec="uuid")
feed = CoinbaseFeed(feed_book, "BTC-USD", emptied_max=1, gather_rows=1, gather_ns=1)
frame = batch.encode_frame(1, 0)

COLUMNS = st.sampled_from(
    ["kind", "side", "order_id", "price", "size", "ts_event", "ts_recv", "price_scale",
     "size_scale", "seq", "flags", "reason", "venue_seq", "trade_id", "taker_order_id",
     "taker_side", "price_before", "size_before", "codec", "trade_codec"],
)  # fmt: skip


def absurd_columns(columns: dict[str, Any]) -> EventBatch:
    good: dict[str, Any] = {
        "kind": [1, 2, 7], "side": [0, 1, 0], "order_id": ["a", "b", None], "price": [1, 2, 3],
        "size": [1, 2, 3], "ts_recv": [1, 2, 3], "price_scale": 0, "size_scale": 0,
    }  # fmt: skip
    made = EventBatch.from_arrays(**good | columns)
    made.encode_frame(1, 0)
    OrderBook().apply(made, effects=True)
    return made


def new_window(*sizes: Any) -> WindowResolver:
    names = ("orders_per_side", "horizon_ns", "evicted_max", "trades_max")
    made = WindowResolver(OrderBook(), **dict(zip(names, sizes, strict=True)))
    for n in range(8):
        made.put(n, str(n), "1", n)
        made.trade(n, "-1", str(n), n)
        made.remove(n - 1 if n else 0, n)
        made.commit(n, n)
    return made


block = encode_cold_block(batch)
heat, lives = Heat(1), Lifecycles(hold_ns=1, evicted_max=1)
flow, detectors = Flow(hold_ns=1), Detectors()
_, effects = OrderBook().apply(batch, effects=True)


def setter(thing: Any, name: str) -> Callable[[Any], None]:
    return lambda value: setattr(thing, name, value)


DOORS: dict[str, tuple[Callable[..., Any], int]] = {
    "parse_number": (parse_number, 2),
    "format_number": (format_number, 2),
    "encode_mark": (encode_mark, 4),
    "decode_frame": (decode_frame, 4),
    "decode_frame of a frame": (lambda *rest: decode_frame(frame, *rest), 3),
    "decode_run": (decode_run, 6),
    "decode_run of a frame": (lambda *rest: decode_run(frame, 0, codec, codec, *rest), 2),
    "frame_header": (frame_header, 2),
    "encode_cold_block": (encode_cold_block, 1),
    "decode_cold_block": (decode_cold_block, 5),
    "decode_cold_block of a block": (lambda *rest: decode_cold_block(block, *rest), 4),
    "IdCodec": (IdCodec, 1),
    "IdCodec.encode": (codec.encode, 1),
    "IdCodec.decode": (codec.decode, 1),
    "IdCodec.terms_from": (codec.terms_from, 1),
    "IdCodec.load_terms": (IdCodec("intern").load_terms, 2),
    "IdCodec ==": (lambda other: codec == other, 1),
    "EventBatch.concat": (EventBatch.concat, 1),
    "EventBatch.concat of batches": (lambda other: EventBatch.concat([batch, other]), 1),
    "EventBatch.concat at scales": (
        lambda price, size: EventBatch.concat([batch], price_scale=price, size_scale=size),
        2,
    ),
    "EventBatch[]": (batch.__getitem__, 1),
    "EventBatch[:]": (lambda a, b, c: batch[a:b:c], 3),
    "EventBatch.column": (batch.column, 1),
    "EventBatch.id_texts": (batch.id_texts, 1),
    "EventBatch.search_seq": (batch.search_seq, 1),
    "EventBatch.search_ts_recv": (batch.search_ts_recv, 1),
    "EventBatch.encode_frame": (batch.encode_frame, 2),
    "BatchBuilder": (BatchBuilder, 4),
    "BatchBuilder.add": (builder.add, 13),
    "BatchBuilder.add of six": (builder.add, 6),
    "BatchBuilder.finish": (builder.finish, 1),
    "Counters +": (counters.__add__, 1),
    "Effects.column": (effects.column, 1),
    "OrderBook": (OrderBook, 3),
    "OrderBook.apply": (book.apply, 2),
    "OrderBook.apply_one": (book.apply_one, 5),
    "OrderBook.depth": (book.depth, 1),
    "OrderBook.depth_scaled": (book.depth_scaled, 1),
    "OrderBook.queue": (book.queue, 2),
    "OrderBook.place": (book.place, 1),
    "OrderBook.get": (book.get, 1),
    "OrderBook.orders": (book.orders, 2),
    "OrderBook.restore": (OrderBook().restore, 4),
    "OrderBook.restore of rows": (lambda *rest: OrderBook().restore(book.snapshot(), *rest), 3),
    "OrderBook.top_text": (book.top_text, 1),
    "OrderBook.top_crc32": (book.top_crc32, 1),
    "OrderBook.era": (setter(book, "era"), 1),
    "in OrderBook": (lambda name: name in book, 1),
    "WindowResolver": (new_window, 4),
    "WindowResolver of": (
        lambda of: WindowResolver(of, orders_per_side=1, horizon_ns=1, evicted_max=1, trades_max=1),
        1,
    ),
    "WindowResolver.orders_per_side": (setter(window, "orders_per_side"), 1),
    "WindowResolver.clear": (window.clear, 3),
    "WindowResolver.put": (window.put, 6),
    "WindowResolver.remove": (window.remove, 4),
    "WindowResolver.expected_seq": (setter(window, "expected_seq"), 1),
    "WindowResolver.row_head": (setter(window, "row_head"), 1),
    "WindowResolver.trade_head": (setter(window, "trade_head"), 1),
    "WindowResolver.next_seq": (setter(window, "next_seq"), 1),
    "WindowResolver.heard_at": (setter(window, "heard_at"), 1),
    "WindowResolver.closed_at": (setter(window, "closed_at"), 1),
    "WindowResolver.frame": (window.frame, 2),
    "WindowResolver.frame of a closing": (
        lambda *rest: window.frame(b'[17,"cs",1,5,9]', *rest),
        1,
    ),
    "WindowResolver.trade": (window.trade, 6),
    "WindowResolver.known_trade": (window.known_trade, 1),
    "WindowResolver.commit": (window.commit, 2),
    "CoinbaseFeed": (
        lambda of, name: CoinbaseFeed(of, name, emptied_max=1, gather_rows=1, gather_ns=1),
        2,
    ),
    "CoinbaseFeed.peek": (feed.peek, 1),
    "CoinbaseFeed.take": (feed.take, 2),
    "CoinbaseFeed.finish": (feed.finish, 1),
    "CoinbaseFeed.discard": (feed.discard, 0),
    "CoinbaseFeed.adopt": (feed.adopt, 3),
    "CoinbaseFeed.compare": (feed.compare, 1),
    "CoinbaseSnapshot": (CoinbaseSnapshot, 4),
    "Heat": (Heat, 2),
    "Heat.begin": (lambda scale, of: Heat(1, price_scale=scale).begin(of), 2),
    "Heat.apply": (Heat(1).apply, 2),
    "Heat.advance": (heat.advance, 1),
    "Heat.drain": (heat.drain, 1),
    "Flow": (lambda hold, most, held: Flow(hold_ns=hold, rows_max=most, held_max=held), 3),
    "Flow.gap": (flow.gap, 1),
    "Flow.advance": (flow.advance, 1),
    "Detectors": (lambda most: Detectors(spoof_threshold=most), 1),
    "Detectors.drain": (detectors.drain, 1),
    "Lifecycles": (lambda hold, most, era: Lifecycles(hold_ns=hold, evicted_max=most, era=era), 3),
    "Lifecycles.take": (lambda *rest: lives.take(batch, effects, *rest), 2),
    "Lifecycles.drain": (lives.drain, 1),
    "Lifecycles.get": (lives.get, 1),
    "Rows.column": (heat.resting().column, 1),
}


@contextmanager
def ordinary_exceptions() -> Iterator[None]:
    """Lets every exception be, but those that tell of a fault of the engine's own.

    A panic is no ``Exception``: nothing here would catch it.
    """
    try:
        yield
    except (SystemError, AssertionError, BookCorrupt):
        raise
    except Exception:  # a refusal is what a hostile caller is to get
        pass


plausible = st.sampled_from([0, 1, 2, "1", "2", "0.5", "7e-7", b"3", 5, 10, None, batch])


@pytest.mark.parametrize("door", DOORS)
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_door_of_the_engine_panics(door: str, data: st.DataObject) -> None:
    function, arity = DOORS[door]
    mixed = st.one_of(absurd, plausible, plausible)
    arguments: Sequence[Any] = data.draw(st.lists(mixed, min_size=arity, max_size=arity))
    with ordinary_exceptions():
        function(*arguments)
    for each in (book, window_book, feed_book):
        each.check()


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(COLUMNS, absurd, min_size=1, max_size=4))
def test_no_columns_make_from_arrays_panic(columns: dict[str, Any]) -> None:
    with ordinary_exceptions():
        absurd_columns(columns)


@pytest.mark.parametrize("door", DOORS)
def test_a_wrong_number_of_arguments_is_a_type_error(door: str) -> None:
    function, arity = DOORS[door]
    with pytest.raises((TypeError, ValueError)):
        function(*[None] * (arity + 20))


def test_every_public_name_has_a_door() -> None:
    tested = {door.split(".")[0].split(" ")[0].removesuffix("[]") for door in DOORS}
    classes_made_inside = {"Column", "Counters", "Effects", "NULL"}
    public = {name for name in dir(engine) if not name.startswith("_")}
    assert public - tested - classes_made_inside - {"EventBatch[:]"} == set()


@pytest.mark.parametrize("name", ["Column", "Counters", "Effects", "EventBatch", "Rows"])
def test_what_only_the_engine_makes_can_not_be_made(name: str) -> None:
    with pytest.raises(TypeError, match=r"No constructor|cannot create"):
        getattr(engine, name)()


def test_things_the_engine_counts_can_not_be_written() -> None:
    for thing, name in [
        (book, "seq"), (book, "price_scale"), (batch, "first_seq"), (counters, "events"),
        (codec, "spec"), (column, "name"), (window, "pending"), (builder, "codec"),
    ]:  # fmt: skip
        with pytest.raises(AttributeError):
            setattr(thing, name, 5)


def test_texts_of_the_engine_can_be_shown() -> None:
    for thing in (book, batch, codec, counters, effects, builder, window, column):
        assert repr(thing)
        assert str(thing)


# Two threads at once -----------------------------------------------------------------------------


def busy_while(work: Callable[[], Any], rounds: int, then: Callable[[], Any]) -> list[Exception]:
    """Calls ``then`` over and over while another thread does ``work``."""
    met: list[Exception] = []
    done = threading.Event()

    def run() -> None:
        for _ in range(rounds):
            try:
                work()
            except RuntimeError as error:
                met.append(error)
        done.set()

    thread = threading.Thread(target=run)
    thread.start()
    while not done.is_set():
        try:
            then()
        except RuntimeError as error:
            met.append(error)
    thread.join()
    return met


@pytest.mark.parametrize("effects", [False, True])
def test_a_book_that_another_thread_is_applying_to_says_so(effects: bool) -> None:
    rows = 20_000
    shared = OrderBook(0, 0, "int")
    many = EventBatch.from_arrays(
        kind=np.ones(rows, np.uint8), side=np.zeros(rows, np.uint8), ts_recv=np.arange(rows),
        order_id=np.arange(rows, dtype=np.uint64), price=np.arange(rows) % 50,
        size=np.ones(rows, np.int64), price_scale=0, size_scale=0,
    )  # fmt: skip
    resolver = WindowResolver(shared, orders_per_side=5, horizon_ns=5, evicted_max=5, trades_max=5)

    def read() -> None:
        shared.best()
        resolver.put(1, "1", "1", 1)
        resolver.trade(1, "1", "1", 1)
        resolver.remove(1, 1)
        resolver.discard()
        resolver.commit(1, 1)
        WindowResolver(shared, orders_per_side=5, horizon_ns=5, evicted_max=5, trades_max=5)

    met = busy_while(lambda: shared.apply(many, effects=effects), 50, read)
    assert met
    assert all("borrowed" in str(error) for error in met)
    shared.check()
    assert len(shared) >= rows
