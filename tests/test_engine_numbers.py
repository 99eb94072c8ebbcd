"""Exact numbers: every text of the grammar equals its Decimal, everything else is refused."""

from __future__ import annotations

import re
from decimal import Decimal, localcontext

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ordertape._engine import BatchBuilder, OrderBook, WindowResolver, format_number, parse_number
from ordertape.errors import NumberRefused
from ordertape.events import EventKind, Side

INT64_MAX = 2**63 - 1
GRAMMAR = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)

digits = st.text("0123456789", min_size=1, max_size=45)
exponents = st.one_of(
    st.just(""),
    st.builds(
        "{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), st.integers(0, 60)
    ),
)
texts = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.text("0", max_size=40),
    digits,
    st.one_of(st.just(""), digits.map(".{}".format)),
    exponents,
)
scales = st.integers(0, 18)


def exact(text: str, scale: int) -> int | None:
    """The value at a scale by ``decimal``; None where it is no int64."""
    with localcontext() as context:
        context.prec = 400
        value = Decimal(text).scaleb(scale)
        if value != value.to_integral_value():
            return None
        number = int(value)
    return number if -INT64_MAX <= number <= INT64_MAX else None


@given(texts, scales)
@example("9223372036854775807", 0)
@example("-9223372036854775807", 0)
@example("9223372036854775808", 0)
@example("-9223372036854775808", 0)
@example("922337203685477580.7", 1)
@example("0.000000000000000001", 18)
@example("1" + "0" * 60 + "e-60", 0)
@example("0." + "0" * 60 + "1e61", 0)
@example("-0", 5)
@example("0e999999999999", 0)
def test_a_text_of_the_grammar_is_its_decimal_or_refused(text: str, scale: int) -> None:
    expected = exact(text, scale)
    if expected is not None and significant(text) <= 38:
        assert parse_number(text, scale) == expected
    elif expected is None:
        with pytest.raises(NumberRefused) as refused:
            parse_number(text, scale)
        assert refused.value.field == "number"
        assert refused.value.text == text[:64]
        assert refused.value.reason == "fits no int64 at the scale it needs"


def significant(text: str) -> int:
    """Digits between the first and the last that is not zero."""
    mantissa = re.split("[eE]", text)[0].lstrip("-").replace(".", "")
    return len(mantissa.strip("0"))


@given(st.one_of(st.text(max_size=12), st.text("0123456789+-.eE_ ,xN\0", max_size=14)))
@example("+1")
@example("1.")
@example(".5")
@example("1_000")
@example("1,5")
@example("\u0661")
@example("1e")
@example("1e5.0")
@example("NaN")
@example("Infinity")
@example(" 1")
@example("1\n")
@example("")
@example("-")
@example("1" * 50 + "x")
def test_a_text_outside_the_grammar_is_refused_with_field_text_and_reason(text: str) -> None:
    assume(not GRAMMAR.fullmatch(text))
    with pytest.raises(NumberRefused) as refused:
        parse_number(text, 2)
    error = refused.value
    assert (error.field, error.text) == ("number", text[:64])
    assert error.reason == "is not a decimal number (-?digits[.digits][e[+-]digits])"
    assert str(error) == f"number {text[:64]!r} {error.reason}"


@given(st.integers(-(2**126), 2**126), scales)
def test_plain_text_is_exact_and_has_neither_exponent_nor_trailing_zeros(
    value: int, scale: int
) -> None:
    text = format_number(value, scale)
    with localcontext() as context:
        context.prec = 100
        assert Decimal(text) == Decimal(value).scaleb(-scale)
    assert "e" not in text.lower()
    assert not ("." in text and text.endswith(("0", ".")))
    assert text != "-0"
    if abs(value) <= INT64_MAX:
        assert parse_number(text, scale) == value


@pytest.mark.parametrize(
    "given_as",
    [str, str.encode, lambda t: bytearray(t.encode()), lambda t: msgspec.Raw(t.encode())],
    ids=["str", "bytes", "bytearray", "Raw"],
)
def test_text_may_come_in_every_form_a_parser_has(given_as) -> None:
    assert parse_number(given_as("-41643.95858045"), 8) == -4164395858045
    assert parse_number(memoryview(b"xx1.5xx")[2:5], 1) == 15


@pytest.mark.parametrize("scale", [-1, 19, 256])
def test_a_scale_that_no_power_of_ten_in_int64_has_is_refused(scale: int) -> None:
    with pytest.raises(ValueError, match=f"scale {scale}: expected 0 to 18 digits"):
        parse_number("1", scale)
    with pytest.raises(ValueError, match=f"scale {scale}: expected 0 to 18 digits"):
        format_number(1, scale)


# Scales that grow ------------------------------------------------------------------------------

prices = st.decimals("-99999", "99999", places=9, allow_nan=False)


