"""Market symbols in every usual form, resolved to the one form that a venue's answers use."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator

from ordertape import limits
from ordertape.errors import NameRefused, UnknownMarket

__all__ = ["Products", "resolve"]

Products = frozenset[str]
"""The venue's markets in our form, such as ``BTC/USDT``."""

_SEPARATED = re.compile(r"([A-Za-z0-9]+)[/:_-]([A-Za-z0-9]+)")
_JOINED = re.compile(r"[A-Za-z0-9]+")
_CODE_LETTERS = 3


def resolve(
    exchange: str,
    text: str,
    native: Callable[[str], str | None],
    join: Callable[[str, str], str],
    products: Products | None = None,
) -> str:
    """Our form of ``text``: BTC/USD, BTC-USD, BTC:USD, BTCUSD or the venue's own.

    ``native`` reads the venue's own form (None where it isn't one), ``join`` makes ours of a base
    and a quote in upper case.  Without ``products`` a joined pair must be two codes of three
    letters; with them, every split is tried and the market must be listed.

    Raises UnknownMarket where the venue lists none, NameRefused where the text can mean none or
    several; in one sentence.
    """
    if len(text) > limits.name_text_max:  # before every cut of it is tried
        raise NameRefused(
            f"expected a symbol of at most {limits.name_text_max} characters, found {len(text)}"
        )
    candidates = list(dict.fromkeys(_candidates(text.strip(), native, join, products)))
    if products is not None and candidates:
        listed = [symbol for symbol in candidates if symbol in products]
        if not listed:
            raise UnknownMarket(f"{exchange} lists no market {text!r}{_near(candidates, products)}")
        candidates = listed
    if not candidates:
        raise NameRefused(f"{text!r} is no symbol for {exchange}: expected a form like BTC/USD")
    if len(candidates) > 1:
        raise NameRefused(f"{text!r} could be {' or '.join(candidates)} on {exchange}")
    return candidates[0]


def _candidates(
    text: str,
    native: Callable[[str], str | None],
    join: Callable[[str, str], str],
    products: Products | None,
) -> Iterator[str]:
    own = native(text)
    if own is not None:
        yield own
    elif separated := _SEPARATED.fullmatch(text):
        yield join(separated[1].upper(), separated[2].upper())
    elif _JOINED.fullmatch(text):
        joined = text.upper()
        if products is not None:
            for cut in range(1, len(joined)):
                symbol = join(joined[:cut], joined[cut:])
                if symbol in products:
                    yield symbol
        elif len(joined) == 2 * _CODE_LETTERS:
            yield join(joined[:_CODE_LETTERS], joined[_CODE_LETTERS:])


def _near(candidates: Iterable[str], products: Products) -> str:
    near = difflib.get_close_matches(next(iter(candidates)), sorted(products), n=3)
    return f"; it lists {', '.join(near)}" if near else ""
