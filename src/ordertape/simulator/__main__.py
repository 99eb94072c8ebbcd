"""``python -m ordertape.simulator``: simulated venues in a process of their own.

Several venues show the same markets, each on its own port.  Prints one JSON line when they listen:
``{"url", "rest_url", "symbols", "seed", "venues": {name: {"url", "rest_url", "symbols"}}}``, the
first three those of the first venue.  Runs until SIGTERM or SIGINT, or with ``--watch-parent``
until its standard input closes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NoReturn

import msgspec
import uvloop

from ordertape.errors import OrdertapeError, SettingRefused
from ordertape.simulator.bitfinex import SimulatedBitfinex
from ordertape.simulator.coinbase import SimulatedCoinbase
from ordertape.simulator.coinbase_keys import DEMO_KEYS, Keys
from ordertape.simulator.exchange import SimulatedMarket
from ordertape.simulator.faces import Exchange
from ordertape.simulator.faults import FaultPlan
from ordertape.simulator.faults_rules import Kind, rules
from ordertape.simulator.markets import chosen_markets
from ordertape.simulator.sockets import Clock

__all__ = ["main"]

_VENUES: Final = ("bitfinex", "coinbase")
_Venue = SimulatedBitfinex | SimulatedCoinbase


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> _Parser:
    parser = _Parser(prog="ordertape.simulator", description="Simulated venues on loopback.")
    parser.add_argument(
        "venues", nargs="*", metavar="VENUE", help="bitfinex (default), coinbase, or both"
    )
    parser.add_argument(
        "--port",
        type=int,
        action="append",
        dest="ports",
        help="0: a free one (default); may be repeated, one a venue",
    )
    parser.add_argument("--seed", type=int, default=7, help="same seed, same markets (default 7)")
    parser.add_argument(
        "--symbol",
        action="append",
        dest="symbols",
        metavar="SYMBOL",
        help="a market to offer, may be repeated (default tBTCUST, of Coinbase BTC-USD)",
    )
    parser.add_argument(
        "--rate", type=int, default=200, help="events a second of each market (default 200)"
    )
    parser.add_argument("--orders", type=int, help="orders that rest in each market")
    parser.add_argument(
        "--faults",
        metavar="JSON",
        help="what goes wrong: a JSON list of rules, or @FILE that holds one; "
        f"kinds: {', '.join(kind.value for kind in Kind)}",
    )
    parser.add_argument(
        "--keys", metavar="FILE", help='Coinbase\'s: JSON {"key", "secret", "passphrase"}'
    )
    parser.add_argument(
        "--watch-parent", action="store_true", help="end when standard input closes"
    )
    return parser


async def _serve(options: argparse.Namespace, keys: Keys) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.watch_parent:

        def wait_for_end() -> None:
            while os.read(sys.stdin.fileno(), 4096):
                pass
            loop.call_soon_threadsafe(stop.set)

        # A thread, because standard input may be a file, which an event loop can't wait for.
        threading.Thread(target=wait_for_end, name="parent", daemon=True).start()
    venues, clock = _make(options, keys)
    async with AsyncExitStack() as stack:
        for venue in venues.values():
            await stack.enter_async_context(venue)
        _tell(venues, options.seed)
        stopped = asyncio.create_task(stop.wait())
        running = asyncio.create_task(clock.wait())
        await asyncio.wait((stopped, running), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        running.cancel()


def _make(options: argparse.Namespace, keys: Keys) -> tuple[dict[str, _Venue], Clock]:
    start_ns = time.time_ns()
    exchange = Exchange(
        options.seed,
        [
            SimulatedMarket(shape, options.seed, options.rate, start_ns, live_orders=options.orders)
            for shape in options.shapes
        ],
        start_ns,
    )
    clock = Clock(exchange)
    venues: dict[str, _Venue] = {}
    for name, port in zip(options.venues, options.ports, strict=True):
        plan = FaultPlan(options.seed, options.rules) if options.rules else None
        if name == "bitfinex":
            venues[name] = SimulatedBitfinex(clock=clock, port=port, plan=plan)
        else:
            venues[name] = SimulatedCoinbase(clock=clock, port=port, plan=plan, keys=keys)
    return venues, clock


def _tell(venues: dict[str, _Venue], seed: int) -> None:
    told = {
        name: {"url": venue.url, "rest_url": venue.rest_url, "symbols": list(venue.symbols)}
        for name, venue in venues.items()
    }
    line = {**next(iter(told.values())), "seed": seed, "venues": told}
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


def _complete(parser: _Parser, options: argparse.Namespace) -> Keys:
    """Fills in what was not said and refuses what can't be; the keys of Coinbase."""
    for name in options.venues:
        if name not in _VENUES:
            parser.error(f"argument VENUE: invalid choice: {name!r}, expected bitfinex or coinbase")
    options.venues = list(dict.fromkeys(options.venues or ["bitfinex"]))
    options.ports = options.ports or []
    for port in options.ports:
        if not 0 <= port <= 65_535:
            parser.error(f"expected a port of 0 to 65535, found {port}")
    if len(options.ports) > len(options.venues):
        parser.error(f"expected at most a port a venue, found {len(options.ports)}")
    options.ports += [0] * (len(options.venues) - len(options.ports))
    alone = options.venues == ["bitfinex"]
    symbols = options.symbols or ("tBTCUST" if alone else "BTC-USD",)
    options.shapes = chosen_markets(symbols, options.rate)
    options.rules = rules(_text(options.faults)) if options.faults else ()
    if not options.keys:
        return DEMO_KEYS
    try:
        return msgspec.json.decode(_text(f"@{options.keys}"), type=Keys)
    except msgspec.MsgspecError as error:
        raise SettingRefused(f"expected key, secret and passphrase: {error}") from None


def _text(given: str) -> str:
    """A text, or that of the file whose name follows an @."""
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8")
    except OSError as error:
        raise SettingRefused(f"can't read {given[1:]}: {error.strerror}") from None


def main(arguments: list[str] | None = None) -> int:
    """Runs until told to end; the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        keys = _complete(parser, options)
        uvloop.run(_serve(options, keys))
    except OrdertapeError as error:
        parser.error(str(error))
    except OSError as error:
        ports = " or ".join(str(port) for port in options.ports if port)
        parser.exit(1, f"{parser.prog}: can't listen on port {ports}: {error.strerror}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