def plain(number: Decimal) -> str:
    return format(number, "f")


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 10**9)), min_size=1, max_size=30))
def test_a_builder_grows_its_scales_to_hold_every_number(numbers: list[tuple[int, int]]) -> None:
    texts = [plain(Decimal(value).scaleb(-places)) for places, value in numbers]
    builder = BatchBuilder("int")
    for nth, text in enumerate(texts):
        builder.add(EventKind.OPEN, Side.BID, nth, text, text, nth)
    batch = builder.finish(1)
    needed = max(max(0, -int(Decimal(text).normalize().as_tuple().exponent)) for text in texts)
    assert batch.price_scale == batch.size_scale == needed
    assert [row["price"] for row in map(batch.__getitem__, range(len(batch)))] == [
        Decimal(text) for text in texts
    ]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 10**9)), min_size=1, max_size=30))
def test_a_book_and_a_window_grow_their_scales_to_hold_every_number(
    numbers: list[tuple[int, int]],
) -> None:
    texts = [plain(Decimal(value).scaleb(-places)) for places, value in numbers]
    book, windowed = OrderBook(), OrderBook()
    window = WindowResolver(
        windowed, orders_per_side=1000, horizon_ns=0, evicted_max=1, trades_max=1
    )
    for nth, text in enumerate(texts):
        assert book.apply_one(EventKind.OPEN, Side.ASK, nth, text, text) == 0
        window.put(nth, text, f"-{text}", nth)
    batch = window.commit(1, 10**9)
    assert batch is not None
    for one in (book, windowed):
        one.check()
        assert one.get(len(texts) - 1) == (1, Decimal(texts[-1]), Decimal(texts[-1]))
        assert sorted(one.orders(1)) == sorted(
            (str(nth), Decimal(text), Decimal(text)) for nth, text in enumerate(texts)
        )
    assert book.digest() == windowed.digest()


def filled_window() -> tuple[OrderBook, WindowResolver]:
    book = OrderBook()
    window = WindowResolver(book, orders_per_side=9, horizon_ns=9, evicted_max=9, trades_max=9)
    window.put(1, str(INT64_MAX), "1", 1)
    return book, window


def test_a_scale_grows_for_all_numbers_or_for_none() -> None:
    largest = str(INT64_MAX)
    builder = BatchBuilder("int")
    builder.add(EventKind.OPEN, Side.BID, 1, largest, "1", 1)
    with pytest.raises(NumberRefused, match=r"price '0\.5' fits no int64"):
        builder.add(EventKind.OPEN, Side.BID, 2, "0.5", "1", 1)
    builder.add(EventKind.OPEN, Side.BID, 3, "5", "1.25", 1)
    batch = builder.finish(1)
    assert (batch.price_scale, batch.size_scale, len(batch)) == (0, 2, 2)

    book = OrderBook()
    book.apply_one(EventKind.OPEN, Side.BID, 1, largest, largest)
    before = book.digest()
    for price, size, field in (("0.5", "1", "price"), ("1", "0.5", "size")):
        with pytest.raises(NumberRefused) as refused:
            book.apply_one(EventKind.OPEN, Side.BID, 2, price, size)
        assert (refused.value.field, refused.value.text) == (field, "0.5")
    assert (book.price_scale, book.size_scale, book.digest()) == (0, 0, before)

    book, window = filled_window()
    with pytest.raises(NumberRefused) as refused:
        window.put(2, "0.5", "1", 1)
    assert (refused.value.field, refused.value.text) == ("price", "0.5")
    assert window.commit(1, 1) is not None
    with pytest.raises(NumberRefused) as refused:
        window.trade(2, "1", "0.5", 1)
    assert refused.value.field == "price"
    assert (book.price_scale, book.orders(0)) == (0, [("1", Decimal(INT64_MAX), Decimal(1))])


def test_an_amount_that_does_not_fit_is_named_an_amount() -> None:
    _, window = filled_window()
    window.put(3, "5", str(INT64_MAX), 1)
    with pytest.raises(NumberRefused) as refused:
        window.put(2, "1", "0.5", 1)
    assert (refused.value.field, refused.value.text) == ("amount", "0.5")
    with pytest.raises(NumberRefused) as refused:
        window.put(2, "one", "0.5", 1)
    assert (refused.value.field, refused.value.text) == ("price", "one")


def test_a_batch_whose_scale_the_book_can_not_take_over_is_refused_whole() -> None:
    book = OrderBook()
    book.apply_one(EventKind.OPEN, Side.BID, 1, str(INT64_MAX), "1")
    builder = BatchBuilder("int")
    builder.add(EventKind.OPEN, Side.BID, 2, "5", "1", 1)
    builder.add(EventKind.OPEN, Side.BID, 3, "0.5", "1", 1)
    before = book.digest()
    with pytest.raises(NumberRefused, match="price"):
        book.apply(builder.finish(1))
    assert (book.digest(), len(book), book.price_scale) == (before, 1, 0)


