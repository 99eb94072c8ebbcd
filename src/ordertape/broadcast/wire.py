"""A server's WebSocket frames, RFC 6455 5.2: not masked, so the same bytes for every client.

What is sent to many is framed once and written to each connection as it is.
"""

from __future__ import annotations

__all__ = ["framed"]

_TEXT, _CONTINUATION, _FINAL = 0x1, 0x0, 0x80


def framed(payload: bytes, *, first: bool = True, last: bool = True) -> bytes:
    """One frame of a text: all of it, or the ``first`` or ``last`` piece or one in the middle."""
    start = (_TEXT if first else _CONTINUATION) | (_FINAL if last else 0)
    size = len(payload)
    if size < 126:
        return bytes((start, size)) + payload
    if size < 2**16:
        return bytes((start, 126)) + size.to_bytes(2, "big") + payload
    return bytes((start, 127)) + size.to_bytes(8, "big") + payload
