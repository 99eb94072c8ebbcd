"""Symbols in every usual form, resolved to the one of ours."""

from __future__ import annotations

import pytest

from ordertape.errors import UnknownMarket
from ordertape.venues import bitfinex_wire, venue_of
from ordertape.venues.bitfinex_wire import native, pair, read_products

BITFINEX = venue_of("bitfinex")
LIST = b'[["1INCH:USD","AVAX:USD","AVAX:UST","BTCUSD","BTCUST","BTC:CNHT","DOGE:USD","ETHBTC"]]'
PRODUCTS = read_products(LIST)


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("BTC/USD", "BTC/USD"),
        ("BTC-USD", "BTC/USD"),
        ("btc-usd", "BTC/USD"),
        (" BTC:USD ", "BTC/USD"),
        ("BTCUSD", "BTC/USD"),
        ("tBTCUSD", "BTC/USD"),
        ("BTC/USDT", "BTC/USDT"),
        ("BTC-UST", "BTC/USDT"),
        ("tBTCUST", "BTC/USDT"),
        ("tAVAX:USD", "AVAX/USD"),
        ("AVAX/USD", "AVAX/USD"),
        ("tAVAX:UST", "AVAX/USDT"),
        ("tBTCF0:USTF0", "BTCF0/USDTF0"),
        ("BTCF0/USTF0", "BTCF0/USDTF0"),
        ("tTESTBTC:TESTUSD", "TESTBTC/TESTUSD"),
        ("tUSTUSD", "USDT/USD"),
        ("TRX/USD", "TRX/USD"),
        ("tTRXUSD", "TRX/USD"),
    ],
)
def test_every_usual_form_is_resolved(text: str, ours: str) -> None:
    assert BITFINEX.resolve(text) == ours


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("BTC/USD", "tBTCUSD"),
        ("BTC/USDT", "tBTCUST"),
        ("USDT/USD", "tUSTUSD"),
        ("AVAX/USD", "tAVAX:USD"),
        ("AVAX/USDT", "tAVAX:UST"),
        ("BTC/CNHT", "tBTC:CNHT"),
        ("BTCF0/USDTF0", "tBTCF0:USTF0"),
        ("USTC/USD", "tUSTC:USD"),
        ("BUST/USD", "tBUST:USD"),
    ],
)
def test_our_form_and_theirs_are_each_others_inverse(ours: str, theirs: str) -> None:
    assert pair(ours) == theirs
    assert native(theirs) == ours


def test_a_code_that_contains_ust_is_not_usdt() -> None:
    assert native("tUSTC:USD") == "USTC/USD"
    assert native("tBUST:USD") == "BUST/USD"


def test_usdt_is_never_usd() -> None:
    assert pair(BITFINEX.resolve("BTC/USDT")) == "tBTCUST"
    assert pair(BITFINEX.resolve("BTC/USD")) == "tBTCUSD"
    with pytest.raises(UnknownMarket, match="lists no market 'DOGE/USDT'; it lists DOGE/USD"):
        BITFINEX.resolve("DOGE/USDT", PRODUCTS)


def test_the_list_of_pairs_resolves_what_can_be_cut_in_one_way_only() -> None:
    assert BITFINEX.resolve("AVAXUSD", PRODUCTS) == "AVAX/USD"
    assert BITFINEX.resolve("AVAXUSDT", PRODUCTS) == "AVAX/USDT"
    assert BITFINEX.resolve("btcusdt", PRODUCTS) == "BTC/USDT"
    assert BITFINEX.resolve("tBTC:CNHT", PRODUCTS) == "BTC/CNHT"


@pytest.mark.parametrize(
    "text", ["", "BTC", "AVAXUSD", "BTC/USD/X", "tBTCUSDX", "../BTC", "BTC USD"]
)
def test_what_is_no_symbol_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(UnknownMarket, match="is no symbol for bitfinex: expected a form like"):
        BITFINEX.resolve(text)


def test_a_pair_that_could_be_two_markets_names_both() -> None:
    with pytest.raises(UnknownMarket, match="could be AB/CDEF or ABC/DEF on bitfinex"):
        BITFINEX.resolve("ABCDEF", frozenset({"AB/CDEF", "ABC/DEF"}))


def test_the_list_of_pairs_is_read_and_strange_entries_are_left_out() -> None:
    assert read_products(b'[["BTCUST","x","TESTBTC:TESTUSD"],["BTCF0:USTF0"]]') == {
        "BTC/USDT",
        "TESTBTC/TESTUSD",
        "BTCF0/USDTF0",
    }
    with pytest.raises(bitfinex_wire.msgspec.DecodeError):
        read_products(b'{"error": 1}')


def test_an_unknown_venue_is_named() -> None:
    with pytest.raises(UnknownMarket, match="there is no venue 'mtgox'; there is bitfinex"):
        venue_of("mtgox")


def test_the_row_of_a_venue_says_something_in_every_column() -> None:
    row = BITFINEX.capability.as_dict()
    assert row["exchange"] == "bitfinex"
    assert all(row.values())


@pytest.mark.parametrize("text", ["BTC-USD", "btc-usd", "BTC/USD", "BTC:USD", "BTCUSD"])
def test_every_usual_form_of_a_coinbase_symbol_is_ours(text: str) -> None:
    assert venue_of("coinbase").resolve(text) == "BTC-USD"


def test_the_list_of_products_leaves_out_what_is_delisted() -> None:
    text = (
        b'[{"id":"BTC-USD","status":"online","post_only":false},{"id":"X-USD","status":"delisted"}]'
    )
    assert venue_of("coinbase").read_products(text) == {"BTC-USD"}
