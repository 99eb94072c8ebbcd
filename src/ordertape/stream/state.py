"""The seven states of a stream and the only ways between them."""

from __future__ import annotations

from enum import Enum
from typing import Final

from ordertape.errors import TransitionRefused

__all__ = ["TRANSITIONS", "StateMachine", "StreamState"]


class StreamState(Enum):
    CONNECTING = "CONNECTING"
    """No connection; one is wanted.  The book is the last one known."""
    SYNCING = "SYNCING"
    """Connected; no snapshot yet."""
    LIVE = "LIVE"
    """The book is the venue's."""
    STALE = "STALE"
    """Connected, and the book is in doubt: a checksum differs, or the venue stands still."""
    RESYNCING = "RESYNCING"
    """Connected, and the book is lost: a new snapshot is on its way."""
    STOPPED = "STOPPED"
    """Nobody wants it to run."""
    FAILED = "FAILED"
    """It can't run, and a retry can't help."""


_CONNECTED: Final = frozenset(
    {StreamState.SYNCING, StreamState.LIVE, StreamState.STALE, StreamState.RESYNCING}
)
_RUNNING: Final = _CONNECTED | {StreamState.CONNECTING}
_ENDED: Final = frozenset({StreamState.STOPPED, StreamState.FAILED})

TRANSITIONS: Final[dict[str, tuple[frozenset[StreamState], StreamState]]] = {
    "start": (_ENDED, StreamState.CONNECTING),
    "open": (frozenset({StreamState.CONNECTING}), StreamState.SYNCING),
    "sync": (frozenset({StreamState.SYNCING, StreamState.RESYNCING}), StreamState.LIVE),
    "doubt": (frozenset({StreamState.LIVE}), StreamState.STALE),
    "restore": (frozenset({StreamState.STALE}), StreamState.LIVE),
    "resync": (_CONNECTED, StreamState.RESYNCING),
    "disconnect": (_CONNECTED, StreamState.CONNECTING),
    "stop": (_RUNNING | {StreamState.FAILED}, StreamState.STOPPED),
    "fail": (_RUNNING, StreamState.FAILED),
}
"""name: (from any of these, to this one)."""


class StateMachine:
    """Where a stream stands; begins STOPPED."""

    def __init__(self) -> None:
        self.state = StreamState.STOPPED
        self.reason = "not started"

    def go(self, transition: str, reason: str) -> tuple[StreamState, StreamState]:
        """Takes one of TRANSITIONS; answers (from, to).

        Raises TransitionRefused, which names the actual state.
        """
        allowed, target = TRANSITIONS[transition]
        before = self.state
        if before not in allowed:
            expected = " or ".join(sorted(state.value for state in allowed))
            raise TransitionRefused(
                f"{transition}: expected {expected}, the stream is {before.value}"
            )
        self.state, self.reason = target, reason
        return before, target

    @property
    def connected(self) -> bool:
        return self.state in _CONNECTED
