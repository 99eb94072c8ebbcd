"""Real tapes: what the detectors tell of order flow whose truth nobody knows."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ordertape._engine import EventBatch
from ordertape.errors import BadFile, SettingRefused
from ordertape.evaluation.bitstamp import read_bitstamp
from ordertape.evaluation.truth import Finding
from ordertape.evaluation.walking import Walked, detectors_of, walk
from ordertape.tape.lobster import read_lobster

__all__ = ["STRONGEST", "Crossed", "RealFindings", "Recording", "judge_real", "recordings_in"]

STRONGEST: Final = 10
_HOUR_NS: Final = 3_600 * 1_000_000_000
NOTHING: Final = "none"


@dataclass(frozen=True, slots=True)
class Recording:
    """``read``: the events of ``paths``; ``classes``: what obAnalytics called its orders."""

    name: str
    paths: list[Path]
    read: Callable[[list[Path]], Iterator[EventBatch]]
    classes: Path | None = None


def _read_lobster(paths: list[Path]) -> Iterator[EventBatch]:
    yield from read_lobster(paths[0], paths[1])


_AAPL: Final = "data/lobster_aapl_2012/AAPL_2012-06-21_34200000_"
_BITSTAMP: Final = "data/bitstamp_2015/"
_RECORDINGS: Final = (
    (
        "NASDAQ AAPL, 2012-06-21, 9:30 to 10:30 (LOBSTER)",
        (f"{_AAPL}37800000_message_50.csv.gz", f"{_AAPL}57600000_orderbook_1.csv.gz"),
        _read_lobster,
    ),
    (
        "Bitstamp BTC/USD, 2015-05-01, five hours",
        (f"{_BITSTAMP}2015-05-01.log.xz",),
        lambda paths: read_bitstamp(paths[0]),
    ),
)
"""(name, files below the folder of recordings, their events) each."""
_CLASSES: Final = f"{_BITSTAMP}obanalytics_events.csv.gz"


@dataclass(slots=True)
class Crossed:
    """Orders by obAnalytics' type and by what ours told of them; ``NOTHING`` where nothing."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def types(self) -> list[str]:
        sums = Counter[str]()
        for (type_, _), count in self.counts.items():
            sums[type_] += count
        return [type_ for type_, _ in sums.most_common()]


@dataclass(slots=True)
class RealFindings:
    """Of one recording; ``strongest`` by score, the highest first."""

    name: str
    events: int
    first: int
    """Time of the first event (ns)."""
    hours: float
    counts: dict[str, int]
    strongest: list[Finding]
    crossed: Crossed | None = None

    def line(self) -> str:
        """For a terminal."""
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(self.counts.items()))
        return f"{self.name}: {self.events:,} events, {told or 'nothing found'}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "events": self.events,
            "hours": self.hours,
            "findings": self.counts,
        }

    def per_hour(self, kind: str) -> float:
        return self.counts.get(kind, 0) / self.hours if self.hours else 0.0


def recordings_in(folder: Path) -> list[Recording]:
    """Those that are below ``folder``; SettingRefused where there is none."""
    found = []
    for name, needs, read in _RECORDINGS:
        paths = [folder / need for need in needs]
        if all(path.is_file() for path in paths):
            classes = folder / _CLASSES
            known = needs[0].startswith(_BITSTAMP) and classes.is_file()
            found.append(Recording(name, paths, read, classes if known else None))
    if not found:
        wanted = ", ".join(needs[0] for _, needs, _ in _RECORDINGS)
        raise SettingRefused(f"expected recordings such as {wanted} in {folder}, found none")
    return found


def judge_real(recording: Recording, parameters: Mapping[str, float]) -> RealFindings:
    """What the detectors tell of one; BadFile."""
    walked = walk(recording.read(recording.paths), detectors_of(parameters))
    real = _real(recording.name, walked)
    if recording.classes is not None:
        real.crossed = _cross(recording.classes, walked.findings[""])
    return real


def _real(name: str, walked: Walked) -> RealFindings:
    findings = walked.findings[""]
    counts = Counter(finding.kind for finding in findings)
    strongest = sorted(findings, key=lambda one: (-one.score, one.told))[:STRONGEST]
    hours = (walked.last - walked.first) / _HOUR_NS if walked.events else 0.0
    return RealFindings(name, walked.events, walked.first, hours, dict(counts), strongest)


def _cross(path: Path, findings: list[Finding]) -> Crossed:
    """obAnalytics tells a type a row; an order has one."""
    types: dict[str, str] = {}
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                types[row["id"]] = row["type"]
    except (OSError, EOFError, KeyError, UnicodeDecodeError) as error:
        raise BadFile(path, "its rows", f"expected id and type, found {error}") from error
    kinds: dict[str, set[str]] = {}
    for finding in findings:
        detail: dict[str, Any] = finding.detail or {}
        for order in detail.get("order_ids", ()):
            kinds.setdefault(order, set()).add(finding.kind)
    crossed = Crossed()
    for order, type_ in types.items():
        for kind in kinds.get(order, {NOTHING}):
            crossed.counts[type_, kind] += 1
    return crossed
