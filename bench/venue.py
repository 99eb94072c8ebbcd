"""``python -m bench.venue``: what the simulated Coinbase gives to one client.

The venue runs in a process of its own on loopback; one client, in another, subscribes to `full` and
reads what comes.  Counted are the messages by their own sequence, and the processor time that the
venue's process took meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from rich.console import Console
from rich.table import Table

from ordertape.settings import Credentials
from ordertape.simulator.coinbase_keys import DEMO_KEYS
from ordertape.venues import coinbase_wire as wire
from ordertape.venues.coinbase_auth import subscribe_fields

PRODUCT = "BTC-USD"
_WARM_SECONDS = 3
"""The venue's market comes into being first."""


class Client(WSListener):
    """Reads the newest sequence; ``missing`` counts holes in it."""

    def __init__(self) -> None:
        self.sequence = self.messages = self.missing = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        keys = Credentials(DEMO_KEYS.key, DEMO_KEYS.secret, DEMO_KEYS.passphrase)
        fields = subscribe_fields(keys, time.time_ns())
        transport.send(WSMsgType.TEXT, wire.subscribe(PRODUCT, fields))

    def on_ws_frame(self, _: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        text = frame.get_payload_as_bytes()
        found = text.find(b'"sequence":')
        if found < 0 or b'"heartbeat"' in text:
            return
        number = int(text[found + 11 :].split(b",", 1)[0].rstrip(b"}"))
        self.missing += self.sequence > 0 and number != self.sequence + 1
        self.sequence, self.messages = number, self.messages + 1


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def listen(url: str, pid: int, seconds: float) -> tuple[float, float, int]:
    """(messages a second, cores that the venue took, holes)."""
    client = Client()
    transport, _ = await ws_connect(lambda: client, url)
    await asyncio.sleep(_WARM_SECONDS)
    began, messages, used = time.monotonic(), client.messages, cpu_seconds(pid)
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    found = (client.messages - messages) / took, (cpu_seconds(pid) - used) / took, client.missing
    transport.disconnect()
    return found


def measure(rate: int, seconds: float) -> tuple[float, float, int]:
    command = [sys.executable, "-m", "ordertape.simulator", "coinbase", "--rate", str(rate)]
    venue = subprocess.Popen(
        [*command, "--watch-parent"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert venue.stdout is not None
    try:
        url = json.loads(venue.stdout.readline())["url"]
        return asyncio.run(listen(url, venue.pid, seconds))
    finally:
        venue.terminate()
        venue.wait(10)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.venue", description=__doc__)
    parser.add_argument("--rate", type=int, default=20_000, help="operations a second")
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    rate, cores, holes = measure(options.rate, options.seconds)
    table = Table("messages/s to one client", "cores of the venue", "holes in the sequence")
    table.add_row(f"{rate:,.0f}", f"{cores:.2f}", str(holes))
    Console().print(table)


if __name__ == "__main__":
    main()
