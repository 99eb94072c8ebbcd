"""The venues by name: what each can prove, its symbols, its session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ordertape import limits
from ordertape._engine import OrderBook
from ordertape.errors import NameRefused
from ordertape.settings import Credentials
from ordertape.venues import bitfinex_wire, coinbase_wire
from ordertape.venues.bitfinex import CAPABILITY as BITFINEX
from ordertape.venues.bitfinex import BitfinexSession
from ordertape.venues.capability import Capability
from ordertape.venues.coinbase import CoinbaseSession
from ordertape.venues.coinbase_wire import CAPABILITY as COINBASE
from ordertape.venues.session import VenueSession
from ordertape.venues.symbols import Products, resolve

__all__ = ["VENUES", "Venue", "venue_of"]


@dataclass(frozen=True, slots=True)
class Venue:
    """One venue.  Its addresses are settings."""

    capability: Capability
    id_codec: str
    """The engine's codec that holds every order id of the venue."""
    products_paths: tuple[str, ...]
    """The lists of markets, below its REST address."""
    read_products: Callable[[bytes], Products]
    """Our symbols in one such list; msgspec.DecodeError where the text is none."""
    native: Callable[[str], str | None]
    join: Callable[[str, str], str]
    pair: Callable[[str], str]
    """The venue's own form of our symbol."""
    make_session: Callable[[str, OrderBook, Credentials | None], VenueSession]

    @property
    def name(self) -> str:
        return self.capability.exchange

    def resolve(self, symbol: str, products: Products | None = None) -> str:
        """Our one form of any usual one; UnknownMarket, or NameRefused, in one sentence."""
        return resolve(self.name, symbol, self.native, self.join, products)


VENUES: dict[str, Venue] = {
    BITFINEX.exchange: Venue(
        capability=BITFINEX,
        id_codec="int",
        products_paths=("/v2/conf/pub:list:pair:exchange", "/v2/conf/pub:list:pair:futures"),
        read_products=bitfinex_wire.read_products,
        native=bitfinex_wire.native,
        join=bitfinex_wire.join,
        pair=bitfinex_wire.pair,
        make_session=BitfinexSession,
    ),
    COINBASE.exchange: Venue(
        capability=COINBASE,
        id_codec="uuid",
        products_paths=("/products",),
        read_products=coinbase_wire.read_products,
        native=coinbase_wire.native,
        join=coinbase_wire.join,
        pair=coinbase_wire.pair,
        make_session=CoinbaseSession,
    ),
}


def venue_of(exchange: str) -> Venue:
    """The venue of that name; NameRefused in one sentence."""
    venue = VENUES.get(exchange.strip().lower())
    if venue is None:
        known = ", ".join(sorted(VENUES))
        shown = exchange[: limits.name_text_max]
        raise NameRefused(f"there is no venue {shown!r}; there is {known}")
    return venue
