"""Exact numbers at the edges: plain decimal text, and JSON in which a Decimal is a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

__all__ = ["counted", "json_text", "plain"]


def plain(number: Decimal) -> str:
    """Plain decimal text of a finite number: no exponent, no trailing zeros, every digit kept.

    ``Decimal.normalize`` would round to the context's 28 digits; totals are longer.
    """
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def counted(count: int, one: str, many: str = "") -> str:
    """``1 gap``, ``1,234 gaps``; ``many`` where it is not ``one`` with an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def json_text(answer: object) -> str:
    """One line of JSON in which a Decimal is a plain number, digit by digit."""
    return msgspec.json.encode(_exact(answer)).decode()


def _exact(value: object) -> object:
    if isinstance(value, Decimal):
        return msgspec.Raw(plain(value).encode())
    if isinstance(value, Mapping):
        return {str(key): _exact(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_exact(item) for item in value]
    return value
