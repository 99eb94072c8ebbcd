"""A simulated Coinbase in a thread of the test, and what it said: the truth that a tape is held to.

The venue runs in a loop of its own, so that collectors are real processes on real sockets while the
test can still ask the exchange what every book was.  Nothing of ours reads its texts here: they
are parsed with ``json`` and compared value by value.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from ordertape._engine import NULL, EventBatch, OrderBook
from ordertape.events import EventKind, Flag
from ordertape.simulator.coinbase import SimulatedCoinbase
from ordertape.simulator.coinbase_keys import DEMO_KEYS
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader

__all__ = ["EXCHANGE", "PRODUCT", "Truth", "tape_against"]

EXCHANGE, PRODUCT = "coinbase", "BTC-USD"
KEPT = 100_000
"""Messages back that the exchange can tell a book of."""
ON_ITS_WAY_NS = 1_500_000_000
"""A busy machine lets a message wait so long between venue and collector."""
Answer = TypeVar("Answer")


class Truth:
    """A venue that says things, and every message of it by number: (when, ns; text)."""

    def __init__(self, *, rate: int = 400, orders: int = 300, seed: int = 7) -> None:
        self._rate, self._orders, self._seed = rate, orders, seed
        self.said: dict[int, tuple[int, bytes]] = {}
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self.venue: SimulatedCoinbase
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.venue = SimulatedCoinbase(
            self._seed, rate=self._rate, keep=KEPT, live_orders=self._orders
        )
        async with self.venue:
            product, said = self.venue.face.products[PRODUCT], self.said

            class Reader:
                def send(self, text: bytes) -> None:
                    # A trade of a hidden order is two messages that are made before either is sent.
                    said[_number(text)] = (time.time_ns(), text)

            product.readers.append(cast("Any", Reader()))
            self._ready.set()
            await self._stop.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def late_ns(self) -> int:
        """How far the venue's time is behind the wall's."""
        return time.time_ns() - self.venue.clock.exchange.now_ns

    @property
    def environment(self) -> dict[str, str]:
        """What leads a collector here."""
        return {
            "ORDERTAPE_COINBASE_WS_URL": self.venue.url,
            "ORDERTAPE_COINBASE_REST_URL": self.venue.rest_url,
            "COINBASE_API_KEY": DEMO_KEYS.key,
            "COINBASE_API_SECRET": DEMO_KEYS.secret,
            "COINBASE_API_PASSPHRASE": DEMO_KEYS.passphrase,
        }

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """Asked in the venue's thread, between two of its steps."""
        future: Future[Answer] = Future()

        def answer() -> None:
            try:
                future.set_result(question())
            except BaseException as error:  # raised where it was asked
                future.set_exception(error)

        self._loop.call_soon_threadsafe(answer)
        return future.result(60)

    def forget(self) -> None:
        """What was said so far is of no interest any more."""
        self.ask(self.said.clear)

    def digest_at(self, number: int) -> str | None:
        """Of the true book; None where it can't be told."""

        def digest() -> str | None:
            try:
                return self.venue.face.products[PRODUCT].digest_at(number)
            except LookupError:
                return None

        return self.ask(digest)


def _number(text: bytes) -> int:
    return int(json.loads(text)["sequence"])


# The tape against it ------------------------------------------------------------------------------


def tape_against(truth: Truth, data: Path, *, durable: int = 0, books: int = 12) -> list[str]:
    """What a tape has that was never said, lacks of what was said, or has twice, in words.

    ``durable``: the tape was told to have at least so much.  ``books``: how many rebuilt books of
    each era are compared with the exchange's own.
    """
    return _Comparison(truth, books).run(data, durable)


class _Era:
    """Events between two CLEARs, as the tape has them."""

    def __init__(self, clear: int, number: int, ts: int) -> None:
        self.clear, self.number, self.began = clear, number, ts
        """``number``: the venue's, of the whole book that the era began with."""
        self.ends = ts
        self.rows: dict[int, list[dict[str, Any]]] = {}
        self.places: list[tuple[int, str]] = []
        """(the venue's number, digest of the rebuilt book behind it)."""


