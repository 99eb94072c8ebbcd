"""Requests for Coinbase's whole book: when to ask, what an answer is, how long to wait after it.

Source: docs.cdp.coinbase.com, exchange, "get-product-book" (level 3), "rest-api/rate-limits".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from ordertape import limits
from ordertape._engine import CoinbaseSnapshot, IdCodec, OrderBook
from ordertape.errors import IdRefused, NumberRefused
from ordertape.times import NS_PER_MILLISECOND
from ordertape.venues import coinbase_wire as wire
from ordertape.venues.session import Action, Fetch, Outcome, faulted
from ordertape.venues.texts import retry_after_ms, shown

__all__ = ["AUDIT", "REFUSED", "BookRequests"]

AUDIT: Final = "audit"
"""What a request is for, besides the book to begin from."""
REFUSED: Final = (NumberRefused, IdRefused, ValueError)
"""What the engine raises for a text that it can't hold."""

_OK: Final = 200
_BANS: Final = (418, 429)
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_CLOCK: Final = b"timestamp"
"""In the body of a refusal that our clock, not the key, is the cause of."""
_OF_THE_KEY: Final = ("api key", "apikey", "passphrase", "permission", "scope", "signature")
"""What a 403 names that would come again.  Others come from whoever stands before the venue: a
filter or a guard against attacks refuses for a while."""
_MISSING: Final = 404
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Refusal(msgspec.Struct):
    message: str = ""


_decode: Final = msgspec.json.Decoder(_Refusal).decode


class BookRequests:
    """Of one product.  One request is under way at a time; waits double while they fail."""

    def __init__(
        self,
        market: str,
        symbol: str,
        book: OrderBook,
        counters: Counter[str],
        hidden: Callable[[str], str],
    ) -> None:
        """``hidden`` takes secrets out of what the venue says."""
        self._market, self._book = market, book
        self._counters, self._hidden = counters, hidden
        self.path = wire.book_path(symbol)
        self._not_before = self._waits = 0
        self.opened()

    def opened(self) -> None:
        """A new connection: what was asked before is not answered any more; a ban goes on."""
        self.under_way = False
        self._failures = 0
        self.waits_until = 0
        """ns: before that no book can be expected."""

    # Asking ---------------------------------------------------------------------------------------
    def fetch(self, what: str) -> Fetch:
        return Fetch(self.path, what, self._reader())

    def ask(self, now: int) -> Outcome | None:
        """For a book to begin from; None: not now."""
        if self.under_way or now < self._not_before:
            return None
        self._counters["snapshots asked for"] += 1
        self.under_way = True
        self.waits_until = now + limits.rest_timeout_ms * NS_PER_MILLISECOND
        return Outcome(fetch=self.fetch("book"))

    def _reader(self) -> Callable[[bytes], CoinbaseSnapshot]:
        """Reads a body in any thread: it takes nothing of the session along."""
        scales = (self._book.price_scale or 0, self._book.size_scale or 0)
        return partial(_read_book, self._book.codec, *scales)

    # Answers --------------------------------------------------------------------------------------
    def read(self, status: int, body: Any) -> CoinbaseSnapshot | str:
        """The book of an answer, else why there is none."""
        if status != _OK:
            return shown(self._hidden(str(body))) if status == 0 else f"status {status}"
        try:
            return body if isinstance(body, CoinbaseSnapshot) else self._reader()(body)
        except REFUSED as error:
            return shown(self._hidden(str(error)))

    def answered(
        self, status: int, headers: Mapping[str, str], body: Any, now: int
    ) -> CoinbaseSnapshot | Outcome | None:
        """The book that was asked for, else what follows of the answer."""
        self.under_way = False
        if status in (_UNAUTHORIZED, _FORBIDDEN):
            if isinstance(body, bytes) and _CLOCK in body.lower():
                reason = f"the venue refuses our clock over REST (status {status})"
                wait_ms = limits.clock_refused_ms
                return faulted(Action.RECONNECT, f"{self._market}: {reason}", wait_ms)
            if status == _UNAUTHORIZED or _names_the_key(body):
                reason = f"the venue refuses our credentials over REST (status {status})"
                return faulted(Action.FAIL, f"{self._market}: {reason}")
        if status == _MISSING and _said(body):
            return faulted(Action.FAIL, f"{self._market}: the venue has no such product")
        if status in _BANS:
            asked = retry_after_ms(headers, now)
            self._counters["snapshots refused for now"] += 1
            self.postpone(now, limits.rest_ban_ms_default if asked is None else asked)
            reason = f"the venue asks us to wait (status {status})"
            return faulted(Action.NOTE, f"{self._market}: {reason}")
        found = self.read(status, body)
        if isinstance(found, str):
            return self._failed(found, now)
        if found.auction_mode:
            # Its orders are indicative then ("get-product-book").
            self._counters["auctions waited for"] += 1
            self.postpone(now, limits.auction_retry_ms)
            return None
        return found

    def too_old(self, now: int) -> None:
        """The book does not reach the first message kept."""
        self._counters["snapshots too old"] += 1
        self.postpone(now)

    def done(self) -> None:
        """A book was of use."""
        self._not_before = self._waits = self._failures = 0

    def postpone(self, now: int, least_ms: int = 0) -> None:
        """Asks no sooner than after the next, longer wait."""
        doubled = limits.snapshot_retry_ms_min * 2 ** min(self._waits, 20)
        self._waits += 1
        milliseconds = max(least_ms, min(doubled, limits.snapshot_retry_ms_max))
        self._not_before = now + milliseconds * NS_PER_MILLISECOND
        self.waits_until = max(self.waits_until, self._not_before)

    def _failed(self, reason: str, now: int) -> Outcome:
        self._failures += 1
        self._counters["snapshots that failed"] += 1
        self.postpone(now)
        many = self._failures >= limits.snapshot_failures_max
        return faulted(Action.RECONNECT if many else Action.NOTE, f"no snapshot: {reason}")


def _said(body: Any) -> str:
    """The venue's own message, which is JSON; empty where whoever stands before it answered."""
    try:
        return _decode(body if isinstance(body, bytes) else b"").message
    except _UNREADABLE:
        return ""


def _names_the_key(body: Any) -> bool:
    said = _said(body).lower()
    return any(word in said for word in _OF_THE_KEY)


def _read_book(codec: IdCodec, price_scale: int, size_scale: int, body: bytes) -> CoinbaseSnapshot:
    return CoinbaseSnapshot(body, codec, price_scale, size_scale)
