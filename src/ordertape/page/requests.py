"""What a page may ask over its socket, read strictly: anything else is one sentence."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from ordertape import limits

__all__ = [
    "Ack",
    "Close",
    "Key",
    "Marker",
    "OfClock",
    "OfStream",
    "Open",
    "Order",
    "Pause",
    "Play",
    "Request",
    "RequestRefused",
    "Resume",
    "Seek",
    "Step",
    "Stop",
    "read_request",
]

Number = Annotated[int, Meta(ge=1, le=65_535)]
Text = Annotated[str, Meta(max_length=256)]
Size = Annotated[str, Meta(pattern=r"^[0-9]{1,18}(\.[0-9]{1,18})?$")]

Quantile = Annotated[str, Meta(pattern=r"^0\.[0-9]{1,9}$")]


class RequestRefused(Exception):
    """One sentence about what was expected and what came."""


class _Request(msgspec.Struct, forbid_unknown_fields=True, tag_field="op", frozen=True):
    stream: Number


class Open(_Request, tag="open", frozen=True, kw_only=True):
    """Sizes are texts, as the venue writes numbers; ``group`` is in price units.  Of ``large…`` the
    first that is there says what a large order is."""

    exchange: Text
    symbol: Text
    source: Literal["live", "replay"] = "live"
    at: Text | None = None
    group: Annotated[int, Meta(ge=1, le=10**15)] | None = None
    min_size: Size | None = None
    large: Size | None = None
    large_notional: Size | None = None
    large_quantile: Quantile | None = None
    channels: Annotated[list[Text], Meta(max_length=16)] | None = None


class Close(_Request, tag="close", frozen=True):
    pass


class Key(_Request, tag="key", frozen=True):
    pass


class Ack(_Request, tag="ack", frozen=True):
    seq: Annotated[int, Meta(ge=0, le=2**32 - 1)]


class Pause(_Request, tag="pause", frozen=True):
    pass


class Resume(_Request, tag="resume", frozen=True):
    pass


class Order(_Request, tag="order", frozen=True, kw_only=True):
    handle: int | None = None
    order_id: Text | None = None


class _OfClock(msgspec.Struct, forbid_unknown_fields=True, tag_field="op", frozen=True):
    """What goes for all replayed streams of a page."""


class Play(_OfClock, tag="play", frozen=True):
    speed: Annotated[float, Meta(ge=0.1, le=1000)]


class Stop(_OfClock, tag="stop", frozen=True):
    pass


class Seek(_OfClock, tag="seek", frozen=True):
    at: Text


class Step(_OfClock, tag="step", frozen=True):
    by: Literal["event", "100ms", "1s"]
    stream: Number | None = None


class Marker(_OfClock, tag="marker", frozen=True):
    direction: Literal["next", "previous"]
    stream: Number | None = None


OfStream: TypeAlias = Open | Close | Key | Ack | Pause | Resume | Order
OfClock: TypeAlias = Play | Stop | Seek | Step | Marker
Request: TypeAlias = OfStream | OfClock
_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)


def read_request(text: str | bytes) -> Request:
    """Raises RequestRefused."""
    if len(text) > limits.page_request_bytes_max:
        most = limits.page_request_bytes_max
        raise RequestRefused(f"expected a request of at most {most} bytes, found {len(text)}")
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RequestRefused(f"expected a request of the page: {error}") from None
