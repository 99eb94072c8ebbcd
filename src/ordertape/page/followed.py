"""Books that are followed with what a picture needs: what each event did, the lives of the orders,
and how much rested in each row of prices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ordertape import limits
from ordertape._engine import Effects, EventBatch, Flow, Heat, Lifecycles, OrderBook, Rows
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.rebuild import Replay

__all__ = ["FollowedBook", "HeatedBook"]


class FollowedBook(Replay):
    """``applied`` is told each batch and its effects, and the orders that ended by it."""

    def __init__(
        self, book: OrderBook, applied: Callable[[EventBatch, Effects, Rows], None]
    ) -> None:
        super().__init__(book)
        self.heats: list[Heat] = []
        self.watchers: list[Flow] = []
        """Told of every event, as heats are."""
        self._codecs = MarketCodecs(book.codec)
        self._applied = applied
        self.lives = _lives(book.era)
        self._told_of(book, self.lives)

    @property
    def scales(self) -> tuple[int, int]:
        """Digits behind the point of prices and sizes, as of the finest that came."""
        return self.book.price_scale or 0, self.book.size_scale or 0

    def heat(self, group: int, min_size: int, level: int) -> Heat:
        """One of a level of detail that knows what rests now; it is kept up to date until
        ``forget``, and holds every bucket that finished until it is drained."""
        heat = _heat(self.book, group, min_size, level)
        self.heats.append(heat)
        return heat

    def watch(self, flow: Flow) -> None:
        """Knows what rests now, and is told what happens."""
        self._told_of(self.book, _lives(self.book.era), [flow])
        self.watchers.append(flow)

    def forget(self, heat: Heat) -> None:
        self.heats.remove(heat)

    def _told_of(self, book: OrderBook, lives: Lifecycles, watchers: Sequence[Flow] = ()) -> None:
        """What rests already, as orders whose beginning nobody saw."""
        if len(book):
            same, rows = OrderBook(codec=book.codec), book.snapshot()
            _, effects = same.apply(rows, effects=True)
            lives.take(rows, effects, same, watchers)

    def _apply(self, part: EventBatch) -> int:
        # Interned ids mean something with their dictionary alone, and readers have one each.
        part = self._rescaled(self._codecs.adopt(part))
        counters, effects = self.book.apply(part, effects=True)
        self.lives.take(part, effects, self.book, [*self.heats, *self.watchers])
        self._applied(part, effects, self.lives.drain())
        return counters.faults

    def _rescaled(self, part: EventBatch) -> EventBatch:
        """At the book's scales, where it knows finer numbers: what is compared is of one scale."""
        price, size = self.scales
        if part.price_scale >= price and part.size_scale >= size:
            return part
        return EventBatch.concat([part], price_scale=price, size_scale=size)


class HeatedBook(Replay):
    """A book and one heat of it, without the lives of its orders: a third of the cost.

    ``level``: the only level of detail that is wanted; None: all."""

    def __init__(self, book: OrderBook, group: int, min_size: int, level: int | None) -> None:
        super().__init__(book)
        self.heat = _heat(book, group, min_size, level)
        self._codecs = MarketCodecs(book.codec)

    def follow(self, batches: Iterable[EventBatch], leave: Callable[[], None]) -> None:
        """In pieces, between which ``leave`` may raise."""
        for batch in batches:
            for begin in range(0, len(batch), limits.tile_events_at_once):
                leave()
                self.take(batch[begin : begin + limits.tile_events_at_once])

    def _apply(self, part: EventBatch) -> int:
        self.heat.apply(self.book, self._codecs.adopt(part))
        return 0


def _heat(book: OrderBook, group: int, min_size: int, level: int | None) -> Heat:
    scales = {"price_scale": book.price_scale or 0, "size_scale": book.size_scale or 0}
    heat = Heat(group, min_size, **scales, level=level)
    heat.begin(book)
    return heat


def _lives(era: int) -> Lifecycles:
    return Lifecycles(
        hold_ns=limits.attribution_horizon_ms * 1_000_000,
        evicted_max=limits.evicted_orders_max,
        era=era,
    )
