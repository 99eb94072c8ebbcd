"""One market of a simulated exchange: its matching, the traders in it, its log and its true book.

Pure: no sockets and no clock of its own; it is moved on by whom it belongs to, and the same seed
gives the same log byte for byte.  `ordertape.simulator.occurrences` tells what the log holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ordertape._engine import OrderBook
from ordertape.errors import SettingRefused
from ordertape.simulator.agents import Agents
from ordertape.simulator.episodes import Episode, Episodes
from ordertape.simulator.markets import (
    LIVE_ORDERS_MAX,
    LIVE_ORDERS_MIN,
    RATE_MAX,
    RATE_MIN,
    SIZE_SCALE,
    MarketShape,
)
from ordertape.simulator.matcher import Matcher
from ordertape.simulator.occurrences import Occurrence
from ordertape.simulator.oracle import Oracle, true_book
from ordertape.simulator.queues import Order

__all__ = ["EPOCH_NS", "SimulatedMarket"]

EPOCH_NS: Final = 1_793_491_200_000_000_000
"""2026-11-01T00:00:00Z.  Ids grow with the time since: a market that starts again uses new ones."""
FIRST_ORDER_ID: Final = 210_000_000_000
FIRST_TRADE_ID: Final = 1_800_000_000
ORDER_IDS_PER_SECOND: Final = 40_000
TRADE_IDS_PER_SECOND: Final = 4_000
"""More than the highest rate uses."""


class SimulatedMarket:
    """A market that begins at ``start_ns`` with a full book, which is no part of its log.

    ``rate``: occurrences a second in the long run, RATE_MIN to RATE_MAX.
    ``preset``: what kind of market (None: the shape's).  ``live_orders``: about how many rest,
    LIVE_ORDERS_MIN to LIVE_ORDERS_MAX (None: as the preset has it).  ``keep``: how many occurrences
    back `digest_at` can look (0: none).  ``id_text`` and ``id_codec``: how the venue prints an
    order's id, so that digests are those of books made from the venue's texts.
    ``rejects_published`` (None: as the preset has it): see `Matcher`.  SettingRefused for a rate or
    a number of orders beyond the limits.
    """

    def __init__(
        self,
        shape: MarketShape,
        seed: int,
        rate: int,
        start_ns: int,
        *,
        preset: str | None = None,
        live_orders: int | None = None,
        keep: int = 0,
        id_text: Callable[[int], str] = str,
        id_codec: str = "int",
        rejects_published: bool | None = None,
    ) -> None:
        _check("a rate", rate, RATE_MIN, RATE_MAX)
        if live_orders is not None:
            _check("a number of live orders", live_orders, LIVE_ORDERS_MIN, LIVE_ORDERS_MAX)
        self.shape, self.seed, self.rate = shape, seed, rate
        self.price_scale, self.size_scale = shape.price_scale, SIZE_SCALE
        self._id_text, self._id_codec = id_text, id_codec
        seconds = max(0, start_ns - EPOCH_NS) // 1_000_000_000
        self.matching = Matcher(FIRST_TRADE_ID + TRADE_IDS_PER_SECOND * seconds)
        self.agents = Agents(
            *(shape, seed, rate, start_ns, self.matching),
            preset=shape.preset if preset is None else preset,
            first_order_id=FIRST_ORDER_ID + ORDER_IDS_PER_SECOND * seconds,
            live_orders=live_orders,
            rejects_published=rejects_published,
        )
        self.matching.log.clear()
        self.matching.sequence = 0
        self.now_ns = start_ns
        self._episodes = Episodes(self.agents.floor)
        self._oracle = Oracle(self.book, keep, id_text) if keep else None

    # Time ------------------------------------------------------------------------------------

    @property
    def due_ns(self) -> int:
        """When the next thing happens."""
        return self.agents.due_ns

    @property
    def sequence(self) -> int:
        """Of the last occurrence, 0 before the first."""
        return self.matching.sequence

    def advance(self, until_ns: int) -> list[Occurrence]:
        """Everything that happens up to and at ``until_ns``, oldest first."""
        self.agents.run(until_ns)
        self.now_ns = max(self.now_ns, until_ns)
        log, self.matching.log = self.matching.log, []
        if self._oracle is not None:
            self._oracle.extend(log)
        return log

    # What may be asked to happen now; its occurrences come with the next `advance` --------------

    @property
    def episodes(self) -> list[Episode]:
        """The labels of all so far, oldest first; one that goes on has no end yet."""
        return self._episodes.labels

    def begin_episode(self, kind: str, side: int = 0, **parameters: int) -> Episode:
        """Lets a trader with a plan act from now on: a kind of EPISODE_KINDS;
        parameters as in `ordertape.simulator.episode_scripts`.  SettingRefused for others."""
        self._now()
        return self._episodes.begin(kind, side, self.now_ns, parameters)

    def venue_restart(self) -> Episode:
        """Every order is canceled, as when a venue starts anew, and traders come back over the next
        seconds.  A hard negative: it is labelled as over when the book is empty."""
        self._now()
        label = self._episodes.note("venue_restart", self.now_ns)
        label.order_ids.extend(self.matching.orders)
        for order_id in label.order_ids:
            self.matching.cancel(order_id)
        label.end_ns = self.now_ns
        self.agents.come_back()
        return label

    def open_auction(self) -> None:
        """Orders only gather until `close_auction`."""
        self._now()
        self.agents.floor.anchor = self.agents.floor.touch(0)
        self.matching.open_auction()

    def close_auction(self) -> int | None:
        """Trades what crosses at one price; that price, None where nothing crosses."""
        self._now()
        return self.matching.close_auction()

    def _now(self) -> None:
        self.matching.time_ns = self.now_ns
        self.agents.floor.meanwhile(self.now_ns)

    # The truth -------------------------------------------------------------------------------

    def rows(self) -> Iterator[Order]:
        """The resting shown orders, bids then asks, best first, in queue order."""
        yield from self.matching.rows(0)
        yield from self.matching.rows(1)

    @property
    def book(self) -> OrderBook:
        """The shown orders as they stand now, as our engine's book, made anew at each call."""
        return true_book(
            *(self.rows(), self.price_scale, self.size_scale, self._id_text, self._id_codec)
        )

    def digest(self) -> str:
        """Of `book`."""
        return self.book.digest()

    def digest_at(self, sequence: int) -> str:
        """Of the book as it stood after that occurrence; LookupError where it is not kept (any
        more) or has not happened yet."""
        if self._oracle is None:
            raise LookupError("expected a market made with keep, found one that keeps no history")
        return self._oracle.digest_at(sequence)


def _check(what: str, found: int, low: int, high: int) -> None:
    if not low <= found <= high:
        raise SettingRefused(f"expected {what} of {low} to {high}, found {found}")
