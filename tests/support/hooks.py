"""A program that takes webhooks, as well or badly as a test wants."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Hook", "Taken", "hook"]


@dataclass(frozen=True)
class Taken:
    path: str
    headers: Message
    body: bytes


@dataclass
class Hook:
    """``answers``: statuses, one a request; 200 afterwards.  3xx lead back to it."""

    address: str = ""
    answers: list[int] = field(default_factory=list)
    taken: queue.SimpleQueue[Taken] = field(default_factory=queue.SimpleQueue)

    def next(self) -> Taken:
        return self.taken.get(timeout=120)


@contextmanager
def hook(*answers: int) -> Iterator[Hook]:
    found = Hook(answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.taken.put(Taken(self.path, self.headers, body))
            status = found.answers.pop(0) if found.answers else 200
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", found.address)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_said: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.address = f"http://127.0.0.1:{server.server_address[1]}/hook?key=hidden"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
