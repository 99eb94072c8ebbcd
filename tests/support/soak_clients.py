"""Clients of a soak: they read what the server says and note what may never be said."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from support.server import API
from support.soak_venues import MARKETS

__all__ = ["Clients"]

SILENCE_MS = {"bitfinex": 30_000, "coinbase": 5_000}
"""A LIVE book may be as old as this; a busy machine gets more."""
SLACK_MS = 3_000
ANSWER_S = 10.0
"""Nobody waits longer for a page, whatever the database does."""


class Clients:
    """Threads that read until ``stop``; ``wrong`` is what they noted, ``figures`` what they saw.

    ``disturbed``: whether the server itself is being ended or held now, and is owed nothing.
    """

    def __init__(self, port: int, disturbed: Callable[[], bool]) -> None:
        self.port, self._disturbed = port, disturbed
        self.wrong: list[str] = []
        self.figures: Counter[str] = Counter()
        self.slowest = 0.0
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def begin(self) -> None:
        for exchange in MARKETS:
            self._thread(self._read, exchange, "batch_ms=20&depth=20", _Orders)
            self._thread(self._read, exchange, "depth=5", _Orders)
            self._thread(self._read, exchange, "batch_ms=500&depth=5", _Truth)
        self._thread(self._poll)

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def read_nothing(self, seconds: float, clients: int = 3) -> None:
        """So many clients that ask for everything and take nothing, for a while."""
        stuck = []
        for _ in range(clients):
            with suppress(OSError, WebSocketException):
                raw = socket.create_connection(("127.0.0.1", self.port), 5)
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                path = f"{API}/ws/BTC-USD?exchange=coinbase"
                raw.sendall(
                    f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
                    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
                )
                stuck.append(raw)
        self._stop.wait(seconds)
        for raw in stuck:
            raw.close()

    def note(self, what: str) -> None:
        if len(self.wrong) < 50:
            self.wrong.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {what}")

    def _thread(self, task: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=task, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    # The WebSocket --------------------------------------------------------------------------------

    def _read(self, exchange: str, query: str, kind: type[_Orders] | type[_Truth]) -> None:
        symbol = MARKETS[exchange].replace("/", "-")
        address = f"ws://127.0.0.1:{self.port}{API}/ws/{symbol}?exchange={exchange}&{query}"
        while not self._stop.is_set():
            with (
                suppress(OSError, WebSocketException, TimeoutError),
                connect(address, max_size=None, open_timeout=5, close_timeout=1) as opened,
            ):
                self.figures["connections"] += 1
                self._frames(opened, kind(self, exchange))
            self._stop.wait(0.2)

    def _frames(self, opened: ClientConnection, reader: _Orders | _Truth) -> None:
        while not self._stop.is_set():
            try:
                text = opened.recv(timeout=1)
            except TimeoutError:
                continue
            self.figures["frames"] += 1
            reader.take(json.loads(text))

    # Pages ----------------------------------------------------------------------------------------

    def _poll(self) -> None:
        paths = [
            "/status/{}",
            "/orders/{}?limit=500&order=desc",
            "/orders/{}?limit=500&start_time={since}",
            "/snapshot/{}?depth=20",
            "/gaps/{}",
            "/statistics/{}?start_time={since}",
        ]
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}{API}", timeout=30) as client:
            nth = 0
            while not self._stop.wait(0.5):
                exchange = list(MARKETS)[nth % len(MARKETS)]
                path = paths[nth // len(MARKETS) % len(paths)]
                nth += 1
                since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
                named = f"{exchange}/{MARKETS[exchange]}"
                self._ask(client, path.format(named, since=since))

    def _ask(self, client: httpx.Client, path: str) -> None:
        before, began = self._disturbed(), time.monotonic()
        try:
            answer = client.get(path)
        except httpx.HTTPError as error:
            if not before and not self._disturbed():
                self.note(f"{path}: {type(error).__name__} while nobody touched the server")
            return
        took = time.monotonic() - began
        if before or self._disturbed():
            return
        self.figures["answers"] += 1
        self.slowest = max(self.slowest, took)
        if answer.status_code != 200:
            self.note(f"{path}: {answer.status_code} {answer.text[:200]}")
        elif took > ANSWER_S:
            self.note(f"{path}: an answer after {took:.1f} s")
        elif "/status/" in path:
            found = answer.json()
            _check_age(self, found["exchanges"][0], found["state"], found["age_ms"], path)


class _Orders:
    """Every event, one after the other; a new book says where it goes on."""

    def __init__(self, clients: Clients, exchange: str) -> None:
        self._clients, self._exchange = clients, exchange
        self._next: int | None = None

    def take(self, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "l3_snapshot":
            self._next = frame["sequence"] + 1
        elif kind in ("l3_order", "l3_orders"):
            events = frame["data"] if kind == "l3_orders" else [frame["data"]]
            for event in events:
                if self._next is not None and event["sequence"] != self._next:
                    self._clients.note(
                        f"{self._exchange}: event {event['sequence']}, {self._next} was due"
                    )
                self._next = event["sequence"] + 1
            self._clients.figures["events"] += len(events)


class _Truth:
    """Nothing is LIVE that is crossed or old."""

    def __init__(self, clients: Clients, exchange: str) -> None:
        self._clients, self._exchange = clients, exchange
        self._crossed = 0

    def take(self, frame: dict[str, Any]) -> None:
        if frame["type"] not in ("l3_statistics", "l3_status"):
            return
        if frame["type"] == "l3_statistics":
            data = frame["data"]
            bid, ask = data.get("best_bid"), data.get("best_ask")
            crossed = bid is not None and ask is not None and bid > ask
            self._crossed = self._crossed + 1 if crossed and frame["state"] == "LIVE" else 0
            if self._crossed > 1:
                self._clients.note(f"{self._exchange}: LIVE and crossed for seconds, {data}")
        _check_age(self._clients, self._exchange, frame["state"], frame["age_ms"], frame["type"])


def _check_age(clients: Clients, exchange: str, state: str, age_ms: int | None, where: str) -> None:
    if state == "LIVE" and age_ms is not None and age_ms > SILENCE_MS[exchange] + SLACK_MS:
        clients.note(f"{where}: {exchange} LIVE with an age of {age_ms} ms")
