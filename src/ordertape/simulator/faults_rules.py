"""What a simulated venue can be told to do wrong, and where: rules, read from JSON.

A plan is a list of rules: ``[{"kind": "drop", "message": 500}, {"kind": "reorder"}]``.
Messages of a connection are counted from 1, those that were lost too; REST requests from 1 over
all clients.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from ordertape.errors import SettingRefused

__all__ = ["REST_KINDS", "VENUE_KINDS", "Kind", "Rule", "rules"]


class Kind(Enum):
    """A fault; ``amount`` of its rule in brackets, drawn where it is 0."""

    DROP = "drop"
    """So many texts in a row are lost (amount; 1)."""
    DUPLICATE = "duplicate"
    """The last texts come again after this one (amount; 1 to 100)."""
    REORDER = "reorder"
    """So many texts are collected and sent in another order (amount; 2 to 50)."""
    DELAY = "delay"
    """The line stands still before this text (ms; 1 to 3,000); what follows waits behind it."""
    CORRUPT = "corrupt"
    """One digit becomes another, in the rule's ``part`` if it names one."""
    TRUNCATE = "truncate"
    """The text ends early (bytes kept; drawn)."""
    GARBLE = "garble"
    """Some bytes become others, so that it is no JSON any more."""
    OVERSIZE = "oversize"
    """The text is followed by so many blanks (bytes; 65 MiB)."""
    CHECKSUM_LIE = "checksum lie"
    """The venue's checksum is another number.  Needs a text that has one."""
    HEARTBEATS_ONLY = "heartbeats only"
    """From this text on nothing but heartbeats (ms; for good)."""
    HANG = "hang"
    """From this text on nothing at all; the connection stays open."""
    CLOSE = "close"
    """The connection is closed before this text (the WebSocket's code; 1012)."""
    CUT = "cut"
    """The connection ends after byte n of this text's frame (n; drawn)."""
    RESET = "reset"
    """The connection is reset before this text."""
    REFUSE = "refuse"
    """A new connection is not taken."""
    SEQUENCE_JUMP = "sequence jump"
    """The venue's numbering goes on so much higher (amount; 1 to 1,000)."""
    SEQUENCE_RESET = "sequence reset"
    """The venue's numbering begins anew."""
    RESTART = "restart"
    """The venue announces its restart."""
    MAINTENANCE = "maintenance"
    MAINTENANCE_ENDED = "maintenance ended"
    AUCTION = "auction"
    """The market goes into an auction."""
    AUCTION_ENDED = "auction ended"
    DELISTED = "delisted"
    """The product is no longer one."""
    REST_SLOW = "slow answer"
    """An answer is made at once and comes so much later (ms; 1 to 30,000)."""
    REST_LATE = "late answer"
    """An answer is made, and comes, so much later (ms; 1 to 30,000)."""
    REST_STATUS = "status"
    """An answer of that status, 401, 418, 429, 5xx (amount; 500)."""
    REST_STALE = "stale snapshot"
    """A whole book older than the client's connection."""
    REST_TRUNCATED = "truncated answer"
    """The body ends early, the connection too (bytes kept; drawn)."""
    REST_LENGTH = "wrong length"
    """The header promises more bytes than come (so many; 1 to 1,000)."""
    REST_GARBLED = "garbled answer"
    REST_SILENT = "no answer"
    """The request is taken and never answered."""


VENUE_KINDS: Final = frozenset(
    {
        Kind.SEQUENCE_JUMP,
        Kind.SEQUENCE_RESET,
        Kind.RESTART,
        Kind.MAINTENANCE,
        Kind.MAINTENANCE_ENDED,
        Kind.AUCTION,
        Kind.AUCTION_ENDED,
        Kind.DELISTED,
    }
)
REST_KINDS: Final = frozenset(kind for kind in Kind if kind.name.startswith("REST_"))


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of a plan: which fault, and when.

    ``message`` n: at the first text from n on that the other fields allow (of a REST fault: the
    first request), once a connection.  Else ``every`` n: drawn, once in n texts in the mean.
    With neither, the first that fits.
    """

    kind: Kind
    connection: int = 0
    """The connection's number from 1; 0: each of them."""
    message: int = 0
    every: int = 0
    holds: str = ""
    """Only texts (of REST: paths) in which this stands."""
    part: str = ""
    """Of a corrupt text: "price", "size", "id" or "sequence"; empty: any digit."""
    amount: int = 0
    times: int = 0
    """At most so often a connection; 0: a drawn one without end, another once."""
    retry_after: int = -1
    """Seconds that a 429 or 503 names in Retry-After; -1: no such header."""

    @property
    def most(self) -> int:
        """How often it may happen on one connection."""
        return self.times or (1 << 62 if self.every else 1)


def rules(text: str | bytes) -> tuple[Rule, ...]:
    """The rules of a JSON text; SettingRefused in one sentence."""
    try:
        found = msgspec.json.decode(text, type=tuple[Rule, ...])
    except msgspec.MsgspecError as error:
        raise SettingRefused(f"expected faults as a JSON list of rules: {error}") from None
    for rule in found:
        numbers = (rule.connection, rule.message, rule.every, rule.amount, rule.times)
        if min(numbers) < 0:
            raise SettingRefused(f"expected numbers of 0 or more in a fault, found {rule}")
    return found
