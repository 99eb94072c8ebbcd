"""What became of the orders of an episode, read from the log of the exchange that it ran on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from ordertape.simulator.episodes import Episode
from ordertape.simulator.occurrences import Changed, Ended, Occurrence, Opened, Traded

__all__ = ["Case", "Seen", "Witness"]


@dataclass(slots=True)
class Seen:
    """One order: ``size`` as it first showed, ``filled`` as a maker, ``refreshed`` when each later
    peak was shown."""

    side: int
    price: int
    size: int
    opened: int
    filled: int = 0
    ended: int | None = None
    reason: str = ""
    refreshed: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Case:
    """An episode, the touch (bid, ask) when it began and what rested on its side within 10 basis
    points, its orders that rested, and its trades as a taker: (time, side of the maker, price,
    size)."""

    label: Episode
    touch: tuple[int, int]
    depth: int
    orders: dict[int, Seen] = field(default_factory=dict)
    taken: list[tuple[int, int, int, int]] = field(default_factory=list)


class Witness:
    """Reads the log piece by piece.

    ``cases``: those told of.  ``icebergs``: orders of the venue's own icebergs that belong to no
    episode and showed at least a second peak.  ``sizes``: of the orders that began to rest.
    """

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.icebergs: dict[int, Seen] = {}
        self.sizes: list[int] = []
        self._open: dict[int, Seen] = {}
        self._owner: dict[int, Case] = {}
        self._known: dict[int, int] = {}
        """How many ids of each running case are known, by its place in ``cases``."""

    def begin(self, case: Case) -> None:
        self._known[len(self.cases)] = 0
        self.cases.append(case)

    @property
    def median_size(self) -> float:
        return median(self.sizes)

    def see(self, log: Iterable[Occurrence]) -> None:
        """The next piece, after the labels have got the ids that stand in it."""
        self._learn()
        opened, owner = self._open, self._owner
        for item in log:
            if isinstance(item, Opened):
                if not item.hidden:
                    seen = Seen(item.side, item.price, item.size, item.time_ns)
                    opened[item.order_id] = seen
                    case = owner.get(item.order_id)
                    if case is not None:
                        case.orders[item.order_id] = seen
            elif isinstance(item, Ended):
                ended = opened.pop(item.order_id, None)
                if ended is not None:
                    ended.ended, ended.reason = item.time_ns, item.reason
                    if ended.opened != item.time_ns:
                        self.sizes.append(ended.size)
            elif isinstance(item, Traded):
                maker = opened.get(item.maker_id)
                if maker is not None:
                    maker.filled += item.size
                case = owner.get(item.taker_id)
                if case is not None:
                    case.taken.append((item.time_ns, item.side, item.price, item.size))
            elif isinstance(item, Changed) and item.reason == "refreshed":
                iceberg = opened.get(item.order_id)
                if iceberg is not None:
                    iceberg.refreshed.append(item.time_ns)
                    if item.order_id not in owner:
                        self.icebergs[item.order_id] = iceberg

    def _learn(self) -> None:
        for place, count in list(self._known.items()):
            case = self.cases[place]
            ids = case.label.order_ids
            for order_id in ids[count:]:
                self._owner[order_id] = case
            self._known[place] = len(ids)
            if case.label.end_ns is not None:
                del self._known[place]
