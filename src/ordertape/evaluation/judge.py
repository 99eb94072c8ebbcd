"""Findings held against episodes, by one rule.

A finding is right where market and side are the episode's, where it overlaps at least half of the
episode's time or begins inside it, and where at least half of the volume that it names belongs to
the episode's orders.  One finding an episode: the first; each more is false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ordertape.evaluation.truth import Finding, Truth

__all__ = ["Verdict", "judge"]


@dataclass(slots=True)
class Verdict:
    """Of one kind on one tape: ``hits`` are (truth, the finding that is right about it), ``false``
    what is right about nothing or repeats, ``missed`` counted truths that nothing found, ``aside``
    findings of episodes that are not counted."""

    hits: list[tuple[Truth, Finding]] = field(default_factory=list)
    false: list[Finding] = field(default_factory=list)
    missed: list[Truth] = field(default_factory=list)
    aside: list[tuple[Truth, Finding]] = field(default_factory=list)


def judge(
    truths: Sequence[Truth], findings: Iterable[Finding], volume: Callable[[int], int]
) -> Verdict:
    """All of one kind and one market; ``volume``: how much an order showed or took."""
    owner = {order: place for place, truth in enumerate(truths) for order in truth.orders}
    verdict, found = Verdict(), set[int]()
    for finding in sorted(findings, key=lambda one: (one.told, one.began)):
        place = _owner_of_half(finding, owner, volume)
        if place is None or not _fits(truths[place], finding) or place in found:
            verdict.false.append(finding)
            continue
        found.add(place)
        truth = truths[place]
        (verdict.hits if truth.counted else verdict.aside).append((truth, finding))
    verdict.missed = [
        truth for place, truth in enumerate(truths) if truth.counted and place not in found
    ]
    return verdict


def _fits(truth: Truth, finding: Finding) -> bool:
    """Side and time."""
    if finding.side != truth.side:
        return False
    if truth.began <= finding.began <= truth.ended:
        return True
    overlap = min(truth.ended, finding.ended) - max(truth.began, finding.began)
    return overlap > 0 and 2 * overlap >= truth.ended - truth.began


def _owner_of_half(
    finding: Finding, owner: dict[int, int], volume: Callable[[int], int]
) -> int | None:
    """Whose orders are at least half of what it names."""
    sums: dict[int, int] = {}
    total = 0
    for order in finding.orders:
        size = volume(order)
        total += size
        place = owner.get(order)
        if place is not None:
            sums[place] = sums.get(place, 0) + size
    if not sums or total <= 0:
        return None
    place = max(sums, key=lambda one: sums[one])
    return place if 2 * sums[place] >= total else None
