"""A tape walked once: the book, the lives of its orders, the detectors, the baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ordertape import limits
from ordertape._engine import NULL, Detectors, EventBatch, IdCodec, Lifecycles, OrderBook
from ordertape.errors import SettingRefused
from ordertape.evaluation.baselines import Baseline, keys_of
from ordertape.evaluation.truth import Finding, order_key
from ordertape.events import EventKind

__all__ = ["Volumes", "Walked", "detectors_of", "known_parameters", "walk"]


def known_parameters() -> dict[str, float]:
    """Those of the engine's detectors, as they ship."""
    return Detectors.parameters()


def detectors_of(parameters: Mapping[str, float]) -> Detectors:
    """The engine's detectors with other parameters than those that ship; SettingRefused."""
    known = known_parameters()
    for name in parameters:
        if name not in known:
            raise SettingRefused(f"expected a parameter of {', '.join(known)}, found {name!r}")
    return Detectors(**parameters)


class Volumes:
    """How much each order showed at most, or took."""

    def __init__(self) -> None:
        self._keys: list[npt.NDArray[np.uint64]] = []
        self._sizes: list[npt.NDArray[np.int64]] = []
        self._sums: tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]] | None = None

    def see(self, batch: EventBatch) -> None:
        kind, size = np.asarray(batch.column("kind")), np.asarray(batch.column("size"))
        opened = kind == EventKind.OPEN
        self._keys.append(keys_of(batch.column("order_id"))[opened])
        self._sizes.append(size[opened])
        takers = batch.column("taker_order_id")
        if takers is not None:
            taken = kind == EventKind.MATCH
            keys, places = np.unique(keys_of(takers)[taken], return_inverse=True)
            sums = np.zeros(len(keys), np.int64)
            np.add.at(sums, places, size[taken])
            self._keys.append(keys)
            self._sizes.append(sums)

    def __call__(self, key: int) -> int:
        if self._sums is None:
            keys = np.concatenate(self._keys) if self._keys else np.zeros(0, np.uint64)
            sizes = np.concatenate(self._sizes) if self._sizes else np.zeros(0, np.int64)
            order = np.argsort(keys, kind="stable")
            keys, sizes = keys[order], sizes[order]
            starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
            largest = np.maximum.reduceat(sizes, starts) if len(keys) else sizes
            self._sums = (keys[starts] if len(keys) else keys, largest)
        keys, largest = self._sums
        at = int(np.searchsorted(keys, np.uint64(key)))
        return int(largest[at]) if at < len(keys) and int(keys[at]) == key else 0


@dataclass(slots=True)
class Walked:
    """``findings`` by who found them (ours: ""); ``events``: how many were taken."""

    findings: dict[str, list[Finding]] = field(default_factory=dict)
    volumes: Volumes = field(default_factory=Volumes)
    events: int = 0
    first: int = NULL
    last: int = NULL
    """Times (ns) of the first and the last event."""


def walk(
    batches: Iterable[EventBatch],
    detectors: Detectors | None,
    baselines: Iterable[Baseline] = (),
    gap: Callable[[EventBatch], bool] | None = None,
) -> Walked:
    """Everything that is found on a tape.  ``gap``: whether events are missing before a batch."""
    told, rules = Walked(), list(baselines)
    told.findings = {"": [], **{rule.name: [] for rule in rules}}
    book: OrderBook | None = None
    lives = Lifecycles(
        hold_ns=limits.attribution_horizon_ms * 1_000_000, evicted_max=limits.evicted_orders_max
    )
    watchers: list[Any] = [] if detectors is None else [detectors]
    for batch in batches:
        if book is None:
            book = OrderBook(codec=batch.codec)
            told.first = int(np.asarray(batch.column("ts_recv"))[0])
        if gap is not None and gap(batch) and detectors is not None:
            detectors.gap()
        _, effects = book.apply(batch, effects=True)
        lives.take(batch, effects, book, watchers)
        ended = lives.drain()
        told.volumes.see(batch)
        told.events += len(batch)
        told.last = batch.last_ts_recv
        if detectors is not None:
            told.findings[""] += _findings(detectors, batch.codec)
        for rule in rules:
            told.findings[rule.name] += rule.take(batch, ended)
    return told


def _findings(detectors: Detectors, codec: IdCodec) -> Iterable[Finding]:
    for one in detectors.drain(codec):
        if one["phase"] != "detected":
            continue
        orders = tuple(order_key(codec.encode(text)) for text in one["order_ids"])
        yield Finding(
            *(one["kind"], one["side"], one["began"], one["ended"], one["told"], one["score"]),
            *(orders, one),
        )
