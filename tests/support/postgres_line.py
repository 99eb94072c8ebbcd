"""A TCP line to a PostgreSQL, on which a test decides what gets through.

Whole messages of the frontend are seen one by one (postgresql.org/docs/current/protocol-message-
formats.html): a type, a length, a body.  What the server says passes as it comes.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

__all__ = ["COPY_DATA", "Line", "Wire", "line_to"]

COPY_DATA: Final = b"d"
_LENGTH = struct.Struct(">i")


class Wire:
    """One client's connection through the line."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.answers = True
        """Whether what the server says is passed on."""
        self.copies = 0
        """Messages of COPY that the client sent."""
        self.spoke = threading.Event()
        """Set by each word of the server."""

    def cut(self, *, reset: bool = False) -> None:
        """Ends it for both sides."""
        for side in (self.client, self.server):
            with suppress(OSError):
                if reset:
                    linger = struct.pack("ii", 1, 0)
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                side.shutdown(socket.SHUT_RDWR)


Hook = Callable[[Wire, bytes, bytes], bytes]
"""(wire, type, message with type and length) to what the server gets of it."""


class Line:
    """Listens on loopback; ``hook`` sees each message on its way to the server."""

    def __init__(self, path: str, hook: Hook | None = None) -> None:
        self.path = path
        self.hook = hook
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._wires: set[Wire] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._begin(self._accept)

    def url(self) -> str:
        options = "sslmode=disable&gssencmode=disable"
        return f"postgresql://tester@127.0.0.1:{self.port}/postgres?{options}"

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._lock:
            wires = list(self._wires)
        for wire in wires:
            wire.cut()
        for thread in self._threads:
            thread.join()

    def _begin(self, task: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=task, args=arguments, name="line", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self.path)
            except OSError:
                client.close()
                server.close()
                continue
            wire = Wire(client, server)
            with self._lock:
                self._wires.add(wire)
            self._begin(self._carry, wire)

    def _carry(self, wire: Wire) -> None:
        back = threading.Thread(target=_answers, args=(wire,), name="line back", daemon=True)
        back.start()
        with suppress(OSError):
            for kind, message in _messages(wire.client):
                wire.copies += kind == COPY_DATA
                passed = message if self.hook is None else self.hook(wire, kind, message)
                wire.server.sendall(passed)
        wire.cut()
        back.join()
        with self._lock:
            self._wires.discard(wire)
        wire.client.close()
        wire.server.close()


def _answers(wire: Wire) -> None:
    with suppress(OSError):
        while data := wire.server.recv(65_536):
            wire.spoke.set()
            if wire.answers:
                wire.client.sendall(data)
    if wire.answers:
        wire.cut()


def _messages(client: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """The frontend's messages; the first has no type."""
    file = client.makefile("rb")
    with file:
        first = True
        while head := file.read(4 if first else 5):
            if len(head) < (4 if first else 5):
                return
            (length,) = _LENGTH.unpack(head[-4:])
            body = file.read(length - 4)
            if len(body) < length - 4:
                return
            yield (b"" if first else head[:1]), head + body
            first = False


@contextmanager
def line_to(folder: object, hook: Hook | None = None) -> Iterator[Line]:
    """In front of the server whose socket lies in a folder."""
    line = Line(f"{folder}/.s.PGSQL.5432", hook)
    try:
        yield line
    finally:
        line.close()
