"""``python -m ordertape.simulator``: a simulated venue in a process of its own.

Prints one JSON line ``{"url", "rest_url", "symbols", "seed"}`` when it listens, and runs until
SIGTERM or SIGINT, or with ``--watch-parent`` until its standard input closes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from typing import NoReturn

import msgspec
import uvloop

from ordertape.errors import OrdertapeError
from ordertape.simulator.bitfinex import SimulatedBitfinex

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> _Parser:
    parser = _Parser(prog="ordertape.simulator", description="A simulated venue on loopback.")
    parser.add_argument("venue", nargs="?", default="bitfinex", choices=["bitfinex"])
    parser.add_argument("--port", type=int, default=0, help="0: a free one (default)")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same markets (default 7)")
    parser.add_argument(
        "--symbol",
        action="append",
        dest="symbols",
        metavar="SYMBOL",
        help="a market to offer, may be repeated (default tBTCUST)",
    )
    parser.add_argument(
        "--rate", type=int, default=200, help="orders, cancels and amendments a second (1 to 5000)"
    )
    parser.add_argument(
        "--watch-parent", action="store_true", help="end when standard input closes"
    )
    return parser


async def _serve(server: SimulatedBitfinex, watch_parent: bool) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if watch_parent:

        def wait_for_end() -> None:
            while os.read(sys.stdin.fileno(), 4096):
                pass
            loop.call_soon_threadsafe(stop.set)

        # A thread, because standard input may be a file, which an event loop can't wait for.
        threading.Thread(target=wait_for_end, name="parent", daemon=True).start()
    async with server:
        line = {
            "url": server.url,
            "rest_url": server.rest_url,
            "symbols": server.symbols,
            "seed": server.seed,
        }
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        sys.stdout.flush()
        stopped = asyncio.create_task(stop.wait())
        running = asyncio.create_task(server.wait())
        await asyncio.wait((stopped, running), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        running.cancel()


def main(arguments: list[str] | None = None) -> int:
    """Runs until told to end; the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not 0 <= options.port <= 65_535:
        parser.error(f"expected a port of 0 to 65535, found {options.port}")
    try:
        server = SimulatedBitfinex(
            options.seed, options.symbols or ("tBTCUST",), options.rate, port=options.port
        )
        uvloop.run(_serve(server, options.watch_parent))
    except OrdertapeError as error:
        parser.error(str(error))
    except OSError as error:
        parser.exit(1, f"{parser.prog}: can't listen on port {options.port}: {error.strerror}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
