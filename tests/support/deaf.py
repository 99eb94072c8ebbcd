"""A WebSocket client that was let in and then reads nothing, or hardly anything."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

__all__ = ["deaf_client", "is_cut"]


@contextmanager
def deaf_client(address: str) -> Iterator[socket.socket]:
    """A connection that was accepted and is never read from again."""
    parts = urlsplit(address)
    assert parts.hostname is not None
    assert parts.port is not None
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # else the kernel takes all
        client.connect((parts.hostname, parts.port))
        head = (
            f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        client.sendall(head.encode())
        assert client.recv(12) == b"HTTP/1.1 101"
        yield client


def is_cut(client: socket.socket) -> bool:
    """Whether the other end ended the connection, seen without reading from it."""
    poll = select.poll()
    poll.register(client, select.POLLERR | select.POLLHUP | select.POLLRDHUP)
    return bool(poll.poll(0))
