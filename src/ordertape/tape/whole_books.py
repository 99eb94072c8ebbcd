"""The whole book that a replay begins with: the newest that is what its digest says.

A base that is damaged is passed over for the one before it and told in the log: the replay is
longer, and the book it comes to is the same.  The file stays as it is, and ``verify`` tells of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import structlog

from ordertape import limits
from ordertape._engine import OrderBook
from ordertape.errors import BookCorrupt, TapeCorrupt
from ordertape.tape.bases import Base, read_base
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.snapshot import Snapshot

__all__ = ["WholeBook", "base_if_readable", "newest_whole", "tell_damage", "whole_book"]

_log = structlog.stdlib.get_logger("ordertape.tape")


class WholeBook(NamedTuple):
    """What a tape told of a book, and the book, which has the digest that was told."""

    told: Snapshot
    book: OrderBook


def whole_book(told: Snapshot, codecs: MarketCodecs, where: object) -> WholeBook:
    """The book that was told at a place.  Raises TapeCorrupt, which names it."""
    try:
        book = told.book(codecs)
    except (BookCorrupt, ValueError) as error:
        raise TapeCorrupt(f"{where}: expected a whole book: {error}") from None
    if (found := book.digest()) != told.digest:
        raise TapeCorrupt(
            f"{where}: expected the whole book after event {told.seq} to have the digest "
            f"{told.digest}, found {found}"
        )
    return WholeBook(told, book)


def newest_whole(bases: Sequence[Base], codecs: MarketCodecs) -> WholeBook | None:
    """The book of the newest of these bases, which rise, that is not damaged."""
    for base in reversed(bases):
        try:
            return whole_book(read_base(base, codecs), codecs, base.path)
        except TapeCorrupt as error:
            tell_damage(base.path, str(error))
    return None


def base_if_readable(base: Base, codecs: MarketCodecs) -> Snapshot | None:
    """What a base tells, for whom it is a help and no more; None where it can't be read."""
    try:
        return read_base(base, codecs)
    except TapeCorrupt as error:
        tell_damage(base.path, str(error))
        return None


@lru_cache(limits.archive_files_known)
def tell_damage(path: Path, reason: str) -> None:
    """A line in the log, once a process: the same file is met again with every request."""
    _log.warning("L3_archive_damaged", path=str(path), reason=reason)
