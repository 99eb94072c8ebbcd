"""Tells systemd that this process is ready and goes on (sd_notify(3)); elsewhere it does nothing.

``Type=notify`` with ``WatchdogSec=``: a process that says nothing for so long is killed and begun
again by systemd, as the server does with the roles that are its children.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from ordertape import limits

__all__ = ["alive", "keeping_alive"]


def alive() -> None:
    """This process is ready and goes on; to say so again changes nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    # An address that begins with @ is in the abstract namespace, which begins with a zero byte.
    address = f"\0{address[1:]}" if address[0] == "@" else address
    # Whoever does not read us must not hold us up: the datagram is lost, the next one follows.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):
        sender.setblocking(False)
        sender.sendto(b"READY=1\nWATCHDOG=1", address)


@asynccontextmanager
async def keeping_alive() -> AsyncIterator[None]:
    """Says so from the event loop, once a second: it is the loop that must go on."""

    async def say() -> None:
        while True:
            alive()
            await asyncio.sleep(limits.role_beat_ms / 1000)

    saying = asyncio.create_task(say(), name="systemd")
    try:
        yield
    finally:
        saying.cancel()
