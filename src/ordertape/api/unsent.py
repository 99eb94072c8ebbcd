"""What of a connection is under way: written by us, not acknowledged by the client."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from typing import Final

__all__ = ["bytes_unsent"]

_QUEUED: Final = struct.Struct("i")


def bytes_unsent(transport: asyncio.Transport) -> int:
    """The kernel's share, too: that holds megabytes, and takes no more from us for a long time
    while a slow client reads."""
    held = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return held
    (queued,) = _QUEUED.unpack(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))
    return held + int(queued)
