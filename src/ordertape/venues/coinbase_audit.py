"""The proof that Coinbase's feed lacks: our book beside the venue's at exactly the same sequence.

A level 3 book over REST stands at some sequence.  Messages are kept from the request on; a second
book begins from the venue's, follows the same messages and is compared where both stand alike.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ordertape import limits
from ordertape._engine import CoinbaseFeed, CoinbaseSnapshot, OrderBook
from ordertape.errors import IdRefused, NumberRefused
from ordertape.venues.session import Audit

__all__ = ["CoinbaseAudit"]

MakeFeed = Callable[[OrderBook], CoinbaseFeed]


class CoinbaseAudit:
    """One comparison: ``take`` each frame from here on, hand over the venue's book, ``step``."""

    def __init__(self, live: CoinbaseFeed, book: OrderBook, make_feed: MakeFeed) -> None:
        self._live, self._book, self._make_feed = live, book, make_feed
        self._since = live.last
        self._messages: deque[tuple[bytes, int]] = deque()
        self._bytes = 0
        self._theirs: OrderBook | None = None
        self._feed: CoinbaseFeed | None = None
        self._overflowed = False

    def record(self, text: bytes, ts_recv: int) -> None:
        """A frame that the live book takes."""
        self._messages.append((text, ts_recv))
        self._bytes += len(text)
        if (
            len(self._messages) > limits.sync_queue_messages_max
            or self._bytes > limits.sync_queue_bytes_max
        ):
            self._overflowed = True
            self._messages.clear()
            self._bytes = 0

    def hand_over(self, snapshot: CoinbaseSnapshot, now: int) -> Audit | None:
        """The venue's book; the end of it where it is of no use."""
        if snapshot.auction_mode:
            return Audit(None, "the venue holds an auction")
        if snapshot.sequence < self._since:
            return Audit(None, "the venue's book is older than the request for it")
        self._theirs = OrderBook(codec=self._book.codec)
        self._feed = self._make_feed(self._theirs)
        self._feed.adopt(snapshot, 1, now)
        return None

    def step(self) -> Audit | None:
        """Follows the next messages with the venue's book; compares where both stand alike."""
        if self._overflowed:
            return Audit(None, "more messages came than are kept for a comparison")
        if self._feed is None or self._theirs is None:
            return None
        for _ in range(min(limits.sync_slice_messages, len(self._messages))):
            text, ts_recv = self._messages.popleft()
            self._bytes -= len(text)
            try:
                told = self._feed.take(text, ts_recv)
            except (NumberRefused, IdRefused, ValueError) as error:
                return Audit(None, f"the venue's book could not be followed: {error}")
            if isinstance(told, tuple):
                return Audit(False, f"the venue's book does not follow its messages: {told[2]}")
            self._feed.discard()
        if self._messages or self._feed.last != self._live.last:
            return None  # the venue's book may be ahead of the stream
        return self._compared(self._theirs)

    def _compared(self, theirs: OrderBook) -> Audit:
        only_here, only_there, changed, example, misplaced = self._live.compare(theirs)
        if example is None:
            # How the venue lists the orders of one price is documented nowhere.
            return Audit(True, "queues differ" if misplaced else "")
        return Audit(
            False,
            f"{only_here} orders that the venue has not, {only_there} that it has besides, "
            f"{changed} otherwise, such as {example}",
        )
