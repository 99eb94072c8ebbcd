"""Episodes as truths: what each kind must have come about as to be counted.

The definitions are those of docs/detectors.md.  What lacks a part of them is neither missed nor
false: a spoofer whose order was filled did not spoof.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final

from ordertape.evaluation.truth import Truth
from ordertape.evaluation.witness import Case, Seen

__all__ = ["DISTANCE_MAX_BP", "truths_of"]

_MS: Final = 1_000_000
_SECOND: Final = 1_000_000_000
SIZE_MIN: Final = 5.0
"""Medians, of a spoof-like order and of a layer."""
DISTANCE_MAX_BP: Final = 10.0
SHARE_MIN: Final = 0.1
"""Of what rests on its side within that distance, a spoof-like order included."""
FILLED_MAX: Final = 0.05
LIFE_S: Final = (0.05, 60.0)
LAYERS_MIN: Final = 3
STUFFING_MIN_NS: Final = _SECOND
TRANCHES_MIN: Final = 3
MOVED_MIN_BP: Final = 1.0


def truths_of(case: Case, tick: int, unit: float) -> list[Truth]:
    """What a case is, [] where nobody could see it; ``unit``: the market's median order."""
    truth_of = _KINDS.get(case.label.kind)
    if truth_of is not None:
        truth = truth_of(case, tick, unit)
        return [] if truth is None else [truth]
    label = case.label
    end = label.start_ns if label.end_ns is None else label.end_ns
    return [Truth(label.kind, label.side, label.start_ns, end, end, _ids(case), False, "honest")]


def _ids(case: Case) -> list[int]:
    return list(case.label.order_ids)


def _basis_points(case: Case, distance: int) -> float:
    return distance / (sum(case.touch) / 2) * 10_000


def _shown(case: Case) -> list[Seen]:
    """The orders on the side that is shown, in the order they came."""
    return [seen for seen in case.orders.values() if seen.side == case.label.side]


def _first_lack(*parts: tuple[bool, str]) -> str:
    """The first that does not hold, "" where all do."""
    return next((name for holds, name in parts if not holds), "")


def _traded_against(case: Case) -> bool:
    """Whether the owner traded as it wanted to: an order of the other side was met, or it took
    from the side that it showed."""
    side = case.label.side
    met = any(seen.filled for seen in case.orders.values() if seen.side != side)
    return met or any(maker_side == side for _, maker_side, _, _ in case.taken)


def _spoofing(case: Case, _tick: int, unit: float) -> Truth | None:
    shown = case.orders.get(case.label.order_ids[0])
    if shown is None or shown.ended is None:
        return None
    size = shown.size / unit
    distance = _basis_points(case, abs(shown.price - case.touch[shown.side]))
    life = (shown.ended - shown.opened) / _SECOND
    share = shown.size / (shown.size + case.depth)
    why = _first_lack(
        (shown.reason == "canceled", "not canceled"),
        (shown.filled <= FILLED_MAX * shown.size, "filled"),
        (_traded_against(case), "no trade on the other side"),
        (size >= SIZE_MIN, "small"),
        (distance <= DISTANCE_MAX_BP, "far"),
        (share >= SHARE_MIN, "little beside the depth"),
        (LIFE_S[0] * 0.98 <= life <= LIFE_S[1] * 1.02, "life"),
    )
    return Truth(
        *("spoof-like", shown.side, shown.opened, shown.ended, shown.ended),
        *(_ids(case), not why, why),
        facts={
            "size": size,
            "share": share,
            "distance_bp": distance,
            "life_s": life,
            "fill": float(_traded_against(case)),
            "filled": shown.filled / shown.size,
        },
    )


def _layering(case: Case, _tick: int, unit: float) -> Truth | None:
    layers = _shown(case)
    ends = [seen.ended for seen in layers if seen.ended is not None]
    if not layers or len(ends) < len(layers):
        return None
    total, filled = sum(s.size for s in layers), sum(s.filled for s in layers)
    began, ended = min(seen.opened for seen in layers), max(ends)
    size = min(seen.size for seen in layers) / unit
    distance = _basis_points(case, min(abs(seen.price - case.touch[seen.side]) for seen in layers))
    levels = len({seen.price for seen in layers})
    together = max(ends) - min(ends) <= _SECOND
    placed = max(seen.opened for seen in layers) - began
    why = _first_lack(
        (levels >= LAYERS_MIN, "too few levels"),
        (filled <= FILLED_MAX * total, "filled"),
        (_traded_against(case), "no trade on the other side"),
        (together and placed <= _SECOND, "not together"),
        (size >= SIZE_MIN, "small"),
        (distance <= DISTANCE_MAX_BP, "far"),
    )
    return Truth(
        *("layering", case.label.side, began, ended, ended, _ids(case), not why, why),
        facts={
            "size": size,
            "distance_bp": distance,
            "life_s": (ended - began) / _SECOND,
            "layers": levels,
            "fill": float(_traded_against(case)),
            "filled": filled / total,
        },
    )


