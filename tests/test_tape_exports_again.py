"""LOBSTER files of a tape, imported again, make the very book that was exported."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from ordertape._engine import OrderBook
from ordertape.errors import BadFile
from ordertape.tape.exports import Range, export_lobster
from ordertape.tape.folder import MarketFolder
from ordertape.tape.imports import import_lobster
from ordertape.tape.lobster import read_lobster
from ordertape.tape.rebuild import rebuild
from support.lobster import files
from support.tape import Market, write_journal

MARKET = ("venue", "A/B")


def exported(folder: Path, *, levels: int = 10) -> tuple[Market, list[Path]]:
    """A market that began empty, with cents and satoshis, and its LOBSTER files."""
    market = Market(orders=40)
    batches = [market.message(clear=True), *market.messages(1_500)]
    write_journal(MarketFolder(folder / "data", *MARKET), batches)
    return market, export_lobster(Range(folder / "data", *MARKET), folder / "out", levels=levels)


def test_an_exported_crypto_tape_comes_back_as_the_same_book(tmp_path: Path) -> None:
    market, (messages, orderbook, scales) = exported(tmp_path)
    assert json.loads(scales.read_text()) == {"price_scale": 4, "size_scale": 8}
    summary = import_lobster(tmp_path / "again", *MARKET, messages, orderbook)
    assert len(market.book) > 20
    assert summary.book_digest == market.book.digest()
    assert rebuild(tmp_path / "again", *MARKET).digest() == market.book.digest()
    assert summary.faults.keys() <= {"crossed"}


def test_prices_that_look_like_an_empty_level_come_back(tmp_path: Path) -> None:
    (messages, orderbook), told = files(tmp_path), "_message_2.csv"
    messages.write_text("34200.5,1,7,250000000,9999999999,1\n")
    orderbook.write_text("9999999999,0,9999999999,250000000\n")
    scales = messages.with_name(messages.name.replace(told, "_scales.json"))
    scales.write_text('{"price_scale":8,"size_scale":8}')
    book = OrderBook()
    for batch in read_lobster(messages, orderbook):
        assert batch.column("price") is not None
        book.apply(batch)
    assert book.depth(2) == ([(Decimal("99.99999999"), Decimal("2.5"), 1)], [])


def test_an_export_in_two_eras_comes_back_with_its_levels(tmp_path: Path) -> None:
    """The format tells no orders of the book it starts from, so their ids are gone."""
    market = Market(orders=40)
    batches = [*market.messages(1_000, clear_every=500)]
    write_journal(MarketFolder(tmp_path / "data", *MARKET), batches)
    out = export_lobster(Range(tmp_path / "data", *MARKET), tmp_path / "out", levels=50)
    for messages, orderbook, _ in zip(out[::3], out[1::3], out[2::3], strict=True):
        import_lobster(tmp_path / "again", *MARKET, messages, orderbook)
    again = rebuild(tmp_path / "again", *MARKET).depth(50)
    wanted = market.book.depth(50)
    for side in (0, 1):
        assert [level[:2] for level in again[side]] == [level[:2] for level in wanted[side]]


def test_other_scales_are_another_source(tmp_path: Path) -> None:
    _, (messages, orderbook, scales) = exported(tmp_path)
    reader = read_lobster(messages, orderbook)
    assert reader.description.endswith(" 4 8")
    scales.unlink()
    assert not read_lobster(messages, orderbook).description.endswith(" 4 8")


@pytest.mark.parametrize("text", ["", "[4,8]", '{"price_scale":19}', '{"digits":4}', "\xff"])
def test_scales_that_can_not_be_are_one_sentence(text: str, tmp_path: Path) -> None:
    _, (messages, orderbook, scales) = exported(tmp_path)
    scales.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadFile, match=r"_scales\.json, scales: expected the digits behind"):
        read_lobster(messages, orderbook)
