"""A client's connection that a test opens and shuts, and what was written to it, read again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

from ordertape.broadcast.mailbox import Mailbox

__all__ = ["KeptOutlet", "mailbox_of", "texts_in", "until"]


def frames_in(data: bytes) -> Iterator[tuple[int, bool, bytes]]:
    """(opcode, whether final, payload) of each frame, RFC 6455 5.2, none of them masked."""
    at = 0
    while at < len(data):
        head, size = data[at], data[at + 1]
        at += 2
        if size >= 126:
            more = 2 if size == 126 else 8
            size = int.from_bytes(data[at : at + more], "big")
            at += more
        yield head & 0x0F, bool(head & 0x80), data[at : at + size]
        at += size


def texts_in(data: bytes) -> Iterator[bytes]:
    """Whole texts, put together of their frames."""
    pieces: list[bytes] = []
    for opcode, final, payload in frames_in(data):
        assert opcode == (0 if pieces else 1)
        pieces.append(payload)
        if final:
            yield b"".join(pieces)
            pieces = []
    assert not pieces


class KeptOutlet:
    """Takes everything while it is open."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.data = b""
        self.writes: list[bytes] = []
        self.closing = False
        self.looks: Iterator[int] = repeat(0)
        """What is unsent at each look."""
        self._writable = asyncio.Event()
        if is_open:
            self.reopen()

    def shut(self) -> None:
        """Takes nothing until it opens."""
        self._writable.clear()

    def reopen(self) -> None:
        self._writable.set()

    @property
    def ready(self) -> bool:
        return self._writable.is_set() and not self.closing

    @property
    def unsent(self) -> int:
        return next(self.looks)

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self.data += data

    async def drained(self) -> None:
        await self._writable.wait()

    def taken(self) -> list[dict[str, Any]]:
        """The texts since the last look."""
        data, self.data = self.data, b""
        return [json.loads(text) for text in texts_in(data)]


def mailbox_of(outlet: KeptOutlet, bytes_max: int | None = None) -> Mailbox:
    return Mailbox(outlet, bytes_max=bytes_max)


async def until(condition: Callable[[], bool]) -> None:
    """Bounded; what it waits for has no event of its own."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - an outlet has no event for every condition
            await asyncio.sleep(0.001)
