"""What the interface needs of the server it stands in front of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from ordertape.database.address import Address
from ordertape.measures import MeasuredStream, ProcessMeasures
from ordertape.models import StreamInfo

__all__ = ["Server", "Streams"]


class Streams(Protocol):
    """The streams of all collectors.  Symbols are in any usual form.

    Raises UnknownMarket, SettingRefused, MarketBusy and what a collector refuses.
    """

    async def start_all(
        self, exchanges: Iterable[str], symbol: str, persist: bool, interval: int | None
    ) -> list[StreamInfo]:
        """Runs one symbol on several venues, on all or on none more than before; what runs
        already stays as it is.  ``interval``: seconds between snapshots, None as the settings
        say."""
        ...

    async def stop(self, exchange: str, symbol: str) -> StreamInfo:
        """Ends it, once its tape is durable."""
        ...

    def status(self, exchange: str, symbol: str) -> StreamInfo | None:
        """None where it was never collected here."""
        ...

    def all(self) -> Sequence[StreamInfo]:
        """Every market that was ever collected here."""
        ...

    def resolve(self, exchange: str, symbol: str) -> tuple[str, str]:
        """(exchange, symbol) in our one form, of a market that was ever collected here."""
        ...

    async def changed(self) -> None:
        """Returns when something was told about any stream after this was called."""
        ...


class Server(Protocol):
    """What ``running_server`` gives."""

    @property
    def streams(self) -> Streams: ...
    @property
    def data(self) -> Path:
        """The data folder."""
        ...

    @property
    def database(self) -> Address | None:
        """Where PostgreSQL is, which may be away; None where nothing persists."""
        ...

    def is_collected(self, folder: Path) -> bool:
        """Whether somebody collects the market of a folder now.  From any thread."""
        ...

    def measured(self) -> Sequence[MeasuredStream]:
        """What the collectors that answer say of their streams."""
        ...

    def processes(self) -> Sequence[ProcessMeasures]:
        """The roles that run, this one included.  Blocking work."""
        ...

    def starts(self) -> dict[str, int]:
        """How often each role was started here."""
        ...

    def not_ready(self) -> dict[str, str]:
        """Which roles don't do their work, and why in a few words that give nothing away."""
        ...
