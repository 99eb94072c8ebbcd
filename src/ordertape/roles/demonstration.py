"""Simulated markets of a server: one exchange that venues show, and a collector for each."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ordertape.errors import ImportRefused, TapeError
from ordertape.roles.status import read_report
from ordertape.roles.supervisor import Role
from ordertape.settings import Settings
from ordertape.simulator.coinbase_keys import DEMO_KEYS
from ordertape.tape.folder import MarketFolder, markets
from ordertape.tape.reader import TapeReader
from ordertape.venues.registry import venue_of

__all__ = ["Demonstration", "free_port", "refuse_demonstration"]


@dataclass(frozen=True)
class Demonstration:
    """One simulated exchange, as several venues show it; the same seed makes the same market.

    Its collectors mark every tape as simulated, are no real collectors, and have no list of wanted
    streams: a server without a demonstration never starts them again.
    """

    markets: tuple[tuple[str, str], ...] = (("bitfinex", "BTC/USD"), ("coinbase", "BTC-USD"))
    """(exchange, symbol): one market, in the form of each venue."""
    seed: int = 7
    rate: int = 200
    """Orders, cancels and amendments a second."""

    def settings(self, settings: Settings) -> Settings:
        """The same with the folder's own PostgreSQL: what is simulated never goes elsewhere."""
        return settings.model_copy(update={"database_url": None})

    def refuse_real(self, data: Path) -> None:
        """Raises TapeError where a folder holds real tapes.

        In one that has a market of this demonstration others may be, which older versions let in.
        """
        found = markets(data)
        mine = [folder for folder in found if (folder.exchange, folder.symbol) in self.markets]
        for folder in mine or found:
            if not _is_simulated(folder):
                raise TapeError(
                    f"{data} holds real data ({folder.market}), the demonstration can't be mixed "
                    "in: choose another --data"
                )

    def exchange_role(self, ports: Mapping[str, int]) -> Role:
        """The exchange, each venue on a port that stays the same when it is started again."""
        options = [option for port in ports.values() for option in ("--port", str(port))]
        (pair,) = {
            venue_of("bitfinex").pair(symbol.replace("-", "/")) for _, symbol in self.markets
        }
        return Role(
            f"the simulated {' and '.join(ports)}",
            "ordertape.simulator",
            (
                *(*ports, *options, "--seed", str(self.seed), "--rate", str(self.rate)),
                *("--symbol", pair, "--watch-parent"),
            ),
            speaks=True,
        )

    def collector_role(
        self,
        exchange: str,
        port: int,
        control: Path,
        options: tuple[str, ...],
        environment: Mapping[str, str],
    ) -> Role:
        """The collector of one of its venues, whose addresses and keys stand above all other
        settings: it reaches no real venue, and nobody's own keys."""
        symbols = [symbol for venue, symbol in self.markets if venue == exchange]
        return Role(
            f"the collector of the simulated {exchange}",
            "ordertape.roles.collector",
            (exchange, *symbols, "--simulated", "--control", str(control), *options),
            lock=control.with_suffix(".lock"),
            environment={**environment, **_reached_by(exchange, port)},
            speaks=True,
            beats=True,
        )


def _reached_by(exchange: str, port: int) -> dict[str, str]:
    """The settings with which a collector reaches a simulated venue."""
    name, path = exchange.upper(), "/ws/2" if exchange == "bitfinex" else ""
    found = {
        f"ORDERTAPE_{name}_WS_URL": f"ws://127.0.0.1:{port}{path}",
        f"ORDERTAPE_{name}_REST_URL": f"http://127.0.0.1:{port}",
    }
    if exchange == "coinbase":
        found |= {
            "COINBASE_API_KEY": DEMO_KEYS.key,
            "COINBASE_API_SECRET": DEMO_KEYS.secret,
            "COINBASE_API_PASSPHRASE": DEMO_KEYS.passphrase,
        }
    return found


def refuse_demonstration(data: Path) -> None:
    """Raises ImportRefused where a folder is a demonstration's: what is real is not put there."""
    for folder in markets(data):
        if _is_simulated(folder):
            raise ImportRefused(
                f"{data} is a demonstration's ({folder.market} is simulated), nothing real is added"
                " to it: choose another --data"
            )


def _is_simulated(folder: MarketFolder) -> bool:
    """What the tape's collector reported last, else the tape's own mark: a copy has no report, and
    what was imported has neither."""
    report = read_report(folder.root)
    if report is not None:
        return report.simulated
    marks = TapeReader(folder.data, folder.exchange, folder.symbol).marks()
    return any(mark.kind == "simulated" for mark in marks)


def free_port() -> int:
    """A port of loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
