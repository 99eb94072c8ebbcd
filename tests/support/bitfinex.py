"""A naive Bitfinex for tests: a venue that speaks the documented raw-book frames, and a plain book.

Written for obviousness, with Python dicts, sorts and Decimals; shares no code with the adapter or
the engine.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from ordertape._engine import OrderBook
from ordertape.events import Side

BOOK_CHANNEL, TRADES_CHANNEL = 165356, 17
START_MS = 1_700_000_000_000
INFO = '{"event":"info","version":2,"serverId":"450f68ff","platform":{"status":1}}'


def number(text: Decimal) -> str:
    """JavaScript's text of a number, as Bitfinex writes all of them."""
    text = text.normalize()
    if text == 0:
        return "0"
    if text.adjusted() >= -6:
        return format(text, "f")
    sign, digits, _ = text.as_tuple()
    plain = "".join(map(str, digits))
    point = "." + plain[1:] if len(plain) > 1 else ""
    return f"{'-' if sign else ''}{plain[0]}{point}e-{-text.adjusted()}"


@dataclass
class NaiveBook:
    """id → (price, signed amount), by the venue's statements; nothing clever."""

    orders: dict[int, tuple[Decimal, Decimal]] = field(default_factory=dict)

    def apply(self, row: list[Any]) -> None:
        order_id, price, amount = int(row[0]), Decimal(str(row[1])), Decimal(str(row[2]))
        if price == 0:
            self.orders.pop(order_id, None)
        else:
            self.orders[order_id] = (price, amount)

    def side(self, bids: bool) -> list[tuple[int, Decimal, Decimal]]:
        """(id, price, size) best first, id ascending inside a price."""
        rows = [(i, p, abs(a)) for i, (p, a) in self.orders.items() if (a > 0) == bids]
        return sorted(rows, key=lambda row: ((-row[1] if bids else row[1]), row[0]))

    def checksum(self, top: int = 25) -> int:
        """Source: docs.bitfinex.com/docs/ws-websocket-checksum."""
        bids, asks = self.side(True), self.side(False)
        parts: list[str] = []
        for place in range(top):
            if place < len(bids):
                parts += [str(bids[place][0]), number(bids[place][2])]
            if place < len(asks):
                parts += [str(asks[place][0]), number(-asks[place][2])]
        unsigned = zlib.crc32(":".join(parts).encode())
        return unsigned - 2**32 if unsigned >= 2**31 else unsigned


