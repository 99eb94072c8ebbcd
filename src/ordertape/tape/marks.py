"""Marks: what a tape says about itself between its events.

| kind | fields |
|---|---|
| ``segment`` | how a journal segment begins: market, codecs, era, scales (plumbing) |
| ``terms`` | ``codec`` ("order", "trade"), ``start``, ``terms``: ids no codec packs (plumbing) |
| ``simulated`` | ``simulated``: true; written before anything else of such a market |
| ``source`` | of an import: ``digest`` of the file, ``name``, ``rows`` |
| ``state`` | ``from``, ``to``, ``reason``: a transition of the stream |
| ``era`` | ``era``: begun by the CLEAR ``seq`` |
| ``gap`` | ``from_ns``, ``to_ns`` or None, ``reason``, ``healed_by`` or None, ``era`` |
| ``digest`` | ``era``, ``orders``, ``digest`` of the book after ``seq`` |
| ``integrity`` | what a stream counted and proved |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ordertape._engine import OrderBook
from ordertape.errors import TapeCorrupt

__all__ = ["PLUMBING", "Mark", "digest_mark", "gap_mark", "terms_mark"]

PLUMBING = frozenset({"segment", "terms"})
"""Kinds that only the tape itself reads."""


@dataclass(frozen=True, slots=True)
class Mark:
    """``seq``: of the last event before it; ``ts``: ns, when it was made."""

    kind: str
    seq: int
    ts: int
    fields: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, payload: bytes) -> Mark:
        """Raises TapeCorrupt where the payload is no mark."""
        try:
            return msgspec.json.decode(payload, type=cls)
        except msgspec.MsgspecError as error:
            raise TapeCorrupt(f"expected a mark, found {payload[:80]!r}: {error}") from None


def digest_mark(book: OrderBook, ts: int, **known: Any) -> Mark:
    """What proves a replay: the book as it stands."""
    fields = {"era": book.era, "orders": len(book), "digest": book.digest(), **known}
    return Mark("digest", book.seq, ts, fields)


def gap_mark(
    seq: int,
    from_ns: int,
    to_ns: int | None,
    reason: str,
    *,
    era: int,
    healed_by: int | None = None,
    **known: Any,
) -> Mark:
    """A noticed loss between two moments (ns); ``to_ns`` None while it lasts."""
    fields = {
        "from_ns": from_ns,
        "to_ns": to_ns,
        "reason": reason,
        "healed_by": healed_by,
        "era": era,
        **known,
    }
    return Mark("gap", seq, to_ns if to_ns is not None else from_ns, fields)


def terms_mark(codec: str, start: int, terms: Sequence[str], seq: int, ts: int) -> Mark:
    """Dictionary entries from index ``start`` on; ``codec`` is "order" or "trade"."""
    return Mark("terms", seq, ts, {"codec": codec, "start": start, "terms": list(terms)})
