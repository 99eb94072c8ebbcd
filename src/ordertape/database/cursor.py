"""``next_cursor``: where a reader of pages stands; opaque, safe in a URL, good for one query."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib

from ordertape.errors import SettingRefused

__all__ = ["decode_cursor", "encode_cursor"]

_LAYOUT = struct.Struct(">BIq")
_VERSION = 1


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
