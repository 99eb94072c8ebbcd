"""Simulated markets beside the real ones of a server: a venue, and a collector for it alone."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ordertape.errors import ImportRefused, TapeError
from ordertape.roles.status import read_report
from ordertape.roles.supervisor import Role
from ordertape.settings import Settings
from ordertape.tape.folder import markets
from ordertape.venues.registry import venue_of

__all__ = ["Demonstration", "free_port", "refuse_demonstration"]


@dataclass(frozen=True)
class Demonstration:
    """One simulated venue and what it offers; the same seed makes the same markets.

    Its collector marks every tape as simulated, is no real collector's, and has no list of wanted
    streams: a server without a demonstration never starts them again.
    """

    exchange: str = "bitfinex"
    symbols: tuple[str, ...] = ("BTC/USDT",)
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
        ours = {(self.exchange, symbol) for symbol in self.symbols}
        mine = [folder for folder in found if (folder.exchange, folder.symbol) in ours]
        for folder in mine or found:
            report = read_report(folder.root)
            if report is None or not report.simulated:  # what was imported has no report
                raise TapeError(
                    f"{data} holds real data ({folder.market}), the demonstration can't be mixed "
                    "in: choose another --data"
                )

    def venue_role(self, port: int) -> Role:
        """The venue on a port that stays the same when it is started again."""
        pairs = [venue_of(self.exchange).pair(symbol) for symbol in self.symbols]
        symbols = [option for pair in pairs for option in ("--symbol", pair)]
        return Role(
            f"the simulated {self.exchange}",
            "ordertape.simulator",
            (
                *(self.exchange, "--port", str(port), "--seed", str(self.seed)),
                *("--rate", str(self.rate), *symbols, "--watch-parent"),
            ),
            speaks=True,
        )

    def collector_role(
        self,
        port: int,
        control: Path,
        options: tuple[str, ...],
        environment: Mapping[str, str],
    ) -> Role:
        """The collector of that venue, whose addresses stand above all other settings."""
        name = self.exchange.upper()
        return Role(
            f"the collector of the simulated {self.exchange}",
            "ordertape.roles.collector",
            (self.exchange, *self.symbols, "--simulated", "--control", str(control), *options),
            lock=control.with_suffix(".lock"),
            environment={
                **environment,
                f"ORDERTAPE_{name}_WS_URL": f"ws://127.0.0.1:{port}/ws/2",
                f"ORDERTAPE_{name}_REST_URL": f"http://127.0.0.1:{port}",
            },
            speaks=True,
            beats=True,
        )


def refuse_demonstration(data: Path) -> None:
    """Raises ImportRefused where a folder is a demonstration's: what is real is not put there."""
    for folder in markets(data):
        report = read_report(folder.root)
        if report is not None and report.simulated:
            raise ImportRefused(
                f"{data} is a demonstration's ({folder.market} is simulated), nothing real is added"
                " to it: choose another --data"
            )


def free_port() -> int:
    """A port of loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
