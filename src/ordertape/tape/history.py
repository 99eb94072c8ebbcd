"""What the marks of a tape say about its moments: states, gaps, eras, and whether it is real."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, NamedTuple

from ordertape import limits
from ordertape.tape.archive_files import list_files
from ordertape.tape.folder import MarketFolder
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader
from ordertape.times import NS_PER_SECOND, iso_from_ns

__all__ = ["History", "Hole", "history_of"]


class Hole(NamedTuple):
    """Events from ``from_ns`` to ``to_ns`` (None: it goes on) are missing."""

    from_ns: int
    to_ns: int | None
    reason: str


class History:
    """The marks of one market, in their order; may be told more of them at any time.

    A mark that is told again changes nothing.
    """

    def __init__(self, marks: Iterable[Mark] = ()) -> None:
        self.simulated = False
        self.state = ""
        self.reason = ""
        self._digests: list[int] = []
        self._states: list[tuple[int, str]] = []
        self._gaps: dict[int, dict[str, Any]] = {}
        self._eras: list[tuple[int, int]] = []
        for mark in marks:
            self.take(mark)

    def take(self, mark: Mark) -> None:
        """The next mark."""
        if mark.kind == "state":
            self._take_state(mark)
        elif mark.kind == "simulated":
            self.simulated = True
        elif mark.kind == "digest":
            if mark.ts not in self._digests[-limits.marks_told_again_max :]:
                self._digests.append(mark.ts)
        elif mark.kind == "era":
            self.begin_era(mark.seq, int(mark.fields["era"]))
        elif mark.kind == "gap":
            # A gap is told as it begins and again as it is healed: the later mark counts.
            self._gaps[mark.fields["from_ns"]] = mark.fields

    def _take_state(self, mark: Mark) -> None:
        told = (mark.ts, str(mark.fields["to"]))
        if told not in self._states[-limits.marks_told_again_max :]:
            self._states.append(told)
            self.state, self.reason = told[1], str(mark.fields.get("reason") or "")

    def begin_era(self, seq: int, era: int) -> None:
        """The CLEAR ``seq`` began an era."""
        if not self._eras or self._eras[-1][0] < seq:
            self._eras.append((seq, era))

    def era_at(self, seq: int) -> int | None:
        """The era that an event belongs to, None where the tape does not tell."""
        place = bisect_right(self._eras, seq, key=lambda begun: begun[0])
        return self._eras[place - 1][1] if place else None

    @property
    def last_era(self) -> int:
        """The newest, 0 before the first."""
        return self._eras[-1][1] if self._eras else 0

    def digests(self, start: int | None = None, end: int | None = None) -> int:
        """Whole books proved on the tape from ``start`` to before ``end`` (ns)."""
        return sum(
            (start is None or ts >= start) and (end is None or ts < end) for ts in self._digests
        )

    def state_at(self, ns: int) -> str:
        """The stream's state at a moment; STOPPED before the first that is told."""
        state = "STOPPED"
        for ts, told in self._states:
            if ts > ns:
                break
            state = told
        return state

    def gap_at(self, ns: int) -> dict[str, Any] | None:
        """The gap around a moment, the last one where there are several."""
        found = self._around(ns)
        return None if found is None else _shown(found)

    def hole_at(self, ns: int) -> Hole | None:
        """The same as a Hole."""
        found = self._around(ns)
        return None if found is None else _hole(found)

    def holes(self, start: int, end: int) -> list[Hole]:
        """The gaps that begin from ``start`` to before ``end``, oldest first."""
        found = [_hole(gap) for gap in self._gaps.values() if start <= gap["from_ns"] < end]
        return sorted(found, key=lambda hole: hole.from_ns)

    def hole_from(self, from_ns: int) -> Hole | None:
        """The gap that begins at a moment, as it was told last."""
        found = self._gaps.get(from_ns)
        return None if found is None else _hole(found)

    def _around(self, ns: int) -> dict[str, Any] | None:
        inside = [
            gap
            for gap in list(self._gaps.values())
            if gap["from_ns"] <= ns and (gap["to_ns"] is None or ns < gap["to_ns"])
        ]
        return inside[-1] if inside else None

    def gaps(self, start: int | None = None, end: int | None = None) -> list[dict[str, Any]]:
        """The gaps that reach into the time from ``start`` to before ``end``, oldest first."""
        return [
            _shown(gap)
            for gap in sorted(self._gaps.values(), key=lambda gap: int(gap["from_ns"]))
            if (end is None or gap["from_ns"] < end)
            and (start is None or gap["to_ns"] is None or gap["to_ns"] > start)
        ]

    def gap_seconds(self, now: int, start: int | None = None, end: int | None = None) -> float:
        """Seconds inside gaps between ``start`` and ``end``; one that lasts ends ``now`` (ns)."""
        total = 0
        for gap in list(self._gaps.values()):
            first = max(gap["from_ns"], start if start is not None else gap["from_ns"])
            last = now if gap["to_ns"] is None else gap["to_ns"]
            total += max(0, (last if end is None else min(last, end)) - first)
        return total / NS_PER_SECOND

    @property
    def gap_count(self) -> int:
        return len(self._gaps)


def history_of(reader: TapeReader, until: int | None = None) -> History:
    """What the tape says now, from event ``reader.from_seq`` on.

    ``until``: what it said when that was its last event.
    """
    history = History()
    for seq, era in _archived_eras(reader.folder):
        if until is None or seq <= until:
            history.begin_era(seq, era)
    for mark in reader.marks():
        if until is None or mark.seq <= until:
            history.take(mark)
    return history


def _archived_eras(folder: MarketFolder) -> list[tuple[int, int]]:
    """(seq, era) of every CLEAR in the archive: each file names its CLEARs and its last era."""
    eras = []
    for file in list_files(folder.archive):
        info = file.info
        first = info.era - len(info.clears) + 1
        eras += [(seq, first + nth) for nth, seq in enumerate(info.clears)]
    return eras


def _hole(fields: dict[str, Any]) -> Hole:
    return Hole(fields["from_ns"], fields["to_ns"], str(fields["reason"]))


def _shown(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "from": iso_from_ns(fields["from_ns"]),
        "to": None if fields["to_ns"] is None else iso_from_ns(fields["to_ns"]),
        "reason": fields["reason"],
        "healed_by": fields["healed_by"],
    }