def _quote_stuffing(case: Case, _tick: int, _unit: float) -> Truth | None:
    orders = list(case.orders.values())
    if not orders:
        return None
    began = min(seen.opened for seen in orders)
    ended = max(seen.ended or seen.opened for seen in orders)
    long = ended - began
    why = _first_lack((long >= STUFFING_MIN_NS, "short"))
    first = orders[0]
    return Truth(
        *("quote stuffing", case.label.side, began, ended, min(ended, began + STUFFING_MIN_NS)),
        *(_ids(case), not why, why),
        facts={
            "rate": 2 * len(orders) / max(long / _SECOND, 1e-9),
            "life_s": long / _SECOND,
            "distance_bp": _basis_points(case, abs(first.price - case.touch[first.side])),
        },
    )


def _native_iceberg(case: Case, _tick: int, unit: float) -> Truth | None:
    seen = case.orders.get(case.label.order_ids[0])
    if seen is None or seen.ended is None or not seen.refreshed:
        return None  # it never showed a second peak: to everybody it is an order like any other
    return Truth(
        *("native iceberg", seen.side, seen.opened, seen.ended, seen.refreshed[0]),
        *(_ids(case), True),
        facts={
            "refreshes": len(seen.refreshed),
            "size": seen.size / unit,
            "life_s": (seen.ended - seen.opened) / _SECOND,
            "background": 0,
        },
    )


def _synthetic_iceberg(case: Case, tick: int, unit: float) -> Truth | None:
    pieces = list(case.orders.values())
    if not pieces:
        return None
    run, best, third = 1, 1, None
    delays = []
    for before, after in pairwise(pieces):
        linked = (
            before.reason == "filled"
            and before.ended is not None
            and after.opened - before.ended <= _SECOND
            and abs(after.price - before.price) <= tick
        )
        run = run + 1 if linked else 1
        best = max(best, run)
        if linked and before.ended is not None:
            delays.append(after.opened - before.ended)
        if run == TRANCHES_MIN and third is None:
            third = after.opened
    sizes = [seen.size for seen in pieces]
    equal = max(sizes) <= 1.02 * min(sizes)
    ended = max(seen.ended or seen.opened for seen in pieces)
    why = _first_lack((best >= TRANCHES_MIN, "too few in a row"), (equal, "pieces differ"))
    return Truth(
        *("synthetic iceberg", case.label.side, pieces[0].opened, ended, third or ended),
        *(_ids(case), not why, why),
        facts={
            "pieces": best,
            "size": sizes[0] / unit,
            "delay_ms": sum(delays) / len(delays) / _MS if delays else 0.0,
            "vary": max(sizes) / min(sizes) - 1,
            "life_s": (ended - pieces[0].opened) / _SECOND,
        },
    )


def _momentum_ignition(case: Case, _tick: int, unit: float) -> Truth | None:
    side = case.label.side
    pushes = [trade for trade in case.taken if trade[1] == 1 - side]
    backs = [trade for trade in case.taken if trade[1] == side]
    if not pushes:
        return None
    prices = [price for _, _, price, _ in pushes]
    moved = _basis_points(case, abs(prices[-1] - prices[0]))
    began, last = pushes[0][0], (backs or pushes)[-1][0]
    why = _first_lack((moved >= MOVED_MIN_BP, "the price did not move"), (bool(backs), "kept"))
    return Truth(
        *("momentum ignition", side, began, last, last, _ids(case), not why, why),
        facts={
            "moved_bp": moved,
            "size": sum(size for _, _, _, size in pushes) / unit,
            "life_s": (last - began) / _SECOND,
        },
    )


_KINDS: Final[dict[str, Callable[[Case, int, float], Truth | None]]] = {
    "spoofing": _spoofing,
    "layering": _layering,
    "quote_stuffing": _quote_stuffing,
    "native_iceberg": _native_iceberg,
    "synthetic_iceberg": _synthetic_iceberg,
    "momentum_ignition": _momentum_ignition,
}
