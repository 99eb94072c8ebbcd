"""Labelled tapes, made by the simulator: a background, episodes of one kind, hard negatives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile
from typing import Final

from ordertape._engine import EventBatch, IdCodec
from ordertape.evaluation.draws import Measures, draw_episode, draw_honest
from ordertape.evaluation.labels import DISTANCE_MAX_BP, truths_of
from ordertape.evaluation.plan import TapePlan
from ordertape.evaluation.truth import KINDS, Truth
from ordertape.evaluation.witness import Case, Witness
from ordertape.events import EventKind, Flag
from ordertape.simulator.draws import source_of
from ordertape.simulator.episodes import Episode
from ordertape.simulator.exchange import EPOCH_NS, SimulatedMarket
from ordertape.simulator.markets import MARKETS
from ordertape.simulator.occurrences import Occurrence, to_batch

__all__ = ["Making"]

_SECOND: Final = 1_000_000_000
WARM_UP_S: Final = 120
"""Before the first episode: what is usual must be learnt, and the median order measured."""
_GAP_S: Final = (3.0, 12.0)
"""From one episode to the next: at least, and on the mean."""
_STUFFING_GAP_S: Final = (5.0, 30.0)
"""Of bursts: what is usual would be a burst, else."""
_HONEST_GAP_S: Final = (1.0, 60.0)
_AFTER_RESTART_S: Final = 30
_TWAPS: Final = 0.2
"""Of synthetic icebergs and slices that look like them, the latter."""
_TRIES: Final = 6
"""Episodes for one that is counted, at most: what the market makes of a plan is not in its hand."""
_BATCH: Final = 4_000


class Making:
    """One tape: ``batches`` gives its events, after which ``truths`` holds what happened."""

    def __init__(self, plan: TapePlan) -> None:
        self.plan = plan
        shape, background = MARKETS[plan.background.symbol], plan.background
        self.market = SimulatedMarket(
            *(shape, plan.market_seed, background.rate, EPOCH_NS),
            preset=background.preset,
            live_orders=background.live_orders,
        )
        self.codec = IdCodec("int")
        self.truths: list[Truth] = []
        self.done = 0
        """Episodes counted so far."""
        self._random = source_of(f"{plan.market_seed} {plan.kind} {background.name}")
        self._witness = Witness()
        self._measures = Measures(100, 1, background.rate)
        self._log: list[Occurrence] = []
        self._next_seq = 1
        self._settled: set[int] = set()
        """Places of cases that are truths already."""

    @property
    def seconds(self) -> float:
        """Of the market's time since the warm-up."""
        return max(0.0, (self.market.now_ns - EPOCH_NS) / _SECOND - WARM_UP_S)

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1."""
        if self.plan.kind is None:
            return min(1.0, self.seconds / self.plan.seconds)
        return min(1.0, self.done / max(1, self.plan.episodes))

    def batches(self) -> Iterator[EventBatch]:
        """Every event, the starting book first."""
        yield self._opening()
        yield from self._until(EPOCH_NS + WARM_UP_S * _SECOND)
        self._measure()
        yield from self._clean() if self.plan.kind is None else self._episodes(self.plan.kind)
        yield from self._until(self.market.now_ns + 10 * _SECOND)
        yield from self._flush()
        self._icebergs()
        self.truths.sort(key=lambda truth: truth.began)

    # Schedules -------------------------------------------------------------------------------

    def _episodes(self, kind: str) -> Iterator[EventBatch]:
        script, market = KINDS[kind], self.market
        gap = _STUFFING_GAP_S if script == "quote_stuffing" else _GAP_S
        honest_at = self._after(_HONEST_GAP_S)
        for _ in range(_TRIES * self.plan.episodes):
            if self.done >= self.plan.episodes:
                break
            begin_at = self._after(gap)
            while honest_at < begin_at:
                yield from self._until(honest_at)
                if self._honest():
                    begin_at = max(begin_at, market.now_ns + _AFTER_RESTART_S * _SECOND)
                honest_at = self._after(_HONEST_GAP_S)
            yield from self._until(begin_at)
            if script == "synthetic_iceberg" and self._random.random() < _TWAPS:
                label = self._begin("twap")
            else:
                label = self._begin(script)
            while label.end_ns is None:
                yield from self._until(market.now_ns + _SECOND // 4)
                if honest_at < market.now_ns:
                    self._honest(restarts=False)
                    honest_at = self._after(_HONEST_GAP_S)
            yield from self._until(market.now_ns)
            self._settle()

    def _clean(self) -> Iterator[EventBatch]:
        end = self.market.now_ns + self.plan.seconds * _SECOND
        honest_at = self._after(_HONEST_GAP_S)
        while honest_at < end:
            yield from self._until(honest_at)
            self._honest()
            honest_at = self._after(_HONEST_GAP_S)
        yield from self._until(end)
        self._settle()

    def _after(self, gap: tuple[float, float]) -> int:
        least, mean = gap
        seconds = least + self._random.expovariate(1 / (mean - least))
        return self.market.now_ns + round(seconds * _SECOND)

    # Acts ------------------------------------------------------------------------------------

    def _begin(self, script: str) -> Episode:
        side, market = self._random.randrange(2), self.market
        depth = self._depth(side)
        measures = replace(self._measures, depth_percent=100 * depth / market.shape.program)
        parameters = draw_episode(script, self._random, measures)
        touch = self._touch()
        label = market.begin_episode(script, side, **parameters)
        self._witness.begin(Case(label, touch, depth))
        return label

    def _touch(self) -> tuple[int, int]:
        floor = self.market.agents.floor
        return floor.touch(0), floor.touch(1)

    def _depth(self, side: int) -> int:
        """What rests on a side within 10 basis points of its touch."""
        best = self._touch()[side]
        within = best * DISTANCE_MAX_BP / 10_000
        near = takewhile(
            lambda order: abs(order.price - best) <= within, self.market.matching.rows(side)
        )
        return sum(order.size for order in near)

    def _honest(self, *, restarts: bool = True) -> bool:
        """A hard negative; whether it was a restart of the venue."""
        name = draw_honest(self._random)
        if name != "venue_restart":
            self._begin(name)
            return False
        if restarts:
            touch = self._touch()
            self._witness.begin(Case(self.market.venue_restart(), touch, 0))
        return restarts

    def _measure(self) -> None:
        shape = self.market.shape
        ticks = shape.start / 10_000 / shape.tick
        percent = 100 * self._witness.median_size / shape.program
        self._measures = Measures(percent, ticks, self.plan.background.rate)

    # Truths ----------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Cases that are over become truths."""
        tick = self.market.shape.tick
        unit = self._witness.median_size
        for place, case in enumerate(self._witness.cases):
            if place in self._settled or case.label.end_ns is None:
                continue
            self._settled.add(place)
            found = truths_of(case, tick, unit)
            self.truths += found
            self.done += sum(truth.counted and truth.kind == self.plan.kind for truth in found)

    def _icebergs(self) -> None:
        """Those of the background: nobody planned them, and they are icebergs all the same."""
        self._settle()
        for order_id, seen in self._witness.icebergs.items():
            ended = self.market.now_ns if seen.ended is None else seen.ended
            self.truths.append(
                Truth(
                    *("native iceberg", seen.side, seen.opened, ended, seen.refreshed[0]),
                    *([order_id], True),
                    facts={"refreshes": len(seen.refreshed), "background": 1},
                )
            )

    # Events ----------------------------------------------------------------------------------

    def _opening(self) -> EventBatch:
        """The book before the first occurrence, as after a resync."""
        rows = list(self.market.rows())
        kinds = [int(EventKind.CLEAR)] + [int(EventKind.OPEN)] * len(rows)
        flags = [0] + [int(Flag.SNAPSHOT)] * len(rows)
        flags[-1] |= Flag.LAST
        self._next_seq = 2
        return EventBatch.from_arrays(
            kind=kinds,
            side=[255] + [row.side for row in rows],
            order_id=[None] + [str(row.order_id) for row in rows],
            price=[0] + [row.price for row in rows],
            size=[0] + [row.size for row in rows],
            ts_event=[EPOCH_NS] * (1 + len(rows)),
            flags=flags,
            price_scale=self.market.price_scale,
            size_scale=self.market.size_scale,
            codec=self.codec,
            trade_codec="int",
        )

    def _until(self, until_ns: int) -> Iterator[EventBatch]:
        """Lets the market go on, in steps."""
        while True:
            log = self.market.advance(min(until_ns, self.market.now_ns + _SECOND))
            self._witness.see(log)
            self._log += log
            if len(self._log) >= _BATCH:
                yield from self._flush()
            if self.market.now_ns >= until_ns:
                return

    def _flush(self) -> Iterator[EventBatch]:
        market = self.market
        batch = to_batch(
            *(self._log, market.price_scale, market.size_scale),
            codec=self.codec,
            first_seq=self._next_seq,
        )
        self._log = []
        if batch is not None:
            self._next_seq = batch.last_seq + 1
            yield batch
