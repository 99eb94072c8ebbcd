"""The score sheet: all tapes' figures together, as lines for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ordertape.evaluation.running import Judged, Wrong
from ordertape.evaluation.scores import Score, Share
from ordertape.evaluation.truth import KINDS

__all__ = ["Sheet", "shown_share"]


class Sheet:
    """Of whatever tapes were judged."""

    def __init__(self, judged: Sequence[Judged]) -> None:
        self.judged = list(judged)

    @property
    def finders(self) -> list[str]:
        """Ours first."""
        return list(dict.fromkeys(name for one in self.judged for name, _ in one.scores))

    @property
    def kinds(self) -> list[str]:
        there = {kind for one in self.judged for _, kind in one.scores}
        return [kind for kind in KINDS if kind in there]

    def score(self, finder: str, kind: str, tapes: Iterable[Judged] | None = None) -> Score:
        """Of some tapes, all where none are told."""
        score = Score()
        for one in self.judged if tapes is None else tapes:
            score += one.scores.get((finder, kind), Score())
        return score

    # Lines -----------------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        events = sum(one.events for one in self.judged)
        yield f"{len(self.judged)} tapes, {events:,} events"
        for finder in self.finders:
            yield ""
            yield finder or "ordertape"
            yield (
                f"  {'kind':20}{'precision':>22}{'recall':>22}{'F1':>7}{'area':>7}"
                f"{'alarms/h':>10}{'delay p50':>11}{'p99, ms':>9}{'episodes':>10}"
            )
            for kind in self.kinds:
                score = self.score(finder, kind)
                if finder and not (score.hits or score.false or score.alarms):
                    continue
                yield f"  {kind:20}{_line(score)}"

    def wrong_lines(self, kinds: Sequence[str]) -> Iterator[str]:
        """What is missed and false, one by one."""
        for kind in kinds:
            for one in self.judged:
                for wrong in one.wrong:
                    if wrong.kind == kind:
                        yield _wrong_line(one, wrong)

    def as_dict(self) -> dict[str, Any]:
        return {
            "events": sum(one.events for one in self.judged),
            "tapes": [one.plan.name for one in self.judged],
            "scores": [
                {"finder": finder or "ordertape", "kind": kind} | figures(self.score(finder, kind))
                for finder in self.finders
                for kind in self.kinds
            ],
        }


def figures(score: Score) -> dict[str, Any]:
    """A score as numbers by their names; None where there is nothing to divide by."""
    return {
        "episodes": score.hits + score.missed,
        "hits": score.hits,
        "false": score.false,
        "missed": score.missed,
        "aside": score.aside,
        "precision": score.precision.value,
        "precision_interval": score.precision.interval,
        "recall": score.recall.value,
        "recall_interval": score.recall.interval,
        "f1": score.f1,
        "area": score.area,
        "alarms": score.alarms,
        "clean_hours": score.hours,
        "alarms_per_hour": score.alarms_per_hour,
        "delay_p50_ms": score.delay(0.5),
        "delay_p99_ms": score.delay(0.99),
    }


def shown_share(share: Share) -> str:
    """``0.95 (0.92–0.97)``."""
    if share.value is None:
        return "–"
    low, high = share.interval
    return f"{share.value:.3f} ({low:.3f}–{high:.3f})"


def shown(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _line(score: Score) -> str:
    return (
        f"{shown_share(score.precision):>22}{shown_share(score.recall):>22}"
        f"{shown(score.f1):>7}{shown(score.area):>7}{shown(score.alarms_per_hour):>10}"
        f"{shown(score.delay(0.5), 1):>11}{shown(score.delay(0.99), 1):>9}"
        f"{score.hits + score.missed:>10,}"
    )


def _wrong_line(one: Judged, wrong: Wrong) -> str:
    if wrong.truth is not None:
        facts = ", ".join(f"{name} {value:.4g}" for name, value in wrong.truth.facts.items())
        seconds = wrong.truth.began % 10**14 / 1e9
        return f"missed {wrong.kind}: {one.plan.name} at {seconds:.3f} s: {facts}"
    found = wrong.finding
    if found is None:
        return ""
    detail = found.detail or {}
    parts = {**detail.get("evidence", {}), **detail.get("against", {})}
    evidence = ", ".join(f"{name} {value:.3g}" for name, value in parts.items())
    about = f" ({wrong.about})" if wrong.about else ""
    seconds, life = found.began % 10**14 / 1e9, (found.ended - found.began) / 1e9
    return (
        f"false {wrong.kind}: {one.plan.name} at {seconds:.3f} s for {life:.3f} s{about}: "
        f"score {found.score:.3f}, {len(found.orders)} orders, {evidence}"
    )
