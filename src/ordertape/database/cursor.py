"""Where a reader of pages stands: opaque, safe in a URL, good for one query."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib

from ordertape.database.sources import Query
from ordertape.errors import SettingRefused

__all__ = ["behind", "decode_cursor", "encode_cursor", "text_of"]

_LAYOUT = struct.Struct(">BIq")
_VERSION = 1


def text_of(exchange: str, symbol: str, query: Query) -> str:
    """What a page is asked by, apart from where it begins and how long it is."""
    order = "desc" if query.descending else "asc"
    return f"{exchange} {symbol} {query.start} {query.end} {order} {query.filters}"


def behind(query: Query, cursor: str | None, text: str) -> Query:
    """The query from a cursor on; ``text``: of ``text_of``.  Raises SettingRefused."""
    if cursor is None:
        return query
    seq = decode_cursor(cursor, text)
    return query._replace(last=seq) if query.descending else query._replace(first=seq)


def encode_cursor(seq: int, query: str) -> str:
    """``seq``: the next event to look at; ``query``: everything else the page was asked by."""
    packed = _LAYOUT.pack(_VERSION, zlib.crc32(query.encode()), seq)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode_cursor(cursor: str, query: str) -> int:
    """The seq to go on with.  Raises SettingRefused where it is none of this query's."""
    try:
        packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        version, digest, seq = _LAYOUT.unpack(packed)
    except (binascii.Error, ValueError, struct.error):
        version = digest = seq = 0
    if version != _VERSION:
        raise SettingRefused(f"cursor: expected a next_cursor of ours, found {cursor!r}")
    if digest != zlib.crc32(query.encode()):
        raise SettingRefused(
            "cursor: expected the query that the cursor came from, found other parameters"
        )
    return int(seq)
