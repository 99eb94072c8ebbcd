"""What must hold of a stream under every fault: the judges of a world."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from decimal import Decimal
from typing import Any

from campaign.world import CREDENTIALS, MS, SECOND, START_NS, Judge, World
from ordertape._engine import NULL, OrderBook
from ordertape.events import EventKind, Flag
from ordertape.simulator.bitfinex_window import WindowState
from ordertape.simulator.faults_rules import Kind
from ordertape.stream.state import StreamState

SILENCE_MS = {"bitfinex": 30_000, "coinbase": 5_000}
"""A LIVE book may be as old as this."""
AUDITED = 100
"""Orders a side that Bitfinex shows over REST."""
COVERED = 25
"""Orders a side in its checksum."""
IN_FLIGHT = 200 * MS
"""Longer no text is on its way, unless a fault holds it."""
_HISTORY = re.compile(rb"\[\d+,\[\[\d+,\d{13},")
_TIME = re.compile(rb",(\d{13})\]$")


class Watch(Judge):
    """Compares a LIVE book with the oracle, and its age with the limit.

    ``every``: every so many texts, and always the first after going LIVE.
    """

    def __init__(self, every: int = 8) -> None:
        self.every = every
        self.compared = 0
        self.revealed = 0
        """Texts that showed a loss or a wrong book: none of them may leave the stream LIVE."""
        self.wrong: list[str] = []
        self.wrong_at: list[tuple[int, bool]] = []
        """When (the stream's clock) a LIVE book was another than the venue's, up to a resync; and
        whether only below what a checksum covers."""
        self.wrong_now: list[tuple[int, bool]] = []
        self._wrong_era = 0
        self._count = 0
        self._was_live = False
        self._book_channel = b""
        self._since = 0
        self.trades: dict[str, tuple[Decimal, int]] = {}
        """Bitfinex: (size, era) of every trade that was heard while LIVE."""
        self._history: set[bytes] = set()
        """Trades of before a subscription, which it repeats."""
        self._connection = 0
        self._next: int | None = None
        self._must_leave = ""

    def ticked(self, world: World) -> None:
        self._was_live = self._was_live and world.live
        if world.live:
            age = world.clock() - world.stream.last_ts
            if age > (SILENCE_MS[world.venue] + 100) * MS:
                self.wrong.append(f"LIVE with a book {age / SECOND:.1f} s old")

    def heard(self, world: World, text: bytes) -> None:
        self._must_leave = ""
        wire = world.wire
        number = world.face.wire.number(text)
        if wire is None or wire.number != self._connection:
            self._connection = wire.number if wire else 0
            self._next = None
        if number is not None and world.coinbase is not None:
            # What a snapshot holds already may come in any order.
            due = world.stream.session.feed.last + 1
            if world.live and number > due:
                self._must_leave = f"number {number} where {due} was due"
        elif number is not None:
            if self._next is not None and number > self._next and world.live:
                self._must_leave = f"number {number} where {self._next} was due"
                self._next = None  # whatever follows is another book's
            elif self._next is None or number >= self._next:
                self._next = number + 1
        if world.bitfinex is not None:
            self._hear_bitfinex(world, text)

    def took(self, world: World, text: bytes) -> None:
        if not self._must_leave:
            return
        self.revealed += 1
        if world.live:
            self._note(world, f"still LIVE after {self._must_leave}")

    def served(self, world: World, text: bytes) -> None:
        self._count += 1
        if self._was_live and self._count % self.every:
            return
        if world.coinbase is not None:
            self._was_live = True
            self._compare_coinbase(world)
        elif b'"cs"' in text and text.startswith(self._book_channel):
            self._was_live = True
            self._compare_bitfinex(world, text)

    def _note(self, world: World, what: str) -> None:
        at = (world.now - START_NS) / SECOND
        if len(self.wrong) < 5:
            self.wrong.append(f"{at:.3f}: {what}")

    def _stretch(self, world: World, equal: bool, deep: bool = False) -> None:
        """What is wrong for a while and then right again by itself nobody could have noticed."""
        era = world.stream.book.era
        if era != self._wrong_era:
            self.wrong_at += self.wrong_now
            self.wrong_now, self._wrong_era = [], era
        if equal:
            self.wrong_now = []
        else:
            self.wrong_now.append((world.clock(), deep))

    def _compare_coinbase(self, world: World) -> None:
        assert world.coinbase is not None
        product = world.coinbase.products["BTC-USD"]
        number = world.stream.session.feed.last
        try:
            expected = product.digest_at(number)
        except LookupError as error:
            self._note(world, f"LIVE at a number that the venue never used: {error}")
            return
        if expected is None:  # in the middle of what one order did
            return
        self.compared += 1
        equal = world.stream.book.digest() == expected
        self._stretch(world, equal)
        if not equal:
            self._note(world, f"LIVE at {number} with another book than the venue's")

    # Bitfinex -------------------------------------------------------------------------------------

    def _hear_bitfinex(self, world: World, text: bytes) -> None:
        lie = (
            b'"cs"' in text and text.startswith(self._book_channel) and self._state_of(world, text)
        )
        if lie and b'"cs",%d,' % lie.checksum not in text:
            self._must_leave = f"the checksum {text!r}"
        if _HISTORY.match(text):
            self._history |= set(re.findall(rb"\[(\d+),\d{13},", text))
        if world.live and (b',"te",' in text or b',"tu",' in text):
            self._hear_trade(world, text)
        if text.startswith(b"{") and b'"subscribed"' in text and b'"book"' in text:
            found = re.search(rb'"chanId":(\d+)', text)
            assert found is not None
            self._book_channel = b"[%s," % found[1]
            self._since = -1
        elif self._since < 0 and text.startswith(self._book_channel) and b'"' not in text:
            found = _TIME.search(text)
            if found:
                self._since = self._place_at(world, int(found[1]))

    def _hear_trade(self, world: World, text: bytes) -> None:
        try:
            trade_id, _, amount, _ = json.loads(text, parse_float=str, parse_int=str)[2]
        except (ValueError, TypeError):  # spoilt on its way
            return
        if trade_id.encode() in self._history:
            return
        self.trades.setdefault(trade_id, (abs(Decimal(amount)), world.stream.book.era))

    def _states(self, world: World) -> Any:
        assert world.bitfinex is not None
        return world.bitfinex.markets["tBTCUSD"].windows[250].states

    def _state_of(self, world: World, text: bytes) -> WindowState | None:
        """What the window held when this frame was made."""
        found = _TIME.search(text)
        time_ms = int(found[1]) if found else 0
        states = reversed(self._states(world))
        return next((state for state in states if state.time_ms == time_ms), None)

    def _place_at(self, world: World, time_ms: int) -> int:
        """The last place told when a snapshot of this time was made."""
        for state in reversed(self._states(world)):
            if state.time_ms <= time_ms:
                return int(state.last_place)
        return 0

    def _compare_bitfinex(self, world: World, text: bytes) -> None:
        state = self._state_of(world, text)
        if state is None:
            return
        self.compared += 1
        book = world.stream.book
        sides = [
            (book.orders(side), [(str(i), Decimal(p), abs(Decimal(a))) for i, p, a in rows])
            for side, rows in enumerate(state.queues(self._since))
        ]
        equal = all(ours == theirs for ours, theirs in sides)
        # What stands deeper the venue's own book does not show.
        shown = all(ours[:AUDITED] == theirs[:AUDITED] for ours, theirs in sides)
        deep = all(ours[:COVERED] == theirs[:COVERED] for ours, theirs in sides)
        self._stretch(world, shown, deep)
        if not equal:
            self._note(world, f"LIVE at {state.time_ms} with another window than the venue's")


def told_truth(world: World) -> dict[int, bytes]:
    """Coinbase: a reader that nothing happens to; its messages by their number."""
    assert world.coinbase is not None
    product = world.coinbase.products["BTC-USD"]
    truth: dict[int, bytes] = {}

    class Reader:
        def send(self, text: bytes) -> None:
            truth[product.sequence] = text

    product.readers.append(Reader())
    return truth


# The tape -----------------------------------------------------------------------------------------


def tape_faults(world: World, truth: dict[int, bytes] | None) -> list[str]:
    """What is wrong with what the stream wrote."""
    world.stream.flush()  # as its connection does whenever no other frame is at hand
    wrong: list[str] = []
    book = OrderBook(codec=world.stream.book.codec)
    expected = 1
    for batch in world.tape.batches:
        if batch.first_seq != expected:
            wrong.append(f"seq {batch.first_seq} where {expected} was due")
        expected = batch.last_seq + 1
        book.apply(batch)
    if book.digest() != world.stream.book.digest():
        wrong.append("the tape does not lead to the live book")
    if truth is not None:
        wrong += _events_faults(world, truth)
    return wrong


def _events_faults(world: World, truth: dict[int, bytes]) -> list[str]:
    """Coinbase: between the first and the last event of an era no open and no match may be missing,
    and none may stand twice."""
    eras: list[dict[int, list[tuple[int, int]]]] = [defaultdict(list)]
    for batch in world.tape.batches:
        kinds, flags = _column(batch, "kind"), _column(batch, "flags")
        numbers = _column(batch, "venue_seq")
        for row in range(len(batch)):
            if kinds[row] == EventKind.CLEAR:
                eras.append(defaultdict(list))
            elif not flags[row] & Flag.SNAPSHOT and numbers[row] != NULL:
                eras[-1][numbers[row]].append((kinds[row], row))
    wrong = []
    for era in eras:
        if not era:
            continue
        for number in range(min(era), max(era) + 1):
            text = truth.get(number, b"")
            told = [kind for kind, _ in era.get(number, ())]
            if text.startswith(b'{"type":"open"'):
                due = [EventKind.OPEN]
            elif text.startswith(b'{"type":"match"'):
                due = [EventKind.MATCH]
            else:
                due = told[:1]  # received, done or change: at most one event
            if told[: len(due)] != due or len(told) > len(due) + (due == [EventKind.MATCH]):
                wrong.append(f"number {number} is {told} on the tape, told was {text[:60]!r}")
    return wrong[:5]


def _column(batch: Any, name: str) -> list[int]:
    column = batch.column(name)
    return [NULL] * len(batch) if column is None else memoryview(column).tolist()


def trade_faults(world: World, watch: Watch) -> list[str]:
    """Bitfinex: of each trade the tape has no more than was traded; of those of the last era, where
    there was time to tell what they met, all of it."""
    told: dict[str, Decimal] = defaultdict(Decimal)
    for batch in world.tape.batches:
        kinds, sizes = _column(batch, "kind"), _column(batch, "size")
        for row, trade_id in enumerate(batch.id_texts("trade_id")):
            if trade_id is not None and kinds[row] in (EventKind.MATCH, EventKind.TRADE):
                told[trade_id] += Decimal(sizes[row]).scaleb(-batch.size_scale)
    wrong = []
    for trade_id, (size, era) in watch.trades.items():
        missing = era == world.stream.book.era and told[trade_id] != size
        if told[trade_id] > size or missing:
            wrong.append(f"trade {trade_id} of {size} in era {era} is {told[trade_id]} on the tape")
    return wrong[:5]


# Gaps ---------------------------------------------------------------------------------------------


def gap_faults(world: World, ends: StreamState) -> list[str]:
    """Every loss must lie in a gap row; every gap row must be healed, unless the stream ended."""
    gaps = world.tape.gaps()
    wrong = []
    if ends is StreamState.LIVE:
        wrong += [f"a gap that nothing healed: {reason}" for _, to, reason in gaps if to is None]
    slack = IN_FLIGHT + sum(
        int(injected.detail.split()[0]) * MS
        for injected in world.plan.log
        if injected.kind is Kind.DELAY
    )
    eras = [mark.ts for mark in world.tape.marks if mark.kind == "era"]
    for injected in world.plan.losses():
        if injected.first is None or injected.kind is Kind.CORRUPT:
            continue  # a spoilt text is no lost one: see silent_faults
        for at in {injected.time_ns, injected.until_ns}:
            known = at + world.skew(at)
            if not any(era <= known for era in eras):
                continue  # no book was ever known
            if not any(
                begin <= known + slack and (to is None or known <= to) for begin, to, _ in gaps
            ):
                wrong.append(f"no gap covers {injected}")
    return wrong


def silent_faults(world: World, watch: Watch) -> list[str]:
    """Of losses that nothing reveals at once: every moment at which a LIVE book was wrong, up to
    the resync that ended it, must lie in a gap row."""
    gaps = world.tape.gaps()
    if watch.wrong_now:
        return [f"still wrong since {(watch.wrong_now[0][0] - START_NS) / SECOND:.3f}"]
    wrong = []
    for at, deep in watch.wrong_at:
        if any(begin <= at and to is not None and at <= to for begin, to, _ in gaps):
            continue
        following = next((reason for begin, _, reason in gaps if begin > at), "")
        # An order that is wrong further down, and then comes up to where the checksum sees it.
        if not (deep and "checksum" in following):
            wrong.append(f"wrong at {(at - START_NS) / SECOND:.3f}, in no gap row of {gaps}")
    return wrong[:2]


def secret_faults(world: World) -> list[str]:
    """No text that people may read shows a credential."""
    texts = [*world.stream.errors, world.stream.reason, repr(world.tape.marks)]
    texts += [str(kept) for kept in world.stream.quarantine.__dict__.values()]
    secrets = (CREDENTIALS.secret, CREDENTIALS.passphrase, CREDENTIALS.key)
    return [f"a credential in {text[:80]!r}" for text in texts if any(s in text for s in secrets)]
