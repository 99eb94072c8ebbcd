"""Coinbase Exchange's `full` channel: every order of a product, with the sync rule.

Source: docs.cdp.coinbase.com, exchange, "websocket-feed/channels", "overview", "errors",
"get-product-book".  Each message of a product counts one further; the whole book comes over REST.
What a message means to the book is the engine's (``engine/src/coinbase``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from ordertape import limits
from ordertape._engine import CoinbaseFeed, CoinbaseSnapshot, EventBatch, OrderBook
from ordertape.errors import NumberRefused
from ordertape.settings import Credentials
from ordertape.times import NS_PER_MILLISECOND
from ordertape.venues import coinbase_wire as wire
from ordertape.venues.coinbase_audit import CoinbaseAudit
from ordertape.venues.coinbase_auth import request_headers, subscribe_fields
from ordertape.venues.coinbase_control import Control, is_subscriptions
from ordertape.venues.coinbase_queue import Queue
from ordertape.venues.coinbase_request import AUDIT, REFUSED, BookRequests
from ordertape.venues.session import (
    Action,
    Audit,
    Fault,
    Fetch,
    Foreign,
    Outcome,
    Proofs,
    chained,
    faulted,
)
from ordertape.venues.texts import is_number, shown

__all__ = ["CoinbaseSession"]

_NOTHING, _SEQUENCED, _HEARTBEAT, _CONTROL, _GAP, _DESYNC, _UNREADABLE = range(7)
"""What the engine says of a frame that is no message in step."""


class Phase(Enum):
    """How far the book has come."""

    WAITING = "waiting"
    """For a snapshot; messages are kept."""
    FILLING = "filling"
    """The snapshot is the book; its orders, then the messages kept, are handed out."""
    FOLLOWING = "following"
    """Each message changes the book as it comes."""


class CoinbaseSession:
    """One product of Coinbase on one connection; a ``VenueSession``."""

    silence_ms = limits.coinbase_silence_ms
    crossed_commits_max = limits.coinbase_crossed_commits_max
    gathers = True
    kept_since = None
    """What is kept is kept while no book stands: a gap is open."""

    def __init__(
        self, symbol: str, book: OrderBook, credentials: Credentials | None = None
    ) -> None:
        self.market = f"{wire.CAPABILITY.exchange} {symbol}"
        self.symbol, self.book = symbol, book
        self._credentials = credentials
        self.next_seq = book.seq + 1
        self.counters: Counter[str] = Counter()
        self._control = Control(self.market, symbol, self._hidden)
        self.feed = self._make_feed(book)
        self._take: Callable[[bytes, int], bool | tuple[int, int, str] | None] = self.feed.take
        self._audit: CoinbaseAudit | None = None
        self._queue = Queue(self.counters)
        self._requests = BookRequests(self.market, symbol, book, self.counters, self._hidden)
        self.opened()

    def _make_feed(self, book: OrderBook) -> CoinbaseFeed:
        return CoinbaseFeed(
            book,
            self.symbol,
            emptied_max=limits.emptied_orders_max,
            gather_rows=limits.gather_events_max,
            gather_ns=limits.gather_ms_max * NS_PER_MILLISECOND,
        )

    # The connection -------------------------------------------------------------------------------
    def opened(self, now: int = 0, /) -> list[bytes]:
        self._begin(None)
        self._requests.opened()
        fields = subscribe_fields(self._credentials, now) if self._credentials else {}
        return [wire.subscribe(self.symbol, fields)]

    def closed(self) -> None:
        self._begin(None)

    def resync(self) -> list[bytes]:
        """A new snapshot; on the socket nothing has to be asked for."""
        if self._phase is not Phase.WAITING:
            self._begin(self.feed.last)
        return []

    def _begin(self, needed: int | None) -> None:
        """No book stands: messages are kept from here on."""
        self.feed.discard()
        self._queue.begin(needed)
        self._phase, self._follows = Phase.WAITING, False
        self._rows: EventBatch | None = None
        self._ahead: tuple[CoinbaseSnapshot, int] | None = None
        """A book that the messages have not reached, and ns when it came."""
        self.busy = False
        self._end_audit()

    def begins(self, text: bytes) -> bool:
        return is_subscriptions(text)

    def stalled(self, _: int) -> str | None:
        """Silence alone says it: heartbeats prove that nothing was lost."""
        return None

    @property
    def foreign(self) -> set[Foreign]:
        return self._control.foreign

    @property
    def waits_until(self) -> int:
        return self._requests.waits_until

    @property
    def window_counters(self) -> dict[str, int]:
        return self.feed.counters

    @property
    def proofs(self) -> Proofs:
        return Proofs(sequence=True, checksum=False, venue_time=True)

    # Frames ---------------------------------------------------------------------------------------
    def frame(self, text: bytes, ts_recv: int, /) -> Outcome | None:
        if not self._follows:
            return self._keep(text, ts_recv)
        take = self._take  # a local: a method call on an attribute is slower
        try:
            told = take(text, ts_recv)
        except REFUSED as error:
            return chained(self.flush(), self._refused(error, text))
        if told is None:
            return None
        if isinstance(told, bool):
            return self.flush()
        return chained(self.flush(), self._told(told, text, ts_recv))

    def flush(self) -> Outcome | None:
        batch = self.feed.finish(self.next_seq)
        if batch is None:
            return None
        self.next_seq = batch.last_seq + 1
        return Outcome(batch)

    def _told(self, notice: tuple[int, int, str], text: bytes, ts_recv: int) -> Outcome | None:
        """A frame that the book did not follow."""
        what, _, sentence = notice
        if what == _CONTROL:
            return self._on_control(text)
        if what == _GAP:
            # The message that shows the gap is the first one kept for the next book.
            self._begin(None)
            self._keep(text, ts_recv)
            return Outcome(fault=Fault(Action.RESYNC, sentence, missing=True))
        if what == _UNREADABLE:
            # Its number is not known: the next book must reach the message that comes after it.
            self._begin(None)
            return self._unreadable(sentence, text)
        self._begin(self.feed.last + 1)  # the next book holds it
        reason = f"the book is not the venue's: {sentence}"
        return Outcome(fault=Fault(Action.RESYNC, reason, was_wrong=True))

    def _keep(self, text: bytes, ts_recv: int) -> Outcome | None:
        """A frame while no book stands, or while it is being filled."""
        what, sequence, sentence = self.feed.peek(text)
        whole = True
        if what == _SEQUENCED:
            whole = self._queue.add(sequence, text, ts_recv)
        elif what == _HEARTBEAT:
            whole = self._queue.heartbeat(sequence, has_book=self._phase is Phase.FILLING)
        elif what == _CONTROL:
            return self._on_control(text)
        elif what == _UNREADABLE:
            self._queue.begin(None)
            whole = False
        if whole or self._phase is Phase.WAITING:
            return None if what != _UNREADABLE else self._unreadable(sentence, text, Action.NOTE)
        # The book that was being filled misses something.
        self._phase, self._rows, self.busy = Phase.WAITING, None, False
        self.feed.discard()
        reason = sentence or "messages are missing behind the snapshot"
        return Outcome(fault=Fault(Action.RESYNC, reason, missing=True))

    def _unreadable(self, sentence: str, text: bytes, action: Action = Action.RESYNC) -> Outcome:
        kept = self._hidden(text.decode("utf-8", "replace")).encode()
        return Outcome(fault=Fault(action, f"unreadable message: {sentence}", kept))

    def _refused(self, error: Exception, text: bytes) -> Outcome:
        """A number or an id that the engine can't hold."""
        self._begin(self.feed.last + 1)
        if isinstance(error, NumberRefused):
            error.market = self.market
            if is_number(error.text):
                return faulted(Action.FAIL, shown(str(error)))
            return self._unreadable(shown(str(error)), text)
        return faulted(Action.FAIL, f"{self.market}: {shown(str(error))}")

    def _on_control(self, text: bytes) -> Outcome | None:
        """``subscriptions``, which must hold ours, or an ``error``."""
        found = self._control.on_message(text)
        return self._unreadable(found, text, Action.NOTE) if isinstance(found, str) else found

    def _hidden(self, text: str) -> str:
        return self._credentials.hidden(text) if self._credentials is not None else text

    # The snapshot ---------------------------------------------------------------------------------
    def tick(self, now: int, /) -> Outcome | None:
        """Asks for a snapshot where one is due; hands out what it led to, a slice at a time."""
        if self._follows:
            return self.flush() if self._audit is None else self._audited(self._audit.step())
        if self._phase is Phase.FILLING:
            return self._fill()
        if self._ahead is not None:
            return self._adopt_reached(*self._ahead, now)
        return self._requests.ask(now) if self._queue.needed is not None else None

    def request_headers(self, fetch: Fetch, now: int, /) -> dict[str, str]:
        if self._credentials is None:
            return {}
        return request_headers(self._credentials, now, fetch.path)

    def answer(
        self, fetch: Fetch, status: int, headers: Mapping[str, str], body: Any, now: int, /
    ) -> Outcome | None:
        if fetch.path != self._requests.path:
            return None
        if fetch.what == AUDIT:
            return self._on_audit(status, body, now)
        found = self._requests.answered(status, headers, body, now)
        if self._phase is not Phase.WAITING:
            return None
        return self._adopt(found, now) if isinstance(found, CoinbaseSnapshot) else found

    def _adopt(self, snapshot: CoinbaseSnapshot, now: int) -> Outcome | None:
        """The book begins with the snapshot, where it reaches the messages kept."""
        if self._queue.needed is not None and snapshot.sequence < self._queue.needed:
            self._requests.too_old(now)
            if self._queue.contradicted:  # what follows is enough to begin from
                self.counters["queues begun anew"] += 1
                self._queue.begin(None)
            return None
        if self._queue.last is None or self._queue.last < snapshot.sequence:
            # It may be of another count, whose number the venue's messages never reach: they would
            # all pass for late.
            self._ahead = self._ahead or (snapshot, now)
            return None
        self._ahead = None
        self._requests.done()
        self._queue.drop_through(snapshot.sequence)
        try:
            self._rows = self.feed.adopt(snapshot, self.next_seq, now)
        except REFUSED as error:  # numbers of both that no scale holds
            return faulted(Action.FAIL, f"{self.market}: {shown(str(error))}")
        self.next_seq = self._rows.last_seq + 1
        self._phase, self.busy, self._at = Phase.FILLING, True, 0
        return self._fill()

    def _adopt_reached(self, snapshot: CoinbaseSnapshot, since: int, now: int) -> Outcome | None:
        """Where the messages, or what a heartbeat says of them, have come to it by now."""
        if self._queue.last is not None and self._queue.last >= snapshot.sequence:
            self._ahead = None
            return self._adopt(snapshot, now)
        if now - since > limits.snapshot_ahead_ms_max * NS_PER_MILLISECOND:
            self._ahead = None
            self.counters["snapshots that no message reached"] += 1
            self._requests.postpone(now)
        return None

    def _fill(self) -> Outcome:
        """The next orders of the snapshot, then the next messages behind it."""
        rows = self._rows
        if rows is None:
            return self._catch_up()
        begin, self._at = self._at, self._at + limits.sync_slice_rows
        part = rows[begin : self._at]
        if self._at < len(rows):
            return Outcome(part, partial=True)
        self._rows = None
        if self._queue.messages:
            return Outcome(part, synced=True, behind=True)
        self._follow()
        return Outcome(part, synced=True)

    def _catch_up(self) -> Outcome:
        """Messages that came while the snapshot was on its way."""
        for _ in range(min(limits.sync_slice_messages, len(self._queue.messages))):
            _, text, ts_recv = self._queue.pop()
            try:
                told = self.feed.take(text, ts_recv)
            except REFUSED as error:
                return chained(self.flush(), self._refused(error, text)) or Outcome()
            if isinstance(told, tuple):
                return chained(self.flush(), self._told(told, text, ts_recv)) or Outcome()
        outcome = self.flush() or Outcome()
        if not self._queue.messages:
            self._follow()
            outcome.caught_up = True
        return outcome

    def _follow(self) -> None:
        self._phase, self._follows, self.busy = Phase.FOLLOWING, True, False

    # The audit ------------------------------------------------------------------------------------
    def audit(self, _: int, /) -> Outcome | None:
        if not self._follows:
            return None
        self._audit = CoinbaseAudit(self.feed, self.book, self._make_feed)
        self._take = self._take_recorded
        return Outcome(fetch=self._requests.fetch(AUDIT))

    def _take_recorded(self, text: bytes, ts_recv: int, /) -> bool | tuple[int, int, str] | None:
        told = self.feed.take(text, ts_recv)
        # What the live book does not follow is nothing that the venue's could.
        if self._audit is not None and not isinstance(told, tuple):
            self._audit.record(text, ts_recv)
        return told

    def _on_audit(self, status: int, body: Any, now: int) -> Outcome | None:
        if self._audit is None:
            return None
        found = self._requests.read(status, body)
        if isinstance(found, str):
            return self._audited(Audit(None, found))
        return self._audited(self._audit.hand_over(found, now))

    def _audited(self, audit: Audit | None) -> Outcome | None:
        """What has gathered, and the end of the audit where it has come to one."""
        if audit is None:
            return self.flush()
        if audit.equal and audit.detail:
            self.counters[f"audits whose {audit.detail}"] += 1
        self._end_audit()
        return chained(self.flush(), Outcome(audit=audit))

    def _end_audit(self) -> None:
        self._audit = None
        self._take = self.feed.take
