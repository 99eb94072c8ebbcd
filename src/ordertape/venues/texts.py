"""What came from outside, looked at and shown with care."""

from __future__ import annotations

import re

from ordertape import limits

__all__ = ["is_number", "shown"]

_JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


def shown(text: str) -> str:
    """What came from outside, short enough to be shown."""
    return text if len(text) <= limits.shown_text_max else f"{text[: limits.shown_text_max]}…"


def is_number(text: str) -> bool:
    """Whether the text is a JSON number, so that only its value can be what is wrong with it."""
    return _JSON_NUMBER.fullmatch(text) is not None
