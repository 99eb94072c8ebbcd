"""A venue's list of markets, fetched once so that every usual form of a symbol can be resolved."""

from __future__ import annotations

import urllib.request

import msgspec

from ordertape import limits
from ordertape.roles.logs import logger
from ordertape.venues.registry import Venue
from ordertape.venues.symbols import Products

__all__ = ["fetch_products"]


def fetch_products(venue: Venue, rest_url: str) -> Products | None:
    """The venue's markets in our form; None where none of its lists can be had.

    A venue that does not answer must not keep a collector from starting: the pair is then asked
    for as it was written, and the venue refuses what it does not know.
    """
    found: Products | None = None
    problem = ""
    for path in venue.products_paths:
        address = rest_url.rstrip("/") + path
        try:
            listed = venue.read_products(_get(address))
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            problem = f"{address}: {error}"
            continue
        found = listed if found is None else found | listed
    if found is None:
        logger("collector").warning(
            "L3_products_missing",
            exchange=venue.name,
            reason=problem,
            sentence=f"{venue.name}'s list of markets can't be had ({problem}): "
            "markets are asked for as they were written",
        )
    return found


def _get(address: str) -> bytes:
    request = urllib.request.Request(address, headers={"User-Agent": "ordertape"})  # noqa: S310 - http(s) only, checked by settings
    with urllib.request.urlopen(request, timeout=limits.products_timeout_ms / 1000) as answer:  # noqa: S310 - an address of settings, checked to be http(s)
        text: bytes = answer.read(limits.products_bytes_max + 1)
    if len(text) > limits.products_bytes_max:
        raise ValueError(f"a list of over {limits.products_bytes_max} bytes")
    return text
