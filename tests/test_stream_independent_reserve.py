"""The rule "buffer, snapshot, replay, then nothing may differ" on a recording of another venue.

Independent Reserve numbers its deltas, but its REST snapshot carries no number: what was buffered
before the snapshot came may be in it already.  Whatever differs must be older than the snapshot;
from there on every delta has to fit the book exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from ordertape import EventKind, OrderBook, Side
from ordertape.events import ApplyResult

MARKETS = ["eth-aud", "dot-nzd", "matic-usd", "bch-sgd", "pmgt-nzd"]
SIDES = {"LimitBid": Side.BID, "LimitOffer": Side.ASK}
_decode = msgspec.json.Decoder(strict=True, float_hook=Decimal).decode


class Delta(NamedTuple):
    made: Decimal
    """Seconds since 1970, the venue's clock: frames came up to seconds late."""
    nonce: int
    event: str
    side: Side
    guid: str
    price: Decimal | None
    size: Decimal | None


def snapshot(folder: Path, market: str) -> tuple[Decimal, dict[str, list[dict[str, object]]]]:
    """When the REST book was received, and the book."""
    primary, secondary = market.split("-")
    asked = f"primaryCurrencyCode={primary}&secondaryCurrencyCode={secondary} -> "
    for line in (folder / "INDEPENDENT_RESERVE.http.0.0").read_text().splitlines():
        if asked in line:
            time, text = line.split(" -> ", 1)[1].split(": ", 1)
            return Decimal(time), _decode(text)
    raise AssertionError(f"no snapshot of {market}")


def deltas(folder: Path, market: str) -> Iterator[Delta]:
    primary, secondary = market.split("-")
    for line in (folder / "INDEPENDENT_RESERVE.ws.1.0").read_text().splitlines():
        found = re.match(r"([\d.]+): (.*)", line)
        message = _decode(found[2]) if found else {}
        if message.get("Channel") != f"orderbook-{primary}":
            continue
        data = message["Data"]
        side = SIDES[data["OrderType"]]
        price = data.get("Price", {}).get(secondary)
        yield Delta(
            Decimal(message["Time"]) / 1000,
            message["Nonce"],
            message["Event"],
            side,
            data["OrderGuid"],
            price,
            data.get("Volume"),
        )


def apply(book: OrderBook, delta: Delta) -> int:
    if delta.event == "NewOrder":
        order = (delta.side, delta.guid, delta.price, delta.size)
        return book.apply_one(EventKind.OPEN, *order)
    known = book.get(delta.guid)
    if known is None:
        return ApplyResult.UNKNOWN_ID
    side, price, size = known
    assert side == delta.side
    return book.apply_one(EventKind.DONE, side, delta.guid, price, size)


@pytest.mark.parametrize("market", MARKETS)
def test_what_differs_from_a_snapshot_is_older_than_it(shared: Path, market: str) -> None:
    folder = shared / "data" / "independent_reserve_2022"
    received, told = snapshot(folder, market)
    book = OrderBook(codec="uuid")
    for side, name in ((Side.BID, "BuyOrders"), (Side.ASK, "SellOrders")):
        for order in told[name]:
            row = (side, order["Guid"], order["Price"], order["Volume"])
            assert book.apply_one(EventKind.OPEN, *row) == ApplyResult.APPLIED
    orders = len(book)
    assert orders > 0
    last, after = None, 0
    for delta in deltas(folder, market):
        assert last is None or delta.nonce == last + 1
        last = delta.nonce
        result = apply(book, delta)
        if delta.made > received:
            after += 1
            assert result == ApplyResult.APPLIED, delta
    book.check()
    assert not book.crossed
    assert after > 0
