"""What every venue's session is to the stream that owns it: pure, bytes in, outcomes out.

A session knows one venue's protocol on one connection.  It opens no socket and reads no clock;
times are handed in.  It puts what it reads into the engine's resolver, which applies each complete
message to the book.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from ordertape._engine import EventBatch, OrderBook

__all__ = [
    "Action",
    "Audit",
    "Checksum",
    "Fault",
    "Fetch",
    "Foreign",
    "Outcome",
    "Proofs",
    "VenueSession",
    "chained",
    "faulted",
]


class Action(Enum):
    """What a fault asks of the stream."""

    NOTE = "note"
    """Nothing: it is recorded among the errors."""
    RESYNC = "resync"
    """The book can't be trusted: a new snapshot on the same connection."""
    RECONNECT = "reconnect"
    """The connection can't be trusted."""
    PAUSE = "pause"
    """The venue stands still: the book is kept, and is stale."""
    FAIL = "fail"
    """A retry can't help."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something went wrong; ``reason`` is one sentence for people."""

    action: Action
    reason: str
    unreadable: bytes | None = None
    """The frame that could not be parsed, if that was it."""
    was_wrong: bool = False
    """It shows that the book was wrong before, nobody knows since when."""
    missing: bool = False
    """The venue's numbering shows that messages are missing."""
    wait_ms: int = 0
    """Of a RECONNECT: it is of no use sooner."""


class Checksum(Struct, frozen=True, gc=False):
    """The venue's checksum beside our own of the same moment."""

    sent: int
    ours: int


class Audit(NamedTuple):
    """A comparison of a book with the venue's own, fetched over REST."""

    equal: bool | None
    """None: they could not be compared."""
    detail: str
    """What differs, or why nothing could be compared; a clause for people."""


class Proofs(NamedTuple):
    """What the venue granted on this connection: the evidence that can be had."""

    sequence: bool
    checksum: bool
    venue_time: bool


class Foreign(NamedTuple):
    """A subscription that is none of ours, as a capture may hold."""

    channel: str
    symbol: str
    detail: str


class Fetch(Struct, frozen=True):
    """A REST request that a session asks for; whoever has its connection performs it."""

    path: str
    """Below the venue's REST address, its query included."""
    what: str
    """What it is for, in a word."""
    read: Callable[[bytes], Any] | None = None
    """Makes something of a body that is too large for the event loop; to be called in a thread.
    ValueError where it can't."""


class Outcome(Struct, gc=False):
    """What one frame, or the passing of time, led to.  Most frames lead to nothing: None."""

    batch: EventBatch | None = None
    """Events of a complete message, already applied to the book."""
    synced: bool = False
    """The batch completes a snapshot: a new era."""
    checksum: Checksum | None = None
    fault: Fault | None = None
    send: Sequence[bytes] = ()
    then: Outcome | None = None
    """What followed in the same frame: one `subscribed` may release many frames kept."""
    partial: bool = False
    """The batch is part of a snapshot that more of follows: no book may be read yet."""
    behind: bool = False
    """The snapshot is whole, but what came meanwhile still follows, up to `caught_up`."""
    caught_up: bool = False
    fetch: Fetch | None = None
    audit: Audit | None = None


def faulted(action: Action, reason: str, wait_ms: int = 0) -> Outcome:
    """An outcome that is a fault alone."""
    return Outcome(fault=Fault(action, reason, wait_ms=wait_ms))


def chained(*outcomes: Outcome | None) -> Outcome | None:
    """Several outcomes as one, in their order."""
    first: Outcome | None = None
    for outcome in reversed(outcomes):
        if outcome is None:
            continue
        last = outcome
        while last.then is not None:
            last = last.then
        last.then, first = first, outcome
    return first


class VenueSession(Protocol):
    """One market on one connection of a venue; see ``venues/bitfinex.py``."""

    book: OrderBook
    next_seq: int
    """The seq of the next event; the stream sets it from the tape."""
    counters: Counter[str]
    """What was ignored, by kind."""
    silence_ms: int
    """Longer than this no living connection says nothing."""
    crossed_commits_max: int
    """The book may stay crossed over so many commits in a row."""
    busy: bool
    """More follows at the next `tick`."""
    gathers: bool
    """Whether `flush` can have anything."""

    @property
    def waits_until(self) -> int:
        """ns: no snapshot can be expected before, because an answer is waited for."""
        ...

    @property
    def kept_since(self) -> int | None:
        """ns: when the first came of what is kept and, should the connection end, lost."""
        ...

    @property
    def proofs(self) -> Proofs: ...

    @property
    def foreign(self) -> set[Foreign]: ...

    @property
    def window_counters(self) -> dict[str, int]:
        """What the engine counted while it made events of the venue's statements."""
        ...

    def opened(self, now: int = 0, /) -> list[bytes]:
        """A connection opened (ns): forgets the one before; the texts to send."""
        ...

    def closed(self) -> None:
        """The connection is gone: forgets what was not yet complete."""
        ...

    def frame(self, text: bytes, ts_recv: int, /) -> Outcome | None:
        """One text frame as it came off the wire.  ``ts_recv`` (ns) never decreases."""
        ...

    def tick(self, now: int, /) -> Outcome | None:
        """Time passed (ns, the same clock as ``ts_recv``): what only silence can end."""
        ...

    def flush(self) -> Outcome | None:
        """Events of frames that were kept to go with those of the next: to be asked for when no
        other frame is at hand."""
        ...

    def answer(
        self, fetch: Fetch, status: int, headers: Mapping[str, str], body: Any, now: int, /
    ) -> Outcome | None:
        """The answer to a request: ``headers`` by lower-case name, ``body`` as bytes or as
        ``fetch.read`` made it; ``status`` 0 and a sentence where there was none."""
        ...

    def audit(self, now: int, /) -> Outcome | None:
        """Begins a comparison of the whole book, or of the part that the venue shows over REST:
        what it asks for.  An ``Outcome.audit`` ends it; so does whatever ends the book's era.
        None: not now."""
        ...

    def request_headers(self, fetch: Fetch, now: int, /) -> dict[str, str]:
        """What the request needs besides; made when it is sent."""
        ...

    def resync(self) -> list[bytes]:
        """Gives up the book's state; the texts that ask for a new snapshot."""
        ...

    def stalled(self, now: int) -> str | None:
        """Why the connection can't be alive although frames may come, None where it can."""
        ...

    def begins(self, text: bytes) -> bool:
        """Whether this frame is the first of a connection, as a capture of several shows it."""
        ...
