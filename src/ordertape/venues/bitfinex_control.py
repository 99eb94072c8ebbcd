"""Bitfinex's objects: greeting, flags, subscriptions, errors.  Arrays are ``bitfinex.py``'s.

Source: docs.bitfinex.com, "WebSocket: general" (events, info and error codes).  Codes decide, the
texts beside them are only shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from ordertape import limits
from ordertape.venues import bitfinex_wire as wire
from ordertape.venues.session import Action, Fault, Foreign, Outcome

__all__ = ["BOOK_LENGTHS", "Control"]

BOOK_LENGTHS: Final = (250, 100)
"""Orders a side that we ask for.  Raw books document 100; 250 stands in the page of aggregated
books, so that the second is asked for where the first is refused."""

_RECONNECT_CODES: Final = {
    wire.ERROR_UNKNOWN_EVENT,
    wire.ERROR_ALREADY_SUBSCRIBED,
    wire.ERROR_CHANNEL_LIMIT,
    wire.ERROR_UNSUBSCRIBE_FAILED,
    wire.ERROR_NOT_SUBSCRIBED,
}
_FATAL_CODES: Final = {
    wire.ERROR_UNKNOWN_PAIR,
    wire.ERROR_SUBSCRIBE_FAILED,
    wire.ERROR_UNKNOWN_CHANNEL,
}


class _Owner(Protocol):
    def on_channel(self, name: str, channel: int, length: int) -> Outcome | None: ...
    def on_granted(self, flags: int) -> None: ...
    def leave_channel(self, channel: int) -> None: ...
    def off_channel(self, channel: int) -> None: ...


class Control:
    """What we asked of the venue on this connection and what it answered."""

    def __init__(self, market: str, pair: str, owner: _Owner, counters: Counter[str]) -> None:
        self._market, self._pair, self._owner, self._counters = market, pair, owner, counters
        self._lengths = list(BOOK_LENGTHS)
        self._was_subscribed = False
        self.foreign: set[Foreign] = set()
        self._handlers: dict[str, Callable[[wire.Event], Outcome | None]] = {
            "info": self._on_info,
            "conf": self._on_conf,
            "subscribed": self._on_subscribed,
            "unsubscribed": self._on_unsubscribed,
            "error": self._on_error,
        }
        self.opened()

    def opened(self) -> list[bytes]:
        """``conf`` goes first: subscribed before its answer, frames lack sequence and checksum."""
        self._answered = False
        self._maintenance = False
        self._renews_trades = False
        self._channels: dict[str, int] = {}
        self._leaving: dict[int, str] = {}
        return [_text(event="conf", flags=wire.FLAGS)]

    def resubscribe(self) -> list[bytes]:
        """Leaves the book's channel; ``unsubscribed`` leads to its new subscription."""
        names = ("book", "trades") if self._renews_trades else ("book",)
        self._renews_trades = False
        texts = []
        for name in names:
            channel = self._channels.pop(name, None)
            if channel is not None:
                self._leaving[channel] = name
                self._owner.leave_channel(channel)
                texts.append(_text(event="unsubscribe", chanId=channel))
        return texts

    def on_event(self, event: wire.Event) -> Outcome | None:
        """One object; those of an unknown name are counted."""
        handler = self._handlers.get(event.event)
        if handler is None:
            self._counters["unknown events"] += 1
            return None
        return handler(event)

    def _on_info(self, event: wire.Event) -> Outcome | None:
        if event.code == wire.INFO_RESTART:
            return _fault(Action.RECONNECT, "the venue restarts")
        if event.code == wire.INFO_MAINTENANCE or (
            event.code is None and event.platform is not None and event.platform.status == 0
        ):
            self._maintenance = True
            return _fault(Action.PAUSE, "the venue is in maintenance")
        if event.code == wire.INFO_MAINTENANCE_ENDED:
            return self._on_maintenance_ended()
        if event.code is not None:
            self._counters["unknown info codes"] += 1
        return None

    def _on_maintenance_ended(self) -> Outcome:
        self._maintenance = False
        self._renews_trades = True
        send = [] if self._channels or self._leaving or not self._answered else self._subscribe()
        outcome = _fault(Action.RESYNC, "the venue's maintenance ended")
        outcome.send = send
        return outcome

    def _on_conf(self, event: wire.Event) -> Outcome | None:
        accepted = event.status == "OK"
        # An OK without flags answers what we asked.
        flags = wire.FLAGS if event.flags is None else event.flags & wire.FLAGS
        return self._begin(flags if accepted else 0, None if accepted else "the flags were refused")

    def _begin(self, flags: int, note: str | None) -> Outcome | None:
        self._owner.on_granted(flags)
        first, self._answered = not self._answered, True
        outcome = Outcome(fault=Fault(Action.NOTE, note) if note else None)
        if first and not self._maintenance:
            outcome.send = self._subscribe()
        return outcome

    def _subscribe(self, *names: str) -> list[bytes]:
        return [
            _text(event="subscribe", channel="trades", symbol=self._pair, subId="trades")
            if name == "trades"
            else _text(
                event="subscribe",
                channel="book",
                symbol=self._pair,
                prec="R0",
                freq="F0",
                len=str(self._lengths[0]),
                subId="book",
            )
            for name in names or ("book", "trades")
        ]

    def _on_subscribed(self, event: wire.Event) -> Outcome | None:
        if event.chanId is None:
            raise ValueError("`subscribed` without chanId")
        raw_book = event.channel == "book" and event.prec in ("R0", "")
        if event.symbol != self._pair or not (raw_book or event.channel == "trades"):
            outcome = self._owner.on_channel("", event.chanId, 0)
            if len(self.foreign) < limits.channels_max:
                self.foreign.add(Foreign(event.channel, event.symbol, event.prec))
            return outcome
        length = int(event.len) if raw_book and event.len is not None else self._lengths[0]
        if length < 1:
            raise ValueError(f"`subscribed` to a book of {length} orders a side")
        self._was_subscribed = True
        self._channels[event.channel] = event.chanId
        return self._owner.on_channel(event.channel, event.chanId, length)

    def _on_unsubscribed(self, event: wire.Event) -> Outcome | None:
        channel = -1 if event.chanId is None else event.chanId
        name = self._leaving.pop(channel, None)
        self._owner.off_channel(channel)
        return Outcome(send=self._subscribe(name)) if name else None

    def _on_error(self, event: wire.Event) -> Outcome | None:
        shown = wire.shown(f"the venue's error {event.code}: {event.msg}")
        if not self._answered:  # only `conf` was sent so far
            return self._begin(0, f"{shown}; going on without flags")
        if event.code in _RECONNECT_CODES:
            return _fault(Action.RECONNECT, shown)
        if event.code not in _FATAL_CODES:
            return _fault(Action.NOTE, shown)
        of_book = event.channel in ("book", "") and "book" not in self._channels
        if event.code == wire.ERROR_SUBSCRIBE_FAILED and of_book and len(self._lengths) > 1:
            refused = self._lengths.pop(0)
            outcome = _fault(Action.NOTE, f"{shown}; asking for less than {refused} orders a side")
            outcome.send = self._subscribe("book")
            return outcome
        # What once was granted can be granted again; what never was will not be.
        if self._was_subscribed and event.code != wire.ERROR_UNKNOWN_PAIR:
            return _fault(Action.RECONNECT, shown)
        return _fault(Action.FAIL, f"{self._market}: {shown} (asked for {self._pair})")


def _fault(action: Action, reason: str) -> Outcome:
    return Outcome(fault=Fault(action, reason))


def _text(**fields: Any) -> bytes:
    return msgspec.json.encode(fields)
