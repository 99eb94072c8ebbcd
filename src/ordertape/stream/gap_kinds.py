"""Why something was lost, in a word: what a gap is counted under.

A gap's own sentence says exactly what happened; the kind is for counting and alarms, so there are
few of them and they never change.  ``docs/operations.md`` has a row for each.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["GapKind"]


class GapKind(StrEnum):
    """The value is the label ``reason`` of ``ordertape_gaps_total``."""

    NOT_COLLECTED = "not_collected"
    """Nobody collected: between two runs of the stream."""
    CONNECTION = "connection"
    """The connection ended."""
    SILENCE = "silence"
    """Nothing came, or no snapshot did, for longer than it may."""
    SEQUENCE = "sequence"
    """The venue's numbering shows that messages are missing."""
    CHECKSUM = "checksum"
    """Checksums in a row differed."""
    CROSSED = "crossed"
    """The book stayed crossed."""
    AUDIT = "audit"
    """The venue's own book, asked for over REST, was another."""
    CONTRADICTION = "contradiction"
    """A message that the book contradicts."""
    UNREADABLE = "unreadable"
    """A frame that could not be parsed."""
    VENUE = "venue"
    """The venue announced a restart or a pause, sent a new book, or an error."""
    REFUSED = "refused"
    """What trying again can't help: the stream is FAILED."""
    DAMAGE = "damage"
    """The journal was damaged and is fenced off."""
