"""Bitfinex raw books (precision R0) over WebSocket v2: parser and sync rule.

Source: docs.bitfinex.com, "WebSocket: general", "raw books", "trades", "checksum".  A raw book
shows the best ``len`` orders a side.  With our flags ``cs`` closes each iteration of the book: then
its statements are committed, the window rule is applied and the checksum compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook, WindowResolver
from ordertape.errors import IdRefused, NumberRefused
from ordertape.settings import Credentials
from ordertape.times import NS_PER_MILLISECOND
from ordertape.venues import bitfinex_wire as wire
from ordertape.venues.bitfinex_audit import BitfinexAudit, audit_path
from ordertape.venues.bitfinex_control import BOOK_LENGTHS, Control
from ordertape.venues.capability import Capability
from ordertape.venues.session import (
    Action,
    Audit,
    Checksum,
    Fault,
    Fetch,
    Foreign,
    Outcome,
    Proofs,
    chained,
)

__all__ = ["CAPABILITY", "BitfinexSession"]

CAPABILITY = Capability(
    exchange="bitfinex",
    feed="raw book R0 and trades, WebSocket v2",
    symbols="BTC/USDT (tBTCUST), AVAX/USD (tAVAX:USD)",
    credentials="none",
    depth=f"the best {BOOK_LENGTHS[0]} orders a side ({BOOK_LENGTHS[1]} where that is refused)",
    sequence="all frames of a connection; not the matching engine's",
    checksum="ids and sizes of the best 25 a side; no price, nothing below",
    event_time="milliseconds, when the venue made the frame",
    end_reasons="none; fills are inferred from trades, leaving the window is told apart by rank",
    trade_link="none; inferred by price, size and time",
    commit="the checksum frame that closes an iteration of the book",
)


_Handler = Callable[[wire.Arrival], Outcome | None]
_AT_CHECKSUM = wire.CommitRule.CHECKSUM
_UNKNOWN: Final = -1
"""No sequence is expected."""
_OK: Final = 200
_NO_HEAD: Final = b"\0"
"""No frame begins so."""
_COMMIT_SILENCE_NS: Final = limits.commit_silence_ms * NS_PER_MILLISECOND
_COMMIT_OPEN_NS: Final = limits.commit_open_ms_max * NS_PER_MILLISECOND
_HORIZON_NS: Final = limits.attribution_horizon_ms * NS_PER_MILLISECOND


class _TailError(Exception):
    """The tail of a frame shows that something is lost."""


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_FAULTS = (_TailError, IdRefused, OverflowError, ValueError, *_UNREADABLE)
"""What a frame can raise: a NumberRefused is a ValueError."""


def _closing(batch: EventBatch | None, sent: int, ours: int) -> Outcome:
    return Outcome(batch, False, Checksum(sent, ours))


class BitfinexSession:
    """One market of Bitfinex on one connection; a ``VenueSession``."""

    silence_ms = limits.silence_stale_ms
    crossed_commits_max = limits.crossed_commits_max
    waits_until = 0
    busy = False
    gathers = False

    def __init__(self, symbol: str, book: OrderBook, _: Credentials | None = None) -> None:
        self.market = f"{CAPABILITY.exchange} {symbol}"
        self.book = book
        self.counters: Counter[str] = Counter()
        self.resolver = WindowResolver(
            book,
            orders_per_side=BOOK_LENGTHS[0],
            horizon_ns=_HORIZON_NS,
            evicted_max=limits.evicted_orders_max,
            trades_max=limits.waiting_trades_max,
            closed=_closing,
            otherwise=self._frame,
        )
        self.frame: Callable[[bytes, int], Outcome | None] = self.resolver.frame
        self._put, self._remove = self.resolver.put, self.resolver.remove
        self._commit_statements, self._top_crc32 = self.resolver.commit, book.top_crc32
        self._audit_fetch = Fetch(audit_path(symbol), "audit")
        self._control = Control(self.market, wire.pair(symbol), self, self.counters)
        self.opened()

    @property
    def next_seq(self) -> int:
        return self.resolver.next_seq

    @next_seq.setter
    def next_seq(self, seq: int) -> None:
        self.resolver.next_seq = seq

    # The connection -------------------------------------------------------------------------------
    def opened(self, _: int = 0, /) -> list[bytes]:
        self.closed()
        self.rule = wire.commit_rule(0)
        self._granted = 0
        self.resolver.expected_seq = _UNKNOWN
        self._book = -1
        self._channels: dict[int, _Handler] = {}
        self._early: dict[int, list[wire.Arrival]] = {}
        self._early_frames = self._early_bytes = 0
        self._last_time: int | None = None
        self._adding = False
        self.resolver.heard_at = self.resolver.closed_at = 0
        self.resolver.trade_head = _NO_HEAD
        return self._control.opened()

    def closed(self) -> None:
        """Forgets the statements of a message that will never be complete."""
        self.resolver.discard()
        self._audit: BitfinexAudit | None = None
        self._awaits_snapshot = True
        self.resolver.row_head = _NO_HEAD

    def resync(self) -> list[bytes]:
        self.closed()
        return self._control.resubscribe()

    def flush(self) -> Outcome | None:
        """A message is complete with its checksum, and no sooner."""
        return None

    def answer(
        self, _: Fetch, status: int, _headers: Mapping[str, str], body: Any, now: int, /
    ) -> Outcome | None:
        """Only audits ask: the snapshot comes on the socket."""
        if self._audit is None:
            return None
        if status != _OK:
            said = str(body) if status == 0 else f"status {status}"
            return self._audited(Audit(None, wire.shown(said)))
        return self._audited(self._audit.read(body, now))

    def audit(self, _: int = 0, /) -> Outcome | None:
        if self._awaits_snapshot:
            return None
        self._audit = BitfinexAudit(self.book)
        return Outcome(fetch=self._audit_fetch)

    def _audited(self, audit: Audit | None) -> Outcome | None:
        if audit is None:
            return None
        self._audit = None
        return Outcome(audit=audit)

    def request_headers(self, _: Fetch, _now: int, /) -> dict[str, str]:
        return {}

    def begins(self, text: bytes) -> bool:
        return wire.is_greeting(text)

    def stalled(self, now: int) -> str | None:
        """A book channel without its heartbeat (every 15 s of silence) while others go on, or one
        whose `subscribed` never came, although the venue speaks on it."""
        for arrivals in self._early.values():
            waited_ms = (now - arrivals[0].ts_recv) // NS_PER_MILLISECOND
            if waited_ms > limits.subscribe_timeout_ms:
                return f"frames of a channel that was not subscribed for {waited_ms} ms"
        silent_ms = (now - self.resolver.heard_at) // NS_PER_MILLISECOND
        if self._awaits_snapshot or silent_ms <= limits.silence_stale_ms:
            return None
        return f"no frame and no heartbeat of the book for {silent_ms} ms"

    @property
    def kept_since(self) -> int | None:
        """Trades, where the `subscribed` of their channel was lost."""
        return min((kept[0].ts_recv for kept in self._early.values()), default=None)

    @property
    def foreign(self) -> set[Foreign]:
        return self._control.foreign

    @property
    def window_counters(self) -> dict[str, int]:
        return self.resolver.counters

    @property
    def proofs(self) -> Proofs:
        return Proofs(
            sequence=bool(self._granted & wire.SEQ_ALL),
            checksum=self.rule is _AT_CHECKSUM,
            venue_time=bool(self._granted & wire.TIMESTAMP),
        )

    # What the control part tells ------------------------------------------------------------------
    def on_granted(self, flags: int) -> None:
        self._granted = flags
        self.rule = wire.commit_rule(flags)

    def on_channel(self, name: str, channel: int, length: int) -> Outcome | None:
        """``subscribed``: frames of the channel that came before it are taken now."""
        if name == "book":
            self.closed()
            self._book = channel
            self.resolver.orders_per_side = length
        if len(self._channels) >= limits.channels_max:
            raise _TailError(f"over {limits.channels_max} channels that we did not ask for")
        handlers: dict[str, _Handler] = {"book": self._on_book, "trades": self._on_trades}
        handler = self._channels[channel] = handlers.get(name, self._ignore)
        if name == "trades":
            self.resolver.trade_head = b"[%d," % channel
        outcomes = []
        for arrival in self._early.pop(channel, ()):
            try:
                outcomes.append(handler(arrival))
            except _FAULTS as error:
                outcomes.append(self._failed(error, arrival.text))
                break
        return chained(*outcomes)

    def leave_channel(self, channel: int) -> None:
        """About to be unsubscribed: what still comes is old."""
        self._channels[channel] = self._ignore

    def off_channel(self, channel: int) -> None:
        """Unsubscribed: its number may come back with another subscription."""
        self._channels.pop(channel, None)

    # Frames ---------------------------------------------------------------------------------------
    def _frame(self, text: bytes, ts_recv: int) -> Outcome | None:
        """What ``frame`` leaves: the engine itself takes what nearly every frame is, in step and
        with every flag: one row of the book, the checksum that closes an iteration, a trade."""
        try:
            text.decode()  # what is passed over must be text, too: no parser looks into it
            if text.lstrip()[:1] == b"{":
                return self._control.on_event(wire.decode_event(text))
            frame = wire.decode_frame(text)
            payload = bytes(frame.payload)
            if payload[:1] == b'"' and payload != b'"hb"':
                tail = frame.third, frame.fourth
            else:
                tail = frame.second, frame.third
            sequence, time = self._advance(wire.integer(tail[0]), wire.integer(tail[1]))
            handler = self._channels.get(frame.channel, self._keep)
            return handler(
                wire.Arrival(text, frame.channel, payload, frame.second, ts_recv, sequence, time)
            )
        except _FAULTS as error:
            return self._failed(error, text)

    def _advance(self, first: int | None, second: int | None) -> tuple[int | None, int | None]:
        """(sequence, venue's time in ns) of a frame's tail.  All channels share one sequence,
        heartbeats and checksums included."""
        sequence = None
        if self._granted & wire.SEQ_ALL:
            sequence, first = first, second
            if sequence is None:
                raise _TailError("a frame without the sequence that was granted")
            expected = self.resolver.expected_seq
            if sequence != expected and expected != _UNKNOWN:
                raise _TailError(f"sequence {sequence}, expected {expected}")
            self.resolver.expected_seq = sequence + 1
        if not self._granted & wire.TIMESTAMP:
            return sequence, None
        if first is None:
            raise _TailError("a frame without the time that was granted")
        return sequence, first * NS_PER_MILLISECOND

    def _failed(self, error: Exception, text: bytes) -> Outcome:
        if isinstance(error, NumberRefused):
            error.market = self.market
        reason = wire.shown(str(error))
        if isinstance(error, _TailError):
            return Outcome(fault=Fault(Action.RECONNECT, reason, missing=True))
        if isinstance(error, NumberRefused) and wire.is_number(error.text):
            return Outcome(fault=Fault(Action.FAIL, reason))
        if isinstance(error, IdRefused):
            return Outcome(fault=Fault(Action.FAIL, f"{self.market}: {reason}"))
        # Its own can't be known: the next frame's is taken as it comes.
        self.resolver.expected_seq = _UNKNOWN
        return Outcome(fault=Fault(Action.RESYNC, f"unreadable frame: {reason}", text))

    def _keep(self, arrival: wire.Arrival) -> Outcome | None:
        """A channel whose `subscribed` has not been seen yet."""
        self._early_frames += 1
        self._early_bytes += len(arrival.text)
        if (
            self._early_frames > limits.frames_before_subscribed_max
            or self._early_bytes > limits.frames_before_subscribed_bytes_max
        ):
            raise _TailError(f"{self._early_frames} frames of channels that nothing subscribed")
        self._early.setdefault(arrival.channel, []).append(arrival)
        return None

    def _ignore(self, _: wire.Arrival) -> Outcome | None:
        self.counters["frames of other channels"] += 1
        return None

    def _count_code(self, code: bytes) -> None:
        self.counters["heartbeats" if code == b'"hb"' else "unknown codes"] += 1

    # The book -------------------------------------------------------------------------------------
    def tick(self, now: int, /) -> Outcome | None:
        """Commits what nothing closed, and trades whose horizon has passed."""
        if self._awaits_snapshot:
            return None
        if self._audit is not None and self._audit.due is not None and now >= self._audit.due:
            self._audit.due = None
            return Outcome(fetch=self._audit_fetch)
        resolver = self.resolver
        if resolver.pending:
            silent = now - resolver.heard_at >= _COMMIT_SILENCE_NS
            if not silent and now - resolver.closed_at < _COMMIT_OPEN_NS:
                return None
        else:
            resolver.closed_at = now
            if now <= resolver.trades_due:
                return None
        batch = self._commit(now)
        return None if batch is None else Outcome(batch)

    def _commit(self, now: int) -> EventBatch | None:
        commit = self._commit_statements
        batch = commit(self.next_seq, now)
        if batch is not None:
            self.next_seq = batch.last_seq + 1
        return batch

    def _close_before(self, removes: bool, ts_recv: int, time: int | None) -> Outcome | None:
        """Commits what stands, where this statement begins the next message."""
        if self.rule is _AT_CHECKSUM:
            return None
        if self.rule is wire.CommitRule.TIME:
            begins = time != self._last_time
        else:
            begins = removes and self._adding
        self._adding, self._last_time = not removes, time
        if not begins or not self.resolver.pending:
            return None
        return Outcome(self._commit(ts_recv))

    def _on_book(self, arrival: wire.Arrival) -> Outcome | None:
        self.resolver.heard_at = arrival.ts_recv
        payload = arrival.payload
        if payload == b'"cs"':
            sent = wire.integer(arrival.second)
            if sent is None:
                raise ValueError("`cs` without its value")
            return self._on_checksum(sent, arrival.ts_recv)
        if payload[:1] == b'"':
            self._count_code(payload)
            return None
        if self._awaits_snapshot:  # the first rows after `subscribed`, whatever their shape
            return self._on_snapshot(arrival)
        rows = wire.rows(payload)
        if not rows:
            return None
        ts_recv, sequence, time = arrival.ts_recv, arrival.sequence, arrival.time
        outcome = self._close_before(rows[0].price == wire.ZERO, ts_recv, time)
        try:
            for order in rows:
                if order.price == wire.ZERO:
                    if not wire.is_number(bytes(order.amount).decode()):
                        raise ValueError(f"the end of order {order.order_id} without an amount")
                    self._remove(order.order_id, ts_recv, time, sequence)
                else:
                    self._put(order.order_id, order.price, order.amount, ts_recv, time, sequence)
        except _FAULTS as error:  # what was committed before these rows stands
            return chained(outcome, self._failed(error, arrival.text))
        self._adding = rows[-1].price != wire.ZERO
        return outcome

    def _on_snapshot(self, arrival: wire.Arrival) -> Outcome:
        ts_recv, sequence, time = arrival.ts_recv, arrival.sequence, arrival.time
        rows = wire.decode_orders(arrival.payload)
        self.resolver.clear(ts_recv, time, sequence)
        for order in rows:
            if wire.is_zero(order.price):
                raise ValueError(f"a snapshot with order {order.order_id} at a price of nothing")
            self._put(order.order_id, order.price, order.amount, ts_recv, time, sequence)
        batch = self._commit(ts_recv)
        self._awaits_snapshot = False
        if self._granted == wire.FLAGS:
            self.resolver.row_head = b"[%d," % self._book
        self._adding, self._last_time = False, None
        return Outcome(batch, synced=True)

    def _on_checksum(self, sent: int, ts_recv: int) -> Outcome | None:
        if self._awaits_snapshot:
            return None
        self.resolver.heard_at = ts_recv
        self.rule = _AT_CHECKSUM
        batch = self._commit(ts_recv)
        return Outcome(batch, False, Checksum(sent, self._top_crc32()))

    # Trades ---------------------------------------------------------------------------------------
    def _on_trades(self, arrival: wire.Arrival) -> Outcome | None:
        """``te`` comes first, ``tu`` repeats it; either may be missing: the id tells repeats.
        A list is the history before the subscription."""
        payload = arrival.payload
        if payload in (b'"te"', b'"tu"'):
            trade = wire.decode_trade(arrival.second)
            self._take_trade(trade, arrival.ts_recv, arrival.sequence)
        elif payload[:1] == b'"':
            self._count_code(payload)
        else:
            for trade in wire.decode_trades(payload):
                self.resolver.known_trade(trade.trade_id)
        return None

    def _take_trade(self, trade: wire.Trade, ts_recv: int, sequence: int | None) -> None:
        """With the time the trade was made, not the frame's: an end can't come before its trade."""
        made = trade.milliseconds * NS_PER_MILLISECOND
        self.resolver.trade(trade.trade_id, trade.amount, trade.price, ts_recv, made, sequence)
