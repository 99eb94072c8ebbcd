"""What Coinbase sends while no book stands: kept in order, until a snapshot over REST covers it.

Source: docs.cdp.coinbase.com, exchange, "websocket-feed/channels" (full: queue, ask for the level 3
book, replay what is newer) and "overview" (each message of a product counts one further).
"""

from __future__ import annotations

from collections import Counter, deque

from ordertape import limits

__all__ = ["Queue"]


class Queue:
    """Messages of one product without a gap, and from where on a snapshot is of use to them.

    ``needed``: the least sequence of a snapshot that leaves no hole before the first message kept;
    None before anything is known of the venue's count.
    """

    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters
        self.begin()

    def begin(self, needed: int | None = None) -> None:
        """Forgets what was kept."""
        self.messages: deque[tuple[int, bytes, int]] = deque()
        self._bytes = 0
        self.needed = needed
        self.last = needed
        self.contradicted = False
        """The venue has counted lower since the last message was kept: its number may be none that
        the venue gave, and no book may ever reach it."""

    def add(self, sequence: int, text: bytes, ts_recv: int) -> bool:
        """Keeps a message.  False: others are missing before it, and those kept are dropped."""
        whole = True
        if self.last is None or self.needed is None:
            self.begin(sequence - 1)
        elif sequence <= self.last:
            self._counters["late while syncing"] += 1
            self.contradicted = True
            return True
        elif sequence > self.last + 1:
            self._counters["gaps while syncing"] += 1
            whole = False
            self.begin(sequence - 1)
        if (
            len(self.messages) >= limits.sync_queue_messages_max
            or self._bytes + len(text) > limits.sync_queue_bytes_max
        ):
            self._counters["overflows while syncing"] += 1
            self.begin(sequence)
            return False
        self.messages.append((sequence, text, ts_recv))
        self._bytes += len(text)
        self.last, self.contradicted = sequence, False
        return whole

    def heartbeat(self, sequence: int, *, has_book: bool) -> bool:
        """What it says was sent last.  False: messages are missing."""
        if self.last is None or not (self.messages or has_book):
            self.begin(sequence)
        elif sequence > self.last:
            self._counters["gaps while syncing"] += 1
            self.begin(sequence)
            return False
        elif self.messages and sequence < self.last:
            self.contradicted = True
        return True

    def drop_through(self, sequence: int) -> None:
        """Forgets the messages that a snapshot holds already."""
        while self.messages and self.messages[0][0] <= sequence:
            self._bytes -= len(self.messages.popleft()[1])
        self.last = max(sequence, self.last or 0)

    def pop(self) -> tuple[int, bytes, int]:
        """The oldest: sequence, text, ns at receipt."""
        oldest = self.messages.popleft()
        self._bytes -= len(oldest[1])
        return oldest
