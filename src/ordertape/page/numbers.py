"""Variable-length integers of the page's frames: unsigned LEB128 and zigzag."""

from __future__ import annotations

__all__ = ["read_varint", "read_zigzag", "varint", "zigzag"]

_MASK = 2**64 - 1


def varint(value: int) -> bytes:
    """0 to 2^64-1.  ValueError: below or beyond."""
    if not 0 <= value <= _MASK:
        raise ValueError(f"a varint holds 0 to 2^64-1, not {value}")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value: int) -> bytes:
    """-2^63 to 2^63-1, small ones short whatever their sign."""
    return varint((value << 1 ^ value >> 63) & _MASK)


def read_varint(body: memoryview | bytes, at: int) -> tuple[int, int]:
    """(value, where the next begins).  ValueError: cut, or longer than 64 bits."""
    value = shift = 0
    while True:
        if at >= len(body) or shift > 63:
            raise ValueError("a varint is cut or too long")
        byte = body[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def read_zigzag(body: memoryview | bytes, at: int) -> tuple[int, int]:
    value, at = read_varint(body, at)
    return value >> 1 ^ -(value & 1), at
