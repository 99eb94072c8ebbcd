"""One market's life: its book, its venue's session, its eras, gaps, marks and proofs.

The stream is handed what happens (a connection opened, a frame, its end, time) and answers with
texts to send and a wish; the sockets are the collector's, the capture is the replay's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from msgspec import Struct

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook
from ordertape.settings import Credentials
from ordertape.stream.gap_kinds import GapKind
from ordertape.stream.integrity import Integrity
from ordertape.stream.quarantine import Quarantine
from ordertape.stream.rates import Rate
from ordertape.stream.record import Record, Recovered, Sink
from ordertape.stream.state import StateMachine, StreamState
from ordertape.times import NS_PER_MILLISECOND, NS_PER_SECOND, iso_from_ns
from ordertape.venues.registry import Venue
from ordertape.venues.session import Action, Audit, Checksum, Fault, Fetch, Outcome

__all__ = ["MarketStream", "Step", "Wish"]

_HAS_BOOK: Final = (StreamState.LIVE, StreamState.STALE)
_NEVER: Final = 1 << 62


class Wish(Enum):
    """What the stream asks of whoever holds its connection."""

    RECONNECT = "reconnect"
    """Close it; connect again after the backoff."""
    END = "end"
    """Close it; the stream is FAILED."""


class Step(Struct):
    """What the stream asks for: texts to send, in order, and a wish."""

    send: list[bytes] = []
    wish: Wish | None = None
    reason: str = ""
    fetch: Fetch | None = None
    """A REST request; its answer goes to ``on_answer``."""
    wait_ms: int = 0
    """No sooner than this after it was closed is a connection of use again."""


class MarketStream:
    """All times are ns since 1970 UTC of one clock; they are raised where they run backwards.

    A clock that was set back is caught up with at half its speed: a time that stood still until
    then would hide a silent venue.
    """

    def __init__(
        self,
        venue: Venue,
        symbol: str,
        *,
        sink: Sink | None = None,
        recovered: Recovered | None = None,
        snapshot_interval_seconds: int = limits.snapshot_interval_seconds_default,
        simulated: bool = False,
        credentials: Credentials | None = None,
        audit_interval_seconds: int = limits.audit_interval_seconds_default,
    ) -> None:
        self.venue, self.symbol, self.simulated = venue, symbol, simulated
        there = recovered if recovered is not None and recovered.last_seq else None
        self.book = OrderBook(
            price_scale=there.price_scale if there else None,
            size_scale=there.size_scale if there else None,
            codec=there.codec if there else venue.id_codec,
        )
        self._credentials = credentials
        self.session = venue.make_session(symbol, self.book, credentials)
        self.record = Record(sink, self.session, snapshot_interval_seconds * NS_PER_SECOND)
        self.first_sequence = 1
        self.last_ts = self._now = 0
        self._set_back = (0, 0)
        """The clock, and our time, when it was found to be behind ours."""
        if there is not None:
            self.book.era = there.era
            self.session.next_seq = self.first_sequence = there.last_seq + 1
            self.last_ts = self._now = there.last_ts_recv
            self.record.go_on(there.gap)
        self._machine = StateMachine()
        self._connect_failure = ""
        self._frame = self._refuse_frame
        self._step = Step()
        self._since = self._live_since = self._last_commit = 0
        self._paused_since: int | None = None
        self._resyncs_in_row = 0
        self._audit_interval = audit_interval_seconds * NS_PER_SECOND
        self._audit_at = _NEVER
        self.integrity = Integrity()
        self.quarantine = Quarantine()
        self.rate = Rate(lambda: self.sequence)
        self.errors: deque[str] = deque(maxlen=limits.stream_errors_kept)
        self._last_error = ("", 0)
        """Its text, and how often it came in a row."""
        self.started_at = 0
        self.connected_at: int | None = None
        self.frames = self.frame_bytes = self.connects = self.resyncs = 0

    # What happens ---------------------------------------------------------------------------------
    def start(self, now: int) -> None:
        """Somebody wants it to run: STOPPED or FAILED to CONNECTING."""
        now = self._time(now)
        self._go("start", "asked to run", now)
        self.started_at = now
        if self.simulated and self.sequence == 0:
            self.record.mark("simulated", now, {"simulated": True})
        self.record.lose(GapKind.NOT_COLLECTED, "not collected", self.last_ts, now)

    def on_connect_failed(self, reason: str, now: int) -> None:
        """No connection could be opened: said as long as none is."""
        self._connect_failure = f"can't connect: {reason}"
        self._error(self._connect_failure, self._time(now))

    def on_open(self, now: int) -> Step:
        """A connection opened."""
        clock, now = now, self._time(now)
        self._connect_failure = ""
        self._go("open", "connected", now)
        self.connects += 1
        self.connected_at = now
        self.integrity.connected = True
        self._paused_since = None
        self._resyncs_in_row = 0
        self._frame = self.session.frame
        return Step(self.session.opened(clock))

    def on_frame(self, text: bytes, ts_recv: int) -> Step | None:
        """One text frame, and when it was received.  None: nothing to do, as for most."""
        if ts_recv < self._now:
            ts_recv = self._time(ts_recv)
        self.last_ts = self._now = ts_recv
        self.frames += 1
        self.frame_bytes += len(text)
        take = self._frame  # a local: a method call on an attribute is slower
        outcome = take(text, ts_recv)
        return None if outcome is None else self._settle(outcome, ts_recv)

    def flush(self) -> Step | None:
        """No other frame is at hand: what waits to go with the next goes now."""
        outcome = self.session.flush()
        return None if outcome is None else self._settle(outcome, self._now)

    def on_answer(
        self, fetch: Fetch, status: int, headers: Mapping[str, str], body: Any, now: int
    ) -> Step | None:
        """What came of a request; see ``VenueSession.answer``."""
        if not self._machine.connected:
            return None
        now = self._time(now)
        outcome = self.session.answer(fetch, status, headers, body, now)
        return None if outcome is None else self._settle(outcome, now)

    def hidden(self, text: str) -> str:
        """A venue's words without our credentials, should it repeat them."""
        return text if self._credentials is None else self._credentials.hidden(text)

    def on_close(self, reason: str, now: int) -> None:
        """The connection ended, whoever ended it."""
        if self._machine.connected:
            now = self._time(now)
            self._settle_all(self.session.flush(), now)
        if self._machine.connected:
            self._error(f"connection lost: {reason}", now)
            self._disconnect(GapKind.CONNECTION, reason, now)

    def tick(self, now: int, *, liveness: bool = True) -> Step | None:
        """Time passed: to be called every few milliseconds.

        ``liveness``: whether silence says something about the connection; in a replay it does not.
        """
        if not self._machine.connected:
            return None
        now = self._time(now)
        outcome = self.session.tick(now)
        if outcome is not None:
            self._settle_all(outcome, now)
        if self.state is StreamState.LIVE and now >= self.record.next_marks:
            self.record.marks(self.integrity, now)
        if liveness and self._machine.connected:
            if now >= self._audit_at and self.state is StreamState.LIVE:
                self._begin_audit(now)
            self._check_liveness(now)
        return self._answer()

    def _begin_audit(self, now: int) -> None:
        """Compares the book with the venue's own, which no frame can prove."""
        self._audit_at = now + _ns(limits.audit_ms_max)  # should it come to no end
        self._settle_all(self.session.audit(now), now)

    def stop(self, now: int) -> None:
        """Nobody wants it any more: its last book is marked, the state is STOPPED."""
        now = self._time(now)
        if self._machine.connected:
            self._settle_all(self.session.flush(), now)
        if self.state is StreamState.LIVE:
            self.record.marks(self.integrity, now)
        self.session.closed()
        self._frame = self._refuse_frame
        if self.state is not StreamState.STOPPED:
            self._go("stop", "asked to stop", now)

    # What came of it ------------------------------------------------------------------------------
    def _settle(self, outcome: Outcome, now: int) -> Step | None:
        self._settle_all(outcome, now)
        return self._answer()

    def _settle_all(self, outcome: Outcome | None, now: int) -> None:
        while outcome is not None:
            if outcome.send:
                self._step.send += outcome.send
            if outcome.partial and outcome.batch is not None:
                self.record.append(outcome.batch)
            elif outcome.batch is not None:
                self._take(outcome.batch, outcome, now)
            if outcome.caught_up:
                self._go_live("caught up with the stream", now)
            if outcome.fetch is not None:
                self._step.fetch = outcome.fetch
            if outcome.checksum is not None:
                self._compare(outcome.checksum, now)
            if outcome.audit is not None:
                self._note_audit(outcome.audit, now)
            if outcome.fault is not None:
                self._suffer(outcome.fault, now)
            outcome = outcome.then

    def _answer(self) -> Step | None:
        """What has gathered since the last answer; None where nothing has."""
        step = self._step
        if not step.send and step.wish is None and step.fetch is None:
            return None
        self._step = Step()
        return step

    def _take(self, batch: EventBatch, outcome: Outcome, now: int) -> None:
        self.record.append(batch)
        if now >= self.rate.next_sample:
            self.rate.sample(now, batch.first_seq - 1)
        if outcome.synced:
            self._synced(batch, outcome.behind, now)
        elif self.integrity.note_commit(self.book.crossed, self.session.crossed_commits_max):
            self._resync(GapKind.CROSSED, "the book stayed crossed", self._agreed_at(), now)
        elif now >= self.record.next_marks and self._machine.state is StreamState.LIVE:
            self.record.marks(self.integrity, now)
        # What silence alone commits proves nothing of the time after the last frame.
        self._last_commit = min(now, self.last_ts)

    def _synced(self, batch: EventBatch, behind: bool, now: int) -> None:
        if self.state in _HAS_BOOK:
            reason = "the venue sent a new snapshot"
            self.record.lose(GapKind.VENUE, reason, self._last_commit, now)
            self._go("resync", reason, now)
        self.integrity.new_book(self.session.proofs)
        self._paused_since = None
        if not behind:
            self._go_live("snapshot received", now)
        self.record.new_era(batch, now)

    def _go_live(self, reason: str, now: int) -> None:
        self._live_since = now
        self._audit_at = now + self._audit_interval
        self._go("sync", reason, now)

    def _compare(self, checksum: Checksum, now: int) -> None:
        if self._machine.state not in _HAS_BOOK:
            return
        agreed_before = self.integrity.last_equal_ns or self._live_since
        if self.integrity.compare(checksum, now):
            if self._machine.state is StreamState.STALE and self._paused_since is None:
                self._go("restore", "the checksum agrees again", now)
            return
        reason = f"checksum {checksum.sent}, ours is {checksum.ours}"
        self._error(reason, now)
        if self.state is StreamState.LIVE:
            self._go("doubt", reason, now)
        if self.integrity.misses_exhausted:
            reason = f"{self.integrity.misses} checksums in a row differ"
            self._resync(GapKind.CHECKSUM, reason, agreed_before, now)

    def _note_audit(self, audit: Audit, now: int) -> None:
        """A difference was there since some moment after the last agreement."""
        if self.state not in _HAS_BOOK:
            return
        agreed = self._agreed_at()
        self.integrity.note_audit(audit, now)
        wait = _ns(limits.audit_retry_ms) if audit.equal is None else self._audit_interval
        self._audit_at = now + min(wait, self._audit_interval)
        if audit.equal is False:
            reason = f"the venue's own book is another: {audit.detail}"
            self._error(reason, now)
            self._resync(GapKind.AUDIT, reason, agreed, now)

    def _agreed_at(self) -> int:
        """When the whole book last was the venue's for certain."""
        return self.integrity.last_audit_ns or self._live_since

    def _suffer(self, fault: Fault, now: int) -> None:
        self._error(fault.reason, now)
        if fault.unreadable is not None:
            self.quarantine.add(now, fault.reason, fault.unreadable)
        if not self._machine.connected:
            return
        if fault.action is Action.RESYNC:
            since = self._agreed_at() if fault.was_wrong else self._last_commit
            self._resync(_kind_of(fault), fault.reason, since, now)
        elif fault.action is Action.RECONNECT:
            self._reconnect(_kind_of(fault), fault.reason, now)
            self._step.wait_ms = fault.wait_ms
        elif fault.action is Action.PAUSE:
            self._paused_since = now
            if self.state is StreamState.LIVE:
                self._go("doubt", fault.reason, now)
        elif fault.action is Action.FAIL:
            self._fail(fault.reason, now)

    def _resync(self, kind: GapKind, reason: str, from_ns: int, now: int) -> None:
        if self.state in _HAS_BOOK and now - self._live_since > _ns(limits.live_settled_ms):
            self._resyncs_in_row = 0
        if self._resyncs_in_row >= limits.resyncs_in_row_max:
            reason = f"{reason}; {self._resyncs_in_row} resyncs did not help"
            self._reconnect(kind, reason, now)
            return
        self._resyncs_in_row += 1
        self.resyncs += 1
        self.record.lose(kind, reason, from_ns, now)
        self._go("resync", reason, now)
        self._paused_since = None
        self._step.send += self.session.resync()

    def _reconnect(self, kind: GapKind, reason: str, now: int) -> None:
        self._disconnect(kind, reason, now)
        self._step.wish, self._step.reason = Wish.RECONNECT, reason

    def _disconnect(self, kind: GapKind, reason: str, now: int) -> None:
        self.record.lose(kind, reason, self._whole_until(), now)
        self._go("disconnect", reason, now)
        self.session.closed()
        self._frame = self._refuse_frame
        self.connected_at = None

    def _fail(self, reason: str, now: int) -> None:
        self.record.lose(GapKind.REFUSED, reason, self._whole_until(), now)
        self._go("fail", reason, now)
        self.session.closed()
        self._frame = self._refuse_frame
        self._step.wish, self._step.reason = Wish.END, reason

    def _whole_until(self) -> int:
        """Up to when all that came is on the tape, should the connection end now."""
        kept = self.session.kept_since
        return self._last_commit if kept is None else min(kept, self._last_commit)

    def _check_liveness(self, now: int) -> None:
        silent_ms = (now - max(self.last_ts, self.connected_at or 0)) // NS_PER_MILLISECOND
        waited_ms = (now - max(self._since, self.session.waits_until)) // NS_PER_MILLISECOND
        if self._paused_since is not None:
            if now - self._paused_since > _ns(limits.maintenance_ms_max):
                reason = f"the venue's pause lasts over {limits.maintenance_ms_max} ms"
                self._reconnect(GapKind.VENUE, reason, now)
        elif silent_ms > self.session.silence_ms or self.session.stalled(now):
            reason = self.session.stalled(now) or f"no frame for {silent_ms} ms"
            self._error(reason, now)
            if self.state is StreamState.LIVE:
                self._go("doubt", reason, now)
            self._reconnect(GapKind.SILENCE, reason, now)
        elif (
            self.state in (StreamState.SYNCING, StreamState.RESYNCING)
            and waited_ms > limits.subscribe_timeout_ms
        ):
            reason = f"no snapshot within {limits.subscribe_timeout_ms} ms"
            self._error(reason, now)
            self._reconnect(GapKind.SILENCE, reason, now)

    def _refuse_frame(self, _text: bytes, _ts_recv: int, /) -> Outcome | None:
        """What the venue still sends on a connection that is given up."""
        self.session.counters["frames of a connection given up"] += 1
        return None

    def _time(self, clock: int) -> int:
        """What a clock says as a time that never decreases."""
        if clock < self._now:
            found, ours = self._set_back
            caught_up = ours + (clock - found) // 2
            if caught_up < self._now:  # set back again, or for the first time
                self._set_back, caught_up = (clock, self._now), self._now
            clock = caught_up
        self._now = clock
        return clock

    def _go(self, transition: str, reason: str, now: int) -> None:
        before, after = self._machine.go(transition, reason)
        self._since = now
        self.record.state(before, after, reason, now)

    def _error(self, text: str, now: int) -> None:
        """What comes again and again is one line, of its last time: it must not push others out."""
        count = self._last_error[1] + 1 if self._last_error[0] == text else 1
        self._last_error = text, count
        if count > 1:
            self.errors.pop()
        often = f" ({count} times)" if count > 1 else ""
        self.errors.append(f"{iso_from_ns(now)} {text}{often}")

    # What is known --------------------------------------------------------------------------------
    @property
    def state(self) -> StreamState:
        return self._machine.state

    @property
    def reason(self) -> str:
        """Why it is in this state."""
        if self._connect_failure and self.state is StreamState.CONNECTING:
            return self._connect_failure
        return self._machine.reason

    @property
    def sequence(self) -> int:
        """The seq of the last event, 0 before the first."""
        return self.session.next_seq - 1

    @property
    def events(self) -> int:
        """Events since the stream was made."""
        return self.session.next_seq - self.first_sequence

    @property
    def last_frame_at(self) -> int | None:
        """ns of the last frame, None before the first."""
        return self.last_ts if self.frames else None

    @property
    def counters(self) -> dict[str, int]:
        """Everything counted, by name."""
        return {
            "frames": self.frames,
            "frame_bytes": self.frame_bytes,
            "connects": self.connects,
            "resyncs": self.resyncs,
            "gaps": self.record.gaps,
            "snapshots_taken": self.record.snapshots_taken,
            "unreadable_frames": self.quarantine.total,
            **{name.replace(" ", "_"): count for name, count in self.session.counters.items()},
            **self.session.window_counters,
        }

    def settled(self, now: int) -> bool:
        """LIVE long enough to say that this connection works: the backoff may begin anew."""
        live = self.state is StreamState.LIVE
        return live and max(now, self._now) - self._live_since >= _ns(limits.live_settled_ms)


def _kind_of(fault: Fault) -> GapKind:
    """What a fault that ends an era is counted under."""
    if fault.missing:
        return GapKind.SEQUENCE
    if fault.unreadable is not None:
        return GapKind.UNREADABLE
    return GapKind.CONTRADICTION if fault.was_wrong else GapKind.VENUE


def _ns(milliseconds: int) -> int:
    return milliseconds * NS_PER_MILLISECOND
