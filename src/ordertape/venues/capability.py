"""What a venue can and can't prove, stated once a venue and shown by ``ordertape venues``."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["Capability"]


@dataclass(frozen=True, slots=True)
class Capability:
    """One row of the table of venues; every field is a sentence or a word for people."""

    exchange: str
    """Our name of the venue, as in commands and tapes."""
    feed: str
    """Which of its feeds we read."""
    symbols: str
    """An example of our form and the venue's own."""
    credentials: str
    """What a person needs to be let in."""
    depth: str
    """How much of the book it shows."""
    sequence: str
    """Which losses its numbering shows."""
    checksum: str
    """Which part of the book its checksum covers, and what stays unproven."""
    event_time: str
    """The resolution of its own clock, and what the time means."""
    end_reasons: str
    """Whether it says why an order ended."""
    trade_link: str
    """Whether a trade names the orders in it."""
    commit: str
    """Where its messages are complete, so that the book may be read."""

    def as_dict(self) -> dict[str, str]:
        """The row by column name."""
        return asdict(self)
