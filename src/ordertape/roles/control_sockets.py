"""Unix sockets by path, however long that is, open to their owner alone."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ordertape import limits

__all__ = ["connect_unix", "listen_unix"]


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """The socket's address, however long its path: an address holds 107 bytes, so it is told
    through a descriptor of its folder."""
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{path.name}"
    finally:
        os.close(fd)


def listen_unix(path: Path) -> socket.socket:
    """A listening socket there, for its owner alone.  The caller holds the lock beside it, so a
    socket that is there already is what somebody left who was killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Bound under another name, so that nobody finds it before it is closed to others.
        with _short(path.with_name(f"{path.name}.new")) as address:
            path.with_name(f"{path.name}.new").unlink(missing_ok=True)
            listening.bind(address)
            os.chmod(address, 0o600)
        listening.listen(limits.control_clients_max)
        listening.setblocking(False)
        os.replace(path.with_name(f"{path.name}.new"), path)
    except BaseException:
        listening.close()
        raise
    return listening


async def connect_unix(path: Path) -> socket.socket:
    """A socket connected to that path.  Raises OSError."""
    connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connecting.setblocking(False)
    try:
        with _short(path) as address:
            await asyncio.get_running_loop().sock_connect(connecting, address)
    except BaseException:
        connecting.close()
        raise
    return connecting
