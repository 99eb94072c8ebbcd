"""What Coinbase answers to a subscription: the channels, or an error.

Source: docs.cdp.coinbase.com, exchange, "websocket-feed/overview" and "errors".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from ordertape import limits
from ordertape.venues import coinbase_wire as wire
from ordertape.venues.session import Action, Foreign, Outcome, faulted
from ordertape.venues.texts import shown

__all__ = ["Control", "is_subscriptions"]

_FATAL = (
    *("api key", "apikey", "passphrase", "invalid signature", "bad signature"),
    *("require authentication", "requires authentication", "authentication required"),
    "not a valid product",
)
"""What a refusal names that would come again: a key, its parts or the lack of one, a product.  A
bare "Authentication Failed" names none of them and may be the venue's own trouble."""
_CLOCK = "timestamp"
"""Of one that ends with its cause: a wrong clock, or a process that was suspended meanwhile."""
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Message(Struct):
    type: str
    channels: Any = None
    message: Any = ""
    reason: Any = ""


_decode = msgspec.json.Decoder(_Message).decode


class Control:
    """``hidden`` takes secrets out of what the venue says."""

    def __init__(self, market: str, symbol: str, hidden: Callable[[str], str]) -> None:
        self._market, self._symbol, self._hidden = market, symbol, hidden
        self.foreign: set[Foreign] = set()

    def on_message(self, text: bytes) -> Outcome | str | None:
        """What it leads to; a text where it can't be read."""
        try:
            message = _decode(text)
        except _UNREADABLE as error:
            return shown(self._hidden(str(error)))
        if message.type == "subscriptions":
            return self._on_subscriptions(message.channels)
        said = ": ".join(str(part) for part in (message.message, message.reason) if part)
        said = shown(self._hidden(said))
        reason = f"{self._market}: the venue refuses: {said or 'no reason given'}"
        if _CLOCK in said.lower():
            return faulted(Action.RECONNECT, reason, limits.clock_refused_ms)
        fatal = any(word in said.lower() for word in _FATAL)
        return faulted(Action.FAIL if fatal else Action.RECONNECT, reason)

    def _on_subscriptions(self, channels: Any) -> Outcome | None:
        found = set()
        for channel in channels if isinstance(channels, list) else ():
            if isinstance(channel, dict) and isinstance(channel.get("product_ids"), list):
                name = str(channel.get("name"))
                found |= {Foreign(name, str(product), "") for product in channel["product_ids"]}
        if Foreign(wire.FEED, self._symbol, "") in found:
            return None
        self.foreign |= found
        return faulted(Action.FAIL, f"{self._market}: the venue did not subscribe us to it")


def is_subscriptions(text: bytes) -> bool:
    """The first message of a connection."""
    if b'"subscriptions"' not in text:
        return False
    try:
        return _decode(text).type == "subscriptions"
    except _UNREADABLE:
        return False