class _Comparison:
    def __init__(self, truth: Truth, books: int) -> None:
        self.truth, self._books = truth, books
        self.wrong: list[str] = []
        self._eras: list[_Era] = []
        self._holes: list[tuple[int, int]] = []
        self._gaps: list[dict[str, Any]] = []
        self._seq = 0

    def run(self, data: Path, durable: int) -> list[str]:
        book = OrderBook(codec="uuid")
        for item in TapeReader(data, EXCHANGE, PRODUCT).items():
            if isinstance(item, EventBatch):
                self._take(item, book)
            elif isinstance(item, Mark) and item.kind == "gap":
                self._gap(item)
        if self._seq < durable:
            self._say(f"{durable} was durable, the tape ends at {self._seq}")
        said = self.truth.ask(lambda: dict(self.truth.said))
        for era in self._eras:
            self._era(era, said)
        for before, after in zip(self._eras, self._eras[1:], strict=False):
            self._between(before, after, said)
        return self.wrong[:6]

    def _say(self, what: str) -> None:
        self.wrong.append(what)

    def _gap(self, mark: Mark) -> None:
        self._gaps.append(mark.fields)
        if "missing_from" in mark.fields:
            self._holes.append((mark.fields["missing_from"], mark.fields["missing_to"]))
            self._seq = max(self._seq, mark.fields["missing_to"])

    def _take(self, batch: EventBatch, book: OrderBook) -> None:
        seqs, numbers = _column(batch, "seq"), _column(batch, "venue_seq")
        flags, kinds = _column(batch, "flags"), _column(batch, "kind")
        for row in range(len(batch)):
            inside = bool(flags[row] & Flag.SNAPSHOT)
            if not inside:
                self._seq += 1
            if seqs[row] != self._seq:
                self._say(f"seq {seqs[row]} where {self._seq} was due")
                self._seq = seqs[row]
            if kinds[row] == EventKind.CLEAR:
                event = batch[row]
                self._eras.append(_Era(seqs[row], numbers[row], event["ts_recv"]))
            elif not inside and self._eras:
                self._eras[-1].rows.setdefault(numbers[row], []).append(dict(batch[row]))
                self._eras[-1].ends = batch[row]["ts_recv"]
        complete = batch.last_complete()
        book.apply(batch)
        if self._eras and complete == len(batch) > 0:
            number = numbers[-1] if numbers[-1] != NULL else self._eras[-1].number
            places = self._eras[-1].places
            if number != NULL:
                places.append((number, book.digest()))
                if len(places) > self._books:
                    del places[len(places) // 2]

    def _era(self, era: _Era, said: dict[int, tuple[int, bytes]]) -> None:
        if era.number == NULL:
            self._say(f"the CLEAR {era.clear} has no number of the venue")
            return
        for number in range(era.number + 1, max(era.rows, default=era.number) + 1):
            if number not in said:
                self._say(f"number {number} is on the tape and was never said")
                continue
            found = era.rows.get(number, [])
            if not self._is_in_a_hole(era, number):
                self._message(number, json.loads(said[number][1], parse_float=Decimal), found)
        for number, digest in era.places:
            expected = self.truth.digest_at(number)
            if expected is not None and expected != digest and not self._holes:
                self._say(f"the book rebuilt at {number} is not the exchange's")

    def _is_in_a_hole(self, era: _Era, number: int) -> bool:
        """Whether what should stand there is told to be missing."""
        if not self._holes or number in era.rows:
            return False
        before = max((r[-1]["seq"] for n, r in era.rows.items() if n < number), default=era.clear)
        after = min((r[0]["seq"] for n, r in era.rows.items() if n > number), default=self._seq)
        return any(low <= after and before < high + 1 for low, high in self._holes)

    def _message(self, number: int, said: dict[str, Any], found: list[dict[str, Any]]) -> None:
        kinds = [EventKind(row["kind"]) for row in found]
        due = {"open": [EventKind.OPEN], "match": [EventKind.MATCH]}.get(said["type"], kinds[:1])
        rest = kinds[len(due) :]
        # A maker that is emptied ends, a resting taker changes: both are ours, not the venue's.
        ours = {EventKind.DONE, EventKind.CHANGE} if said["type"] == "match" else set()
        if kinds[: len(due)] != due or not set(rest) <= ours or len(set(rest)) != len(rest):
            self._say(f"number {number} is {[k.name for k in kinds]} on the tape, said was {said}")
            return
        if not found:
            return
        row = found[0]
        order = said["maker_order_id"] if said["type"] == "match" else said["order_id"]
        sizes = {"open": "remaining_size", "match": "size", "change": "new_size"}
        size = said.get(sizes.get(said["type"], ""))
        same = row["order_id"] == order and row["side"] == (said["side"] == "sell")
        same = same and (size is None or Decimal(size) == row["size"])
        if said["type"] in ("open", "match"):
            same = same and Decimal(said["price"]) == row["price"]
        if not same:
            self._say(f"number {number} is {row} on the tape, said was {said}")

    def _between(self, before: _Era, after: _Era, said: dict[int, tuple[int, bytes]]) -> None:
        """A gap row must lead from the last event of an era to the book that heals it, or beyond:
        where that book was lost again before its row was safe, the next one heals the same gap."""
        last = max(before.rows, default=before.number)
        lost = [said[n][0] for n in range(last + 1, after.number + 1) if n in said]
        healing = [
            gap
            for gap in self._gaps
            if gap["healed_by"] == after.clear
            or (gap["to_ns"] is not None and gap["from_ns"] <= after.began < gap["to_ns"])
        ]
        if not healing:
            self._say(f"no gap row is healed by the CLEAR {after.clear}: {self._gaps[-3:]}")
            return
        # One that began with this very book is of what was lost behind it.
        own = [gap for gap in healing if gap["healed_by"] == after.clear]
        gap = (own or healing)[-1]
        if not gap["reason"]:
            self._say(f"the gap before the CLEAR {after.clear} says no reason")
        if lost and not (
            gap["from_ns"] <= lost[0] + ON_ITS_WAY_NS and lost[-1] <= gap["to_ns"] + ON_ITS_WAY_NS
        ):
            self._say(f"the gap {gap} does not cover what was lost from {lost[0]} to {lost[-1]}")


def _column(batch: EventBatch, name: str) -> list[int]:
    column = batch.column(name)
    return [NULL] * len(batch) if column is None else memoryview(column).tolist()