@dataclass
class NaiveVenue:
    """Endless orders around a price; frames of the best ``length`` a side, by iterations."""

    seed: int = 1
    length: int = 25
    depth: int = 60
    sequenced: bool = True
    timed: bool = True
    checksums: bool = True
    book_channel: int = BOOK_CHANNEL
    trades_channel: int = TRADES_CHANNEL

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.all = NaiveBook()
        self.shown = NaiveBook()
        self.sequence = 0
        self.ms = START_MS
        self.next_id = 86_000_000_000
        self.next_trade = 400_000_000
        self.middle = Decimal(40000)
        for bids in (True, False):
            for _ in range(self.depth):
                self.add(bids)

    def add(self, bids: bool) -> None:
        away = Decimal(self.random.randint(1, 400)) / 10
        if self.random.random() < 0.1:
            away += Decimal(self.random.randint(1, 9999)) / 10**8
        price = self.middle - away if bids else self.middle + away
        amount = Decimal(self.random.randint(1, 300_000_000)) / 10**8
        if self.random.random() < 0.02:
            amount = Decimal(self.random.randint(1, 99)) / 10**8
        self.next_id += self.random.randint(1, 50)
        self.all.orders[self.next_id] = (price, amount if bids else -amount)

    # Frames ---------------------------------------------------------------------------------------
    def tail(self) -> str:
        self.sequence += 1
        first = f",{self.sequence}" if self.sequenced else ""
        return first + (f",{self.ms}" if self.timed else "")

    def row(self, order_id: int, price: Decimal, amount: Decimal) -> str:
        return f"[{order_id},{number(price)},{number(amount)}]"

    def update(self, order_id: int, price: Decimal, amount: Decimal) -> str:
        return f"[{self.book_channel},{self.row(order_id, price, amount)}{self.tail()}]"

    def conf(self) -> str:
        flags = 32768 * self.timed + 65536 * self.sequenced + 131072 * self.checksums
        return json.dumps({"event": "conf", "status": "OK", "flags": flags})

    def subscribed(self, pair: str = "tBTCUSD") -> list[str]:
        book = {
            "event": "subscribed",
            "channel": "book",
            "chanId": self.book_channel,
            "symbol": pair,
            "prec": "R0",
            "freq": "F0",
            "len": str(self.length),
            "subId": "book",
            "pair": pair[1:],
        }
        trades = {
            "event": "subscribed",
            "channel": "trades",
            "chanId": self.trades_channel,
            "symbol": pair,
            "pair": pair[1:],
        }
        return [json.dumps(book), json.dumps(trades)]

    def window(self) -> dict[int, tuple[Decimal, Decimal]]:
        rows = [*self.all.side(True)[: self.length], *self.all.side(False)[: self.length]]
        return {row[0]: self.all.orders[row[0]] for row in rows}

    def snapshot(self) -> str:
        self.shown = NaiveBook(self.window())
        rows = [
            self.row(i, p, a if bids else -a)
            for bids in (True, False)
            for i, p, a in self.shown.side(bids)
        ]
        return f"[{self.book_channel},[{','.join(rows)}]{self.tail()}]"

    def trades_snapshot(self) -> str:
        rows = [f"[{self.next_trade - 1 - k},{self.ms - k},0.5,{self.middle}]" for k in range(3)]
        return f"[{self.trades_channel},[{','.join(rows)}]{self.tail()}]"

    def heartbeat(self, channel: int | None = None) -> str:
        return f'[{channel or self.trades_channel},"hb"{self.tail()}]'

    def checksum(self, value: int | None = None) -> str:
        value = self.shown.checksum() if value is None else value
        return f'[{self.book_channel},"cs",{value}{self.tail()}]'

    def trade(self, kind: str, trade_id: int, amount: Decimal, price: Decimal) -> str:
        row = f"[{trade_id},{self.ms},{number(amount)},{number(price)}]"
        return f'[{self.trades_channel},"{kind}",{row}{self.tail()}]'

    # Life -----------------------------------------------------------------------------------------
    def difference(self) -> list[str]:
        """Deletes of both sides, then adds: from what was shown to what the window is now."""
        now = self.window()
        frames = []
        for order_id, (_, amount) in list(self.shown.orders.items()):
            if order_id not in now:
                frames.append(self.update(order_id, Decimal(0), Decimal(1 if amount > 0 else -1)))
        for order_id, order in now.items():
            if self.shown.orders.get(order_id) != order:
                frames.append(self.update(order_id, *order))
        self.shown = NaiveBook(now)
        return frames

    def iteration(self, steps: int = 3) -> list[str]:
        """Some orders come, change, trade and go; the frames that tell of it."""
        self.ms += self.random.randint(1, 200)
        trades = []
        for _ in range(steps):
            what = self.random.random()
            bids = self.random.random() < 0.5
            side = self.all.side(bids)
            if what < 0.45 or len(side) < self.depth // 2:
                self.add(bids)
            elif what < 0.8:
                self.all.orders.pop(self.random.choice(side[: self.length * 2])[0])
            elif what < 0.9:
                order_id = self.random.choice(side[: self.length])[0]
                price, amount = self.all.orders[order_id]
                self.all.orders[order_id] = (
                    price,
                    amount / 2 if self.random.random() < 0.5 else amount,
                )
                if self.random.random() < 0.5:
                    self.all.orders[order_id] = (price + (-1 if bids else 1), amount)
            else:
                order_id, price, size = side[0]
                self.all.orders.pop(order_id)
                signed = -size if bids else size
                trades.append(self.trade("te", self.next_trade, signed, price))
                trades.append(self.trade("tu", self.next_trade, signed, price))
                self.next_trade += 1
        frames = trades + self.difference()
        if len(frames) > len(trades) and self.checksums:
            frames.append(self.checksum())
        return frames

    def connection(self, pair: str = "tBTCUSD") -> list[str]:
        """The greeting up to the snapshots."""
        self.sequence = 0
        frames = [INFO, self.conf(), *self.subscribed(pair), self.snapshot()]
        if self.checksums:
            frames.append(self.checksum())
        frames.append(self.trades_snapshot())
        return frames


def same_book(book: OrderBook, naive: NaiveBook) -> None:
    for side, bids in ((Side.BID, True), (Side.ASK, False)):
        ours = [(int(i), p, s) for i, p, s in book.orders(side)]
        assert sorted(ours) == sorted(naive.side(bids))
        assert [price for _, price, _ in ours] == [price for _, price, _ in naive.side(bids)]


def statements(frame: str) -> list[list[Any]]:
    """The rows of a book frame; none of any other."""
    message = json.loads(frame, parse_float=Decimal)
    if not isinstance(message, list) or isinstance(message[1], str):
        return []
    return message[1] if isinstance(message[1][0], list) else [message[1]]


def session_text_frames(text: str) -> Iterator[str]:
    """Frames of a terminal session with the venue: prompts and what was typed are left out."""
    for line in text.splitlines():
        frame = line.strip().removeprefix("> ").removeprefix("< ")
        if frame.startswith(("{", "[")) and '"subscribe",' not in frame:
            yield frame


def write_capture(path: Path, frames: Iterable[str], start: int = 0, step_ns: int = 0) -> Path:
    """A capture of these frames, ``step_ns`` apart (default 1 ms)."""
    start = start or START_MS * 1_000_000
    with path.open("w") as file:
        for nth, text in enumerate(frames):
            t = start + nth * (step_ns or 1_000_000)
            line = {"t": t, "via": "ws", "url": "wss://api-pub.bitfinex.com/ws/2", "text": text}
            file.write(json.dumps(line) + "\n")
    return path


def r0_capture_text(shared: Path) -> str:
    """The recorded R0 session: snapshot and 234 updates, 25 orders a side, no flags."""
    return (shared / "data" / "bitfinex_r0_2022" / "raw_book_capture.txt").read_text()
