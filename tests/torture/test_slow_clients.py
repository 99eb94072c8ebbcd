"""Thousands of clients, slow ones, storms of them and abuse, at a whole server with all its roles:
rows 35 to 38 of the fault matrix.

``ORDERTAPE_STORM_SECONDS`` (300) says how long a storm lasts.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from bench.fanout import Served, listeners, live, orders
from bench.serving import API
from support.deaf import deaf_client, is_cut
from support.tries import run_tries

pytestmark = pytest.mark.torture

MARKET = "bitfinex/BTC/USDT"
MIB = 2**20
P99_MS_MAX = 250
"""From receipt to the client, with a thousand of them."""
ANSWER_S_MAX = 2.0
STORM_PER_SECOND = 200


def test_clients_in_crowds_and_storms_miss_nothing_and_leave_nothing() -> None:
    counts = {"a thousand clients": 3, "stuck reader": 10, "slow reader": 3, "connect storm": 1}
    counts |= {"abusive requests": 10}
    assert run_tries("clients", counts, attempt) == []


def attempt(case: str, seed: int) -> list[str]:
    """What did not hold."""
    tried = {
        "a thousand clients": crowd,
        "stuck reader": stuck_reader,
        "slow reader": slow_reader,
        "connect storm": storm,
        "abusive requests": abuse,
    }[case]
    with live(3_000 if case.endswith("reader") else 1_500, "bitfinex") as served:
        return tried(served, random.Random(seed))


def crowd(served: Served, _dice: random.Random) -> list[str]:
    base = served.memory()
    query = "exchange=bitfinex&frames=statistics&statistics_ms=100"
    watching = {"name": "statistics", "query": query, "count": 1_000}
    found = listeners(served, [watching, orders(served, 100, 20)], seconds=20)
    wrong = []
    for group in found["groups"]:
        if group["gaps"] or group["lost"]:
            wrong.append(f"expected no gap and nobody lost, found {group}")
        if group["p99_ms"] > P99_MS_MAX:
            wrong.append(f"expected a p99 to {P99_MS_MAX} ms, found {group}")
    if found["memory"] > base + 200 * MIB:
        wrong.append(f"{base // MIB} MiB grew to {found['memory'] // MIB} MiB")
    return wrong


def stuck_reader(served: Served, _dice: random.Random) -> list[str]:
    return _unread(served, bytes_a_second=0)


def slow_reader(served: Served, _dice: random.Random) -> list[str]:
    return _unread(served, bytes_a_second=1_000)


def _unread(served: Served, bytes_a_second: int) -> list[str]:
    """One that hardly reads, beside a hundred who do."""
    wrong: list[str] = []
    over = threading.Event()
    with deaf_client(f"{served.socket}?exchange=bitfinex") as client:
        others = ThreadPoolExecutor(1).submit(
            listeners, served, [orders(served, 100, 20)], 25.0, 1.0
        )
        threading.Thread(target=_sip, args=(client, bytes_a_second, over), daemon=True).start()
        full_at, deadline = 0.0, time.monotonic() + 90
        while not is_cut(client) and time.monotonic() < deadline:
            if not full_at and served.figure("ordertape_clients_too_slow_total"):
                full_at = time.monotonic()
            time.sleep(0.05)
        closed_at = time.monotonic()
        over.set()
    if not full_at or closed_at - full_at > 10:
        wrong.append(f"expected it closed within 10 s of being full, took {closed_at - full_at}")
    held = served.figure("ordertape_mailbox_bytes_largest")
    if held > 3.5 * MIB:
        wrong.append(f"{held} bytes waited for it")
    (group,) = others.result()["groups"]
    if group["gaps"] or group["lost"]:
        wrong.append(f"the others: {group}")
    return wrong


def _sip(client: socket.socket, bytes_a_second: int, over: threading.Event) -> None:
    client.setblocking(False)
    while bytes_a_second and not over.wait(0.1):
        with suppress(OSError):
            client.recv(bytes_a_second // 10)


def storm(served: Served, dice: random.Random) -> list[str]:
    """Clients who come and go, 200 a second, some without a word and some in the middle of one."""
    _storm(served, dice, 15)  # what the first of them make it hold is no leak
    base, files = served.memory(), _files(served)
    seconds = float(os.environ.get("ORDERTAPE_STORM_SECONDS") or 300)
    refused = _storm(served, dice, seconds)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and _files(served) > files:
        time.sleep(0.5)
    wrong = []
    if _files(served) > files * 1.02:
        wrong.append(f"{files} open files became {_files(served)}")
    if served.memory() > base * 1.02:
        wrong.append(f"{base} bytes became {served.memory()}")
    if served.figure("ordertape_clients"):
        wrong.append(f"{served.figure('ordertape_clients')} clients are still counted")
    if refused:
        wrong.append(f"{refused} were not let in")
    return wrong


def _storm(served: Served, dice: random.Random, seconds: float) -> int:
    """How many were not let in."""
    host, port = served.address.removeprefix("http://").split(":")
    head = (
        f"GET {API}/ws/BTC/USDT?exchange=bitfinex HTTP/1.1\r\nHost: {host}:{port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()

    def come_and_go(stay: float, rude: bool) -> bool:
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(head)
            if stay < 0.05:
                return True
            told = client.recv(12)
            time.sleep(stay)
            if rude:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return told == b"HTTP/1.1 101"

    began, refused = time.monotonic(), 0
    with ThreadPoolExecutor(64) as threads:
        nth = 0
        while time.monotonic() - began < seconds:
            coming = [
                threads.submit(come_and_go, dice.random() / 4, dice.random() < 0.5)
                for _ in range(STORM_PER_SECOND // 10)
            ]
            nth += 1
            time.sleep(max(0, began + nth / 10 - time.monotonic()))
            refused += sum(not one.result() for one in coming)
    return refused


def _files(served: Served) -> int:
    return len(os.listdir(Path(f"/proc/{served.pid}/fd")))


def abuse(served: Served, dice: random.Random) -> list[str]:
    """Each is refused, or answered in time; the server goes on."""
    wrong: list[str] = []
    expected: list[tuple[str, str, dict[str, object], set[int]]] = [
        ("POST", "/start", {"content": b"x" * 10_000_000}, {413}),
        ("GET", f"/orders/{MARKET}", {"params": {"limit": 1_000_000}}, {422}),
        ("GET", f"/orders/{MARKET}", {"params": {"offset": 10**9}}, {422}),
        ("GET", f"/orders/{MARKET}", {"params": {"cursor": dice.randbytes(2_000).hex()}}, {422}),
        ("GET", f"/orders/{MARKET}", {"params": {"min_price": "(a+)+$"}}, {422}),
        ("GET", f"/orders/{MARKET}", {"params": {"order_id": "x" * 4_000}}, {200, 422}),
        ("GET", f"/orders/{MARKET}", {"params": {"order": "asc; DROP TABLE x"}}, {422}),
        ("GET", f"/orders/{MARKET}", {"params": {"limit": 10_000, "min_size": 10**12}}, {200, 422}),
        ("GET", f"/orders/{MARKET}", {"params": {"start_time": "9" * 5_000}}, {422}),
        ("GET", f"/snapshot/{MARKET}", {"params": {"depth": "9" * 5_000}}, {422}),
        ("GET", f"/statistics/{MARKET}", {"params": {"end_time": "\u0000"}}, {422}),
        ("GET", "/status/bitfinex/" + "%2e%2e%2f" * 50, {}, {404, 422}),
    ]
    dice.shuffle(expected)
    with httpx.Client(base_url=served.address + API, timeout=30) as client:
        for method, path, wish, statuses in expected:
            began = time.monotonic()
            answer = client.request(method, path, **wish)
            took = time.monotonic() - began
            if answer.status_code not in statuses:
                wrong.append(f"{method} {path[:60]}: {answer.status_code}, {answer.text[:200]}")
            if took > ANSWER_S_MAX:
                wrong.append(f"{method} {path[:60]} {str(wish)[:80]}: took {took:.1f} s")
        if client.get(f"/status/{MARKET}").json()["state"] != "LIVE":
            wrong.append("the stream is not LIVE any more")
    return wrong
