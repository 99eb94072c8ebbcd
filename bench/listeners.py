"""``python -m bench.listeners``: WebSocket clients that cost little, for ``bench.fanout``.

Reads one line of JSON, ``{"url", "groups": [{"name", "query", "count"}], "seconds", "warm"}``,
connects them all, prints a line when they are, and after ``warm`` and ``seconds`` more one line of
JSON a group: frames, gaps in ``sequence``, ages, connections lost.  An event's age is since
``ts_recv_ns``, our receipt; statistics' since the server made them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

_ORDERS = b'{"type":"l3_order'
_ORDER = b'{"type":"l3_order"'
_STATISTICS = b'{"type":"l3_statistics"'
_CONNECTING = 50
_LOOKED_AT_EVERY = 8
"""Of what has a frame an event, every so manieth is looked into: its age is kept, and its number
says whether one before it was missing.  A client that does no more does not slow the others."""


@dataclass
class Group:
    """What clients of one kind found."""

    name: str
    query: str
    count: int
    frames: int = 0
    events: int = 0
    gaps: int = 0
    lost: int = 0
    conflated: int = 0
    measuring: bool = False
    ages: list[int] = field(default_factory=list)
    made: dict[bytes, int] = field(default_factory=dict)

    def told(self, seconds: float) -> dict[str, Any]:
        ages = np.array(self.ages or [0]) / 1e6
        return {
            "name": self.name,
            "clients": self.count,
            "frames_per_client_second": round(self.frames / self.count / seconds, 1),
            "events_per_client_second": round(self.events / self.count / seconds),
            "gaps": self.gaps,
            "conflated": self.conflated,
            "lost": self.lost,
            "p50_ms": round(float(np.quantile(ages, 0.5)), 1),
            "p99_ms": round(float(np.quantile(ages, 0.99)), 1),
            "max_ms": round(float(ages.max()), 1),
        }


class Client(WSListener):
    """Looks at as little of a frame as says whether anything is missing and how old it is."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.sequence = 0
        self.unseen = 0
        """Frames with one event since the one whose ``sequence`` is known."""

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            return
        text = frame.get_payload_as_bytes()
        group = self.group
        if text.startswith(_ORDER) and self.sequence and self.unseen < _LOOKED_AT_EVERY - 1:
            self.unseen += 1
            group.frames += group.measuring
            group.events += group.measuring
        elif text.startswith(_ORDERS):
            first = _number(text, text.find(b'"sequence":') + 11)
            last, count = first, 1
            if text[17:18] == b"s":
                last, count = (
                    _number(text, text.rfind(b'"sequence":') + 11),
                    text.count(b'"sequence":'),
                )
            known = self.sequence + self.unseen
            if self.sequence and (first != known + 1 or last - first + 1 != count):
                group.gaps += 1
            self.sequence, self.unseen = last, 0
            if group.measuring:
                group.frames += 1
                group.events += count
                received = _number(text, text.rfind(b'"ts_recv_ns":') + 13)
                group.ages.append(time.time_ns() - received)
        elif group.measuring and text.startswith(_STATISTICS):
            group.frames += 1
            group.conflated += b'"conflated":' in text
            at = text.find(b'"timestamp":"') + 13
            moment = text[at : text.find(b'"', at)]
            if moment not in group.made:
                group.made[moment] = _ns(moment.decode())
            group.ages.append(time.time_ns() - group.made[moment])

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        self.group.lost += 1


def _number(text: bytes, at: int) -> int:
    end = at
    while 48 <= text[end] <= 57:
        end += 1
    return int(text[at:end])


def _ns(moment: str) -> int:
    """Of ISO 8601 with up to nine digits."""
    digits = moment[20:-1].ljust(9, "0") if len(moment) > 20 else "0"
    return int(datetime.fromisoformat(f"{moment[:19]}+00:00").timestamp()) * 10**9 + int(digits)


async def _connect(url: str, group: Group, room: asyncio.Semaphore) -> WSTransport:
    async with room:
        transport, _ = await ws_connect(
            lambda: Client(group),
            f"{url}?{group.query}",
            max_frame_size=2**28,
            websocket_handshake_timeout=60,
        )
        return transport


async def _run(plan: dict[str, Any]) -> None:
    groups = [Group(**group) for group in plan["groups"]]
    room, begun = asyncio.Semaphore(_CONNECTING), time.perf_counter()
    transports = await asyncio.gather(
        *(_connect(plan["url"], group, room) for group in groups for _ in range(group.count))
    )
    print(json.dumps({"connected_s": round(time.perf_counter() - begun, 2)}), flush=True)
    await asyncio.sleep(plan["warm"])
    for group in groups:
        group.measuring = True
    begun, cpu = time.perf_counter(), time.process_time()
    await asyncio.sleep(plan["seconds"])
    took, spent = time.perf_counter() - begun, time.process_time() - cpu
    for group in groups:
        group.measuring = False
    found = [group.told(took) for group in groups]
    print(json.dumps({"groups": found, "cpu_share": round(spent / took, 2)}), flush=True)
    for transport in transports:
        transport.disconnect()
    await asyncio.sleep(0.5)


if __name__ == "__main__":
    uvloop.run(_run(json.loads(sys.stdin.readline())))
