"""A tape walked with the detectors: what they find, in order, whatever is read in what pieces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

from ordertape import limits
from ordertape._engine import Detectors
from ordertape.findings.finding import Finding, finding_of
from ordertape.lifecycles.walk import Walk
from ordertape.lifecycles.way import Way
from ordertape.tape.archive_files import load_codecs
from ordertape.tape.bases import base_of_cut, bases_until, read_base
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.folder import MarketFolder
from ordertape.tape.history import history_of
from ordertape.tape.lookup import TapeLookup
from ordertape.tape.reader import TapeReader
from ordertape.tape.snapshot import Snapshot
from ordertape.tape.whole_books import newest_whole
from ordertape.times import NS_PER_SECOND, Time, parse_time

__all__ = ["FindingsWalk", "read_findings"]

WARM_UP_NS = limits.detectors_warm_up_s * NS_PER_SECOND


class FindingsWalk(Way):
    """Follows a tape from well before an event on, so that baselines are known there; to be closed.

    ``behind``: findings told by earlier events are left out.  Those told by this one may have been
    told before: some follow from time alone, and only the next event shows that it passed.  Raises
    UnknownMarket, TapeCorrupt.
    """

    def __init__(self, folder: MarketFolder, behind: int) -> None:
        self.detectors = Detectors()
        self._behind = behind
        reader = TapeReader(folder.data, folder.exchange, folder.symbol)
        codecs = load_codecs(folder)
        walk = Walk(codecs, lambda seq: history_of(reader).era_at(seq), (self.detectors,))
        book = _book_before(folder, codecs, behind)
        if book is not None:
            walk.restore(book)
        super().__init__(walk, reader)

    def stride(self) -> bool:
        """The next events; False where there are no more now."""
        begun = self.walk.seq
        while self.walk.seq - begun < limits.findings_stride_events:
            if not self.step():
                return False
            self.walk.forget_told()
        return True

    def found(self) -> list[Finding]:
        """Findings and later phases of them since it was last asked, oldest first."""
        codec = self.walk.lives.codec
        if codec is None:
            return []
        told = map(finding_of, self.detectors.drain(codec))
        return [finding for finding in told if finding.told_seq >= self._behind]


def _book_before(folder: MarketFolder, codecs: MarketCodecs, seq: int) -> Snapshot | None:
    """The newest whole book from which baselines are warm behind an event; the first that events
    go on from where there is none so early."""
    lookup = TapeLookup(folder)
    found = lookup.events(seq, seq) if seq else []
    reached = found[0].last_ts_recv if found else None
    if seq > lookup.last_seq():
        reached = lookup.last_ts()
    # An event before the tape's beginning was let go with what stood around it.
    if reached is not None:
        early = newest_whole(bases_until(folder.archive, reached - WARM_UP_NS), codecs)
        if early is not None:
            return early.told
    base = base_of_cut(folder.archive)
    return None if base is None else read_base(base, codecs)


def read_findings(
    data: str | os.PathLike[str],
    exchange: str,
    symbol: str,
    start: Time | None = None,
    end: Time | None = None,
) -> Iterator[Finding]:
    """What the detectors find on a tape from ``start`` to before ``end`` (when it was told, ours).

    Icebergs come again with each later phase.  Raises UnknownMarket, TapeCorrupt, SettingRefused.
    """
    folder = MarketFolder(data, exchange, symbol)
    folder.require()
    from_ns = None if start is None else parse_time(start)
    to_ns = None if end is None else parse_time(end)
    behind = 0 if from_ns is None else TapeLookup(folder).seq_from(from_ns) - 1
    return _read(folder, behind, from_ns or 0, to_ns)


def _read(folder: MarketFolder, behind: int, from_ns: int, to_ns: int | None) -> Iterator[Finding]:
    with closing(FindingsWalk(folder, behind)) as way:
        more = True
        while more:
            more = way.stride()
            for finding in way.found():
                if from_ns <= finding.told and (to_ns is None or finding.told < to_ns):
                    yield finding
            if to_ns is not None and way.walk.ts_recv >= to_ns:
                return
