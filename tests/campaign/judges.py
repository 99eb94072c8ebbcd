"""What a venue's text means to a book, read once more: plain, strict, sharing nothing of ours.

A judge holds every book that may stand after what it heard.  A text that is well formed and in step
leaves one; one that is odd (an id that stands already, a size of nothing) may be passed over or
taken at its word; one that is no message leaves none: then the stream may not stay LIVE.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any

from ordertape._engine import OrderBook
from support.bitfinex import NaiveBook

__all__ = ["BitfinexJudge", "CoinbaseJudge"]

NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"-?\d+", re.ASCII)
_ENDED = re.compile(rb"(?<=,)\[(\d{1,18}),0,[^,\]]+\](?=,\d+,\d+\]$)")
"""An order's end.  What stands for its amount is not looked at, whatever it is."""
SIDES = {"buy": 0, "sell": 1}


class Number(str):
    """A number as it is printed."""

    __slots__ = ()


class Unreadable(Exception):
    """It is no message."""


class Twice(dict[str, Any]):
    """An object in which a name stands twice: as its first and as its last say it."""

    def __init__(self, first: dict[str, Any], last: dict[str, Any]) -> None:
        super().__init__(last)
        self.first = first


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Nothing in a field's place is an absent field.
    said = {name for name, value in pairs if value not in (None, "")}
    told = [(name, value) for name, value in pairs if value not in (None, "") or name not in said]
    last = dict(told)
    first = dict(reversed(told))
    return last if first == last else Twice(first, last)