def test_a_value_of_a_small_scale_that_overflows_a_large_one_is_counted_and_passed_over() -> None:
    book = OrderBook(price_scale=8, size_scale=0)
    builder = BatchBuilder("int")
    builder.add(EventKind.OPEN, Side.BID, 1, str(INT64_MAX), "1", 1)
    builder.add(EventKind.OPEN, Side.BID, 2, "5", "1", 1)
    counters = book.apply(builder.finish(1))
    assert (counters.overflow, counters.faults, len(book)) == (1, 1, 1)
    book.check()


def test_a_side_and_a_level_hold_more_than_an_int64() -> None:
    book = OrderBook()
    for order_id in range(10):
        book.apply_one(EventKind.OPEN, Side.BID, order_id, "1", str(INT64_MAX))
    total = Decimal(10 * INT64_MAX)
    assert book.depth(1)[0] == [(Decimal(1), total, 10)]
    assert book.totals() == (10, 0, total, Decimal(0))
    assert book.place("9") == (9, Decimal(9 * INT64_MAX))
    book.check()


# What is no exact number ------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1.5, float("nan"), None, [], object(), 1 + 2j])
def test_a_float_or_anything_else_that_is_not_exact_is_refused(number: object) -> None:
    book = OrderBook(2, 2)
    with pytest.raises(TypeError):
        parse_number(number, 2)
    if number is not None:
        with pytest.raises(TypeError):
            book.apply_one(EventKind.OPEN, Side.BID, "1", number, "1")
    with pytest.raises(TypeError):
        book.queue(number)
    with pytest.raises((TypeError, ValueError)):
        BatchBuilder().add(1, 0, "1", number, "1", 1)
    assert len(book) == 0


@pytest.mark.parametrize("name", ["float16", "float32", "float64", "bool", "complex64"])
def test_the_memory_of_a_numpy_number_is_never_read_as_text(name: str) -> None:
    numpy = pytest.importorskip("numpy")
    # The four bytes of this float32 are the digits 1234.
    number = numpy.frombuffer(b"12341234"[: numpy.dtype(name).itemsize], name)[0]
    book = OrderBook(2, 2)
    with pytest.raises(TypeError):
        book.apply_one(EventKind.OPEN, Side.BID, "1", number, "1")
    with pytest.raises(TypeError):
        book.apply_one(EventKind.OPEN, Side.BID, number, "1", "1")
    with pytest.raises(TypeError):
        parse_number(number, 0)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "int32", "int64", "uint64"])
def test_a_numpy_integer_is_an_integer(kind: str) -> None:
    numpy = pytest.importorskip("numpy")
    one = numpy.dtype(kind).type
    book = OrderBook(2, 0)
    assert book.apply_one(one(1), one(0), one(65), one(100), one(7)) == 0
    assert book.orders(0) == [("65", Decimal(1), Decimal(7))]
    assert book.place(one(65)) == (0, Decimal(0))
    assert book.queue(one(100)) == [("65", Decimal(7))]


def test_a_decimal_is_taken_exactly_and_a_nan_is_refused() -> None:
    book = OrderBook()
    number = Decimal("1E-7")
    assert book.apply_one(EventKind.OPEN, Side.BID, "1", Decimal("1.50E+3"), number) == 0
    assert book.orders(0) == [("1", Decimal(1500), number)]
    for bad in ("NaN", "Infinity", "-sNaN"):
        with pytest.raises(NumberRefused) as refused:
            book.apply_one(EventKind.OPEN, Side.BID, "2", Decimal(bad), number)
        assert (refused.value.field, refused.value.text) == ("price", bad)
    with pytest.raises(NumberRefused, match="1E-19"):
        book.apply_one(EventKind.OPEN, Side.BID, "2", Decimal(1), Decimal("1E-19"))


def test_an_int_is_at_the_scale_of_the_book_and_needs_one() -> None:
    book = OrderBook()
    with pytest.raises(ValueError, match="price: an int is scaled, but the book has no scale yet"):
        book.apply_one(EventKind.OPEN, Side.BID, "1", 150, "1")
    assert book.apply_one(EventKind.OPEN, Side.BID, "1", "1.5", "1") == 0
    assert book.apply_one(EventKind.OPEN, Side.BID, "2", 15, 2) == 0
    assert book.queue("1.5") == [("1", Decimal(1)), ("2", Decimal(2))]
    with pytest.raises(NumberRefused):
        book.apply_one(EventKind.OPEN, Side.BID, "3", -(2**63), 2)
    with pytest.raises(OverflowError):
        book.apply_one(EventKind.OPEN, Side.BID, "3", 2**63, 2)
