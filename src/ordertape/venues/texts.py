"""What came from outside, looked at and shown with care."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from ordertape import limits

__all__ = ["is_number", "retry_after_ms", "shown"]

_JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


def shown(text: str) -> str:
    """What came from outside, short enough to be shown."""
    return text if len(text) <= limits.shown_text_max else f"{text[: limits.shown_text_max]}…"


def is_number(text: str) -> bool:
    """Whether the text is a JSON number, so that only its value can be what is wrong with it."""
    return _JSON_NUMBER.fullmatch(text) is not None


def retry_after_ms(headers: Mapping[str, str], now: int) -> int | None:
    """How long a 429 asks to wait: seconds or a date (RFC 9110, 10.2.3); None where it says
    nothing of use.  ``now`` in ns since 1970."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}", value):
        asked = int(value) * 1000
    else:
        try:
            until = parsedate_to_datetime(value)
        except ValueError:
            return None
        asked = int(until.replace(tzinfo=until.tzinfo or UTC).timestamp() * 1000) - now // 10**6
    return min(max(asked, 0), limits.rest_ban_ms_max)