def _refused(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def read(text: bytes) -> Any:
    """The JSON, its numbers as they are printed."""
    try:
        return json.loads(
            text.decode("utf-8"),
            parse_int=Number,
            parse_float=Number,
            parse_constant=_refused,
            object_pairs_hook=_members,
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from error


def whole(value: Any) -> int:
    if not isinstance(value, Number) or not WHOLE.fullmatch(value):
        raise Unreadable("no whole number")
    return int(value)


def decimal(value: Any, kind: type) -> Decimal:
    """``kind``: whether numbers stand as such or as texts."""
    if type(value) is not kind or not NUMBER.fullmatch(value):
        raise Unreadable("no number")
    try:
        return Decimal(value)
    except InvalidOperation as error:
        raise Unreadable("no number") from error


class BitfinexJudge:
    """One connection of Bitfinex with every flag.

    ``books``: those that may stand once what was said is committed; None while none is known.
    """

    def __init__(self) -> None:
        self.opened()

    def opened(self) -> None:
        self.expected: int | None = None
        self.channel: int | None = None
        self.books: list[dict[int, tuple[Decimal, Decimal]]] | None = None
        self.pending = 0
        self.early: set[int] = set()
        """Channels that spoke before the venue named them: what they said may be the book."""
        self.blind = False
        """It can't tell any more: what was asked of the venue, or granted, is in doubt."""

    def lost(self, _: bytes) -> None:
        """The stream gave its book up."""
        self.books, self.pending = None, 0

    def hear(self, text: bytes, spoilt: bool) -> tuple[bool, int | None]:
        """(whether a book may stand LIVE after it, the checksum if it is one)."""
        try:
            message = read(_ENDED.sub(rb"[\1,0,1]", text, count=1))
            if isinstance(message, dict):
                self._object(message, spoilt)
                return True, None
            return self._array(message)
        except Unreadable:
            self.expected = None
            return False, None

    def _object(self, message: dict[str, Any], spoilt: bool) -> None:
        if type(message.get("event")) is not str:
            raise Unreadable("no event")
        if spoilt:
            self.blind = True
        elif message["event"] == "subscribed" and message.get("channel") == "book":
            self.channel = whole(message["chanId"])
            self.books = None
            self.blind |= self.channel in self.early

    def _array(self, message: Any) -> tuple[bool, int | None]:
        if not isinstance(message, list) or len(message) < 2:
            raise Unreadable("no frame")
        channel, payload = whole(message[0]), message[1]
        coded = type(payload) is str and payload != "hb"
        tail = message[3:] if coded else message[2:]
        if len(tail) < 2:
            return False, None
        number, _ = whole(tail[0]), whole(tail[1])
        if self.expected is not None and number != self.expected and self.books is not None:
            return False, None
        self.expected = number + 1
        if channel != self.channel:
            self.early.add(channel)
            return True, None
        if type(payload) is str:
            if payload == "cs":
                self.pending = 0
                return True, whole(message[2])
            return True, None
        if not isinstance(payload, list):
            raise Unreadable("neither rows nor a code")
        self._rows(payload)
        return True, None

    def _rows(self, payload: list[Any]) -> None:
        many = not payload or isinstance(payload[0], list)
        rows = payload if many else [payload]
        if self.books is None:
            if not many:
                raise Unreadable("one row where all orders were due")
            self.books = [{}]
            fresh = True
        else:
            self.pending += len(rows)
            fresh = False
        for row in rows:
            if not isinstance(row, list) or len(row) < 3:
                raise Unreadable("no row")
            order_id = whole(row[0])
            price = decimal(row[1], Number)
            if fresh and not price:
                raise Unreadable("an end among orders that stand")
            self._state(order_id, price, decimal(row[2], Number))

    def _state(self, order_id: int, price: Decimal, amount: Decimal) -> None:
        assert self.books is not None
        stands = price != 0 and amount != 0
        odd = not stands and price != 0
        books = []
        for book in self.books:
            if odd:
                books.append(book)
            taken = book if len(self.books) == 1 and not odd else dict(book)
            if stands:
                taken[order_id] = (price, amount)
            else:
                taken.pop(order_id, None)
            books.append(taken)
        self.books = books[:32]

    def allows(self, book: OrderBook, checksum: int | None) -> str:
        """What is wrong with a LIVE book; nothing where it is one of those that may stand."""
        if self.blind:
            return ""
        if self.books is None:
            return "LIVE without a book"
        if self.pending:
            return ""  # not committed yet
        ours = {
            int(order_id): (price, size if side == 0 else -size)
            for side in (0, 1)
            for order_id, price, size in book.orders(side)
        }
        found = next((book for book in self.books if book == ours), None)
        if found is None:
            return f"another book: {_difference(self.books[0], ours)}"
        self.books = [found]
        if checksum is not None and NaiveBook(found).checksum() != checksum:
            return f"LIVE after checksum {checksum}"
        return ""


Rows = dict[Decimal, list[list[Any]]]


class CoinbaseJudge:
    """One product on one connection of Coinbase.  Books are [bids, asks], price → queue of
    [id, size]."""

    def __init__(self, product: str) -> None:
        self.product = product
        self.opened()

    def opened(self) -> None:
        self.last: int | None = None
        self.books: list[tuple[Rows, Rows]] | None = None
        self.blind = False

    def lost(self, _: bytes) -> None:
        """The stream gave its book up."""
        self.opened()

    def adopt(self, body: bytes, kept: list[bytes]) -> None:
        """The whole book over REST is the venue's book at its number; what was kept follows it.

        Of what came while no book stood the stream may keep what it likes: a message that it lost
        there shows as a gap in their numbers."""
        self.books = None
        try:
            message = read(body)
            book: tuple[Rows, Rows] = ({}, {})
            for side, name in enumerate(("bids", "asks")):
                for row in message[name]:
                    price, size = decimal(row[0], str), decimal(row[1], str)
                    book[side].setdefault(price, []).append([row[2], size])
            self.last, self.books = whole(message["sequence"]), [book]
        except (Unreadable, LookupError, TypeError):
            return
        for text in kept:
            last = self.last
            with suppress(Unreadable):
                self._message(read(text))
            if not self.books:  # it can't stand there: the stream says so itself
                self.last = last

    def hear(self, text: bytes, spoilt: bool) -> tuple[bool, int | None]:
        """(whether a book may stand LIVE after it, None)."""
        if self.books is None or self.last is None:
            return True, None
        try:
            return self._message(read(text)), None
        except Unreadable:
            return False, None

    def _message(self, message: Any) -> bool:
        if not isinstance(message, dict) or type(message.get("type")) is not str:
            raise Unreadable("no message")
        if isinstance(message, Twice):
            return self._twice(message)
        return self._plain(message)

    def _twice(self, message: Twice) -> bool:
        """One that says two things is none, unless both lead to the same."""
        books, last = self.books, self.last
        ends = []
        for reading in (message.first, dict(message)):
            self.books, self.last = books, last
            try:
                live = self._plain(reading)
            except Unreadable:
                live = False
            ends.append((live, self.books, self.last))
        if ends[0] != ends[1]:
            self.books, self.last = books, last
            return False
        live, self.books, self.last = ends[0]
        return live

    def _plain(self, message: dict[str, Any]) -> bool:
        kind = message["type"]
        if kind in ("subscriptions", "error"):
            return True
        if message.get("product_id") != self.product or message.get("sequence") is None:
            return True
        number = whole(message["sequence"])
        assert self.last is not None
        assert self.books is not None
        if kind == "heartbeat":
            return number <= self.last
        if number <= self.last:
            return True
        if number > self.last + 1:
            return False
        handler = getattr(self, f"_on_{kind}", None) if kind in _KINDS else None
        if handler is not None:
            self.books = [after for book in self.books for after in handler(book, message)][:16]
        self.last = number
        return bool(self.books)

    def _on_open(self, book: tuple[Rows, Rows], message: dict[str, Any]) -> list[Any]:
        order_id, side = _text(message, "order_id"), _side(message)
        price, size = _decimal(message, "price"), _decimal(message, "remaining_size")
        if size < 0:
            raise Unreadable("a size below nothing")
        if not size:
            return [book]
        found = _find(book, order_id)
        if found is None:
            return [_with(book, order_id, side, price, size, None)]
        return [_with(book, order_id, side, price, size, keeps) for keeps in (True, False)]

    def _on_match(self, book: tuple[Rows, Rows], message: dict[str, Any]) -> list[Any]:
        maker, taker = _text(message, "maker_order_id"), _text(message, "taker_order_id")
        side, price, size = _side(message), _decimal(message, "price"), _decimal(message, "size")
        rests, takes = _find(book, maker), _find(book, taker)
        if rests is None or rests[:2] != (side, price) or not 0 < size <= rests[2]:
            raise Unreadable("not as the maker rests")
        if takes is not None and (takes[0] == side or size > takes[2]):
            raise Unreadable("not as the taker rests")
        after = _with(book, maker, side, price, rests[2] - size, True)
        if takes is not None:
            after = _with(after, taker, takes[0], takes[1], takes[2] - size, True)
        return [after]

    def _on_done(self, book: tuple[Rows, Rows], message: dict[str, Any]) -> list[Any]:
        order_id = _text(message, "order_id")
        found = _find(book, order_id)
        if found is None:
            return [book]
        left = message.get("remaining_size") if message.get("reason") == "canceled" else None
        if left not in (None, "") and decimal(left, str) != found[2]:
            raise Unreadable("canceled with another size than it rests with")
        return [_with(book, order_id, found[0], found[1], Decimal(0), True)]

    def _on_change(self, book: tuple[Rows, Rows], message: dict[str, Any]) -> list[Any]:
        order_id = _text(message, "order_id")
        found = _find(book, order_id)
        if found is None or message.get("new_size") in (None, ""):
            return [book]
        size = _decimal(message, "new_size")
        price = found[1]
        for name in ("price", "new_price"):
            if message.get(name) not in (None, ""):
                price = _decimal(message, name)
        if size < 0:
            raise Unreadable("a size below nothing")
        told = message.get("reason")
        if told != "remainder_after_modification":
            for name, stood in (("old_size", found[2]), ("old_price", found[1])):
                if message.get(name) not in (None, "") and _decimal(message, name) != stood:
                    raise Unreadable("changes otherwise than it rests")
        keeps = price == found[1] and size <= found[2]
        return [_with(book, order_id, found[0], price, size, keeps)]

    def allows(self, book: OrderBook, _: int | None) -> str:
        """What is wrong with a LIVE book; nothing where it is one of those that may stand, order by
        order and place by place."""
        if self.books is None:
            return "LIVE without a book"
        ours = [
            [(price, order_id, size) for order_id, price, size in book.orders(side)]
            for side in (0, 1)
        ]
        for known in self.books:
            theirs = [
                [(p, i, s) for p in sorted(rows, reverse=not side) for i, s in rows[p]]
                for side, rows in enumerate(known)
            ]
            if ours == theirs:
                self.books = [known]
                return ""
        return f"another book of {len(ours[0])} and {len(ours[1])} orders"


_KINDS = ("open", "match", "done", "change")


def _text(message: dict[str, Any], name: str) -> str:
    value = message.get(name)
    if type(value) is not str or not value:
        raise Unreadable(f"no {name}")
    return value


def _decimal(message: dict[str, Any], name: str) -> Decimal:
    return decimal(message.get(name), str)


def _side(message: dict[str, Any]) -> int:
    side = SIDES.get(_text(message, "side"))
    if side is None:
        raise Unreadable("no side")
    return side


def _find(book: tuple[Rows, Rows], order_id: str) -> tuple[int, Decimal, Decimal] | None:
    for side in (0, 1):
        for price, queue in book[side].items():
            for name, size in queue:
                if name == order_id:
                    return side, price, size
    return None


def _with(
    book: tuple[Rows, Rows],
    order_id: str,
    side: int,
    price: Decimal,
    size: Decimal,
    keeps: bool | None,
) -> tuple[Rows, Rows]:
    """A copy in which the order stands so: in its place, or behind the others; a size of nothing
    takes it out."""
    after = tuple({p: [list(o) for o in q] for p, q in rows.items()} for rows in book)
    stood = _find(book, order_id)
    if stood is not None:
        queue = after[stood[0]][stood[1]]
        at = next(at for at, (name, _) in enumerate(queue) if name == order_id)
        if keeps and size and stood[:2] == (side, price):
            queue[at][1] = size
            return after[0], after[1]
        del queue[at]
        if not queue:
            del after[stood[0]][stood[1]]
    if size:
        after[side].setdefault(price, []).append([order_id, size])
    return after[0], after[1]


def _difference(theirs: dict[int, Any], ours: dict[int, Any]) -> str:
    keys = [key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key)]
    return "; ".join(f"{key} is {ours.get(key)}, told {theirs.get(key)}" for key in keys[:3])
