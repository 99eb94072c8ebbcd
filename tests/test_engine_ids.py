"""Ids as 128-bit keys: every text comes back, and no two texts share a key."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ordertape._engine import EventBatch, IdCodec, OrderBook
from ordertape.errors import IdRefused
from ordertape.events import EventKind, Side

DIGITS = "0123456789"
HEX = DIGITS + "abcdef"
BASE36 = DIGITS + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BASE62 = BASE36 + "abcdefghijklmnopqrstuvwxyz"
SPECS = ["auto", "int", "uuid", "kraken", "hex:8", "hex:32", "base62:9", "base62:21", "ascii"]


def of_length(alphabet: str, length: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=length, max_size=length)


kraken = st.builds(
    "{}-{}-{}".format, of_length(BASE36, 6), of_length(BASE36, 5), of_length(BASE36, 6)
)
uuids = st.uuids().map(str)
integers = st.integers(0, 2**64 - 1).map(str)
anything = st.text(st.characters(codec="utf-8"), max_size=40)
ids = st.one_of(
    anything, integers, uuids, kraken, of_length(HEX, 32), of_length(HEX, 8), of_length(BASE62, 9)
)


def packed(spec: str) -> st.SearchStrategy[str]:
    """Texts that a codec holds without its dictionary."""
    name, _, length = spec.partition(":")
    return {
        "int": integers,
        "uuid": uuids,
        "kraken": kraken,
        "ascii": st.text(st.characters(max_codepoint=127), max_size=15),
        "hex": of_length(HEX, int(length or 0)),
        "base62": of_length(BASE62, int(length or 0)),
    }[name]


@pytest.mark.parametrize("spec", [*SPECS, "intern"])
@given(st.lists(ids, min_size=1, max_size=8))
@example(["", "0", "00", "\0", "\0\0", "é", "\U0001f600"])
@example(["ffffffff-ffff-ffff-ffff-ffffffffffff", "ffffffff-ffff-ffff-0000-000000000000"])
@example([str(2**64 - 1), str(2**64), "-1", "007", "1.0", "٣"])
def test_every_text_comes_back_and_no_two_share_a_key(spec: str, texts: list[str]) -> None:
    codec = IdCodec(spec)
    keys = [codec.encode(text) for text in texts]
    assert [codec.decode(key) for key in keys] == texts
    assert [codec.encode(text.encode()) for text in texts] == keys
    assert len(set(keys)) == len(set(texts))
    assert all(len(key) == 16 and key != b"\xff" * 16 for key in keys)


@pytest.mark.parametrize("spec", [*SPECS[1:], *(f"hex:{n}" for n in (1, 15, 16, 31))])
@given(st.data())
def test_a_codec_packs_the_ids_of_its_form_without_its_dictionary(
    spec: str, data: st.DataObject
) -> None:
    codec = IdCodec(spec)
    text = data.draw(packed(spec))
    key = codec.encode(text)
    assert codec.decode(key) == text
    upper = uuid.UUID(int=int.from_bytes(key, "little")).int >> 64 == 2**64 - 1
    # Only a key in the dictionary's own range can't be used by a form that fills all 128 bits.
    assert codec.terms == int(upper)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("86143757311", "int"),
        ("0", "int"),
        ("d50ec984-77a8-460a-b958-66f114b0de9b", "uuid"),
        ("OUF4EM-FRGI2-MQMWZD", "kraken"),
        ("00ab12cd34ef", "hex:12"),
        ("d50ec98477a8460ab95866f114b0de9b", "hex:32"),
        ("0Xyz12Ab9", "base62:9"),
        ("A-17", "ascii"),
        ("", "ascii"),
        ("007", "ascii"),
        ("18446744073709551616", "hex:20"),
        ("D50EC984-77A8-460A-B958-66F114B0DE9B", "intern"),
        ("é", "intern"),
        ("x" * 300, "intern"),
    ],
)
def test_the_first_id_decides_an_auto_codec(text: str, spec: str) -> None:
    codec = IdCodec()
    assert codec.spec == "auto"
    key = codec.encode(text)
    assert codec.spec == spec
    assert codec.decode(key) == text
    assert IdCodec(spec).spec == spec


def test_an_integer_is_the_id_of_its_digits() -> None:
    for spec in ("auto", "int", "ascii", "uuid", "intern"):
        codec = IdCodec(spec)
        for number in (0, 7, 10**18, 2**64 - 1):
            assert codec.encode(number) == codec.encode(str(number))
            assert codec.decode(codec.encode(number)) == str(number)
    with pytest.raises(OverflowError):
        IdCodec("int").encode(-1)
    with pytest.raises(OverflowError):
        IdCodec("int").encode(2**64)


def test_the_key_of_an_integer_or_a_uuid_is_its_value_in_little_endian() -> None:
    one = uuid.UUID("d50ec984-77a8-460a-b958-66f114b0de9b")
    assert IdCodec("uuid").encode(str(one)) == one.int.to_bytes(16, "little")
    assert IdCodec("int").encode("258") == (258).to_bytes(16, "little")


# The dictionary ----------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=20), max_size=30), st.integers(0, 40))
def test_a_dictionary_travels_by_its_terms(texts: list[str], start: int) -> None:
    codec = IdCodec("intern")
    keys = [codec.encode(text) for text in texts]
    terms = codec.terms_from(0)
    assert terms == list(dict.fromkeys(texts))
    assert codec.terms == len(terms)
    assert codec.terms_from(start) == terms[start:]
    other = IdCodec("intern")
    for nth, term in enumerate(terms):
        other.load_terms(nth, [term])
    other.load_terms(0, terms)
    assert [other.encode(text) for text in texts] == keys
    assert other.terms == len(terms)


@pytest.mark.parametrize(
    ("start", "terms"),
    [(0, ["b"]), (1, ["a"]), (1, ["c", "b", "c"]), (3, ["d"]), (2**63, ["e"]), (0, ["a", "a"])],
)
def test_terms_that_contradict_the_dictionary_are_refused_whole(
    start: int, terms: list[str]
) -> None:
    codec = IdCodec("intern")
    codec.load_terms(0, ["a", "b"])
    with pytest.raises(IdRefused, match=f"dictionary entries from {start}"):
        codec.load_terms(start, terms)
    assert codec.terms_from(0) == ["a", "b"]


@pytest.mark.parametrize("spec", [*SPECS, "intern"])
@given(st.binary(min_size=16, max_size=16))
@example(b"\xff" * 16)
@example(b"\0" * 8 + b"\xff" * 8)
def test_a_key_is_decoded_only_where_the_codec_gives_it(spec: str, key: bytes) -> None:
    codec = IdCodec(spec)
    try:
        text = codec.decode(key)
    except IdRefused:
        return
    assert codec.encode(text) == key


def test_two_codecs_of_one_spec_are_not_one_codec() -> None:
    codec = IdCodec("intern")
    book = OrderBook(codec=codec)
    assert book.codec == codec
    assert hash(book.codec) == hash(codec)
    assert codec != IdCodec("intern")


@pytest.mark.parametrize(
    "spec", ["", "int ", "INT", "hex", "hex:", "hex:0", "hex:33", "hex:-1", "base62:22", "hex:1:2"]
)
def test_an_unknown_spec_is_refused_with_those_there_are(spec: str) -> None:
    with pytest.raises(ValueError, match="expected auto, int, uuid, kraken, hex:1 to hex:32"):
        IdCodec(spec)
    with pytest.raises(ValueError, match="expected auto"):
        OrderBook(codec=spec)


@pytest.mark.parametrize("text", [None, 1.5, [], ["1"], object()])
def test_what_is_neither_text_nor_integer_is_no_id(text: object) -> None:
    with pytest.raises(TypeError, match="expected an id"):
        IdCodec().encode(text)


def test_bytes_that_are_no_text_are_refused() -> None:
    for spec in ("auto", "int", "intern"):
        with pytest.raises(IdRefused):
            IdCodec(spec).encode(b"\xff\xfe")
    with pytest.raises(UnicodeEncodeError):
        IdCodec().encode("\ud800")


# Books and their codecs --------------------------------------------------------------------------


def test_asking_for_an_order_leaves_no_trace_in_the_codec() -> None:
    book = OrderBook()
    assert "x" not in book
    assert book.get(17) is None
    with pytest.raises(KeyError, match="no order x rests in this book"):
        book.place("x")
    assert (book.codec.spec, book.codec.terms) == ("auto", 0)
    book = OrderBook(codec="intern")
    assert "x" not in book
    assert book.codec.terms == 0


def opened(texts: list[str], spec: str) -> EventBatch:
    rows = len(texts)
    return EventBatch.from_arrays(
        kind=[EventKind.OPEN] * rows,
        side=[Side.BID] * rows,
        order_id=texts,
        price=list(range(1, rows + 1)),
        size=[1] * rows,
        ts_event=list(range(rows)),
        price_scale=0,
        size_scale=0,
        codec=spec,
    )


@pytest.mark.parametrize("spec", [*SPECS, "intern"])
@given(st.lists(ids, min_size=1, max_size=6, unique=True))
def test_a_book_reads_a_batch_whatever_the_codecs_of_both(spec: str, texts: list[str]) -> None:
    own, other = OrderBook(), OrderBook(codec="uuid")
    other.apply_one(EventKind.OPEN, Side.ASK, "first", "100", "1")
    for book in (own, other):
        assert book.apply(opened(texts, spec)).faults == 0
        assert [name for name, _, _ in reversed(book.orders(0))] == texts
        assert all(text in book for text in texts)
        book.check()


def test_a_batch_of_another_codec_gets_its_befores_back() -> None:
    book = OrderBook(codec="uuid")
    book.apply(opened(["a", "b"], "ascii"))
    batch = EventBatch.from_arrays(
        kind=[4, 2, 2],
        side=[0, 0, 0],
        order_id=["b", "a", "z"],
        price=[2, 9, 9],
        size=[1, 5, 5],
        ts_event=[1, 2, 3],
        price_scale=0,
        size_scale=0,
        codec="ascii",
    )
    counters = book.apply(batch[1:])
    assert counters.unknown_id == 1
    befores = [
        (row["price_before"], row["size_before"]) for row in map(batch.__getitem__, range(3))
    ]
    assert befores == [(None, None), (1, 1), (None, None)]


def test_keys_that_come_without_their_codec_show_as_uuids() -> None:
    names = [uuid.UUID(int=n * 2**64 + n) for n in range(1, 4)]
    keys = np.array([list(name.int.to_bytes(16, "little")) for name in names], np.uint8)
    book = OrderBook()
    book.apply(opened(keys, "auto"))
    assert [name for name, _, _ in reversed(book.orders(0))] == [str(name) for name in names]
    assert book.place(str(names[0])) == (0, 0)


def test_keys_that_no_codec_gave_do_not_become_orders() -> None:
    dictionary_key = b"\x05" + b"\0" * 7 + b"\xff" * 8
    batch = opened(np.frombuffer(dictionary_key, np.uint8).reshape(1, 16), "int")
    assert batch.id_texts() == [None]
    book = OrderBook(codec="uuid")
    with pytest.raises(IdRefused):
        book.apply(batch)
    assert len(book) == 0
