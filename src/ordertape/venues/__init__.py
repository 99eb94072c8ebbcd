"""The venues: one file a venue for parser and sync rule, and a registry."""

from ordertape.venues.capability import Capability
from ordertape.venues.registry import VENUES, Venue, venue_of
from ordertape.venues.symbols import Products

__all__ = ["VENUES", "Capability", "Products", "Venue", "venue_of"]
