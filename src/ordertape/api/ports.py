"""What the interface needs of the server it stands in front of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ordertape.models import StreamInfo

__all__ = ["Server", "Streams"]


class Streams(Protocol):
    """The streams of all collectors.  Symbols are in any usual form.

    Raises UnknownMarket, SettingRefused, MarketBusy, VenueRefused and what a collector refuses.
    """

    async def start(
        self, exchange: str, symbol: str, persist: bool, interval: int | None
    ) -> StreamInfo:
        """Runs it; where it runs already nothing changes.  ``interval``: seconds between
        snapshots, None as the settings say."""
        ...

    async def stop(self, exchange: str, symbol: str) -> StreamInfo:
        """Ends it, once its tape is durable."""
        ...

    def status(self, exchange: str, symbol: str) -> StreamInfo | None:
        """None where it never ran."""
        ...

    def all(self) -> Sequence[StreamInfo]:
        """Every stream that runs or ran."""
        ...

    def resolve(self, exchange: str, symbol: str) -> tuple[str, str]:
        """(exchange, symbol) in our one form."""
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
    def database(self) -> str | None:
        """The address of PostgreSQL, None where there is none."""
        ...
