"""Labelled episodes: what a trader with a plan does, on demand, and who was it.

An episode is a script (`ordertape.simulator.episode_scripts`) that acts through a `Desk`; its
label holds when it began and ended and the ids of its owner's orders, so that a detector can be
judged.  The others in the market react to it as to anybody.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Final

from ordertape.errors import SettingRefused
from ordertape.simulator.agents_floor import EPISODE_OWNER, Floor
from ordertape.simulator.episode_scripts import HARD_NEGATIVES, SCRIPTS, Desk

__all__ = ["EPISODE_KINDS", "Episode", "Episodes"]

EPISODE_KINDS: Final = tuple(SCRIPTS)
_FIRST_OWNER: Final = EPISODE_OWNER + 1


@dataclass(slots=True, eq=False)
class Episode:
    """``manipulative`` False: a hard negative, what a detector may not accuse.  ``end_ns`` is None
    while it goes on.  ``order_ids``: the owner's orders, in the order they came."""

    kind: str
    manipulative: bool
    side: int
    owner: int
    start_ns: int
    end_ns: int | None = None
    order_ids: list[int] = field(default_factory=list)


class Episodes:
    """Runs them; ``labels`` are all so far, oldest first."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self.labels: list[Episode] = []

    def begin(self, kind: str, side: int, now_ns: int, parameters: dict[str, int]) -> Episode:
        """Starts a script at once; SettingRefused for a kind or a parameter it does not have."""
        script = SCRIPTS.get(kind)
        if script is None:
            known = ", ".join(sorted(SCRIPTS))
            raise SettingRefused(f"expected an episode of {known}, found {kind!r}")
        known_names = script.__code__.co_varnames[2 : script.__code__.co_argcount]
        for name in parameters:
            if name not in known_names:
                raise SettingRefused(
                    f"expected parameters of {', '.join(known_names)} for {kind}, found {name!r}"
                )
        label = self.note(kind, now_ns, side)
        owner = label.owner
        self._floor.matching.time_ns = now_ns
        self._go_on(script(Desk(self._floor, owner, label.order_ids), side, **parameters), label, 0)
        return label

    def note(self, kind: str, now_ns: int, side: int = 0) -> Episode:
        """A new label."""
        manipulative = kind in SCRIPTS and kind not in HARD_NEGATIVES
        label = Episode(kind, manipulative, side, _FIRST_OWNER + len(self.labels), now_ns)
        self.labels.append(label)
        return label

    def _go_on(self, script: Generator[int], label: Episode, _c: Any) -> None:
        delay_ns = next(script, None)
        if delay_ns is None:
            label.end_ns = self._floor.matching.time_ns
        else:
            self._floor.later_on_market(delay_ns, self._go_on, script, label)
