"""``wanted.json``: the streams of a venue that somebody started and nobody stopped.

It lies beside the venue's markets, is written by the venue's collector alone, and replaced whole
(temporary file, fsync, rename, fsync of the folder), so that it is the old list or the new one.
Whoever starts the collector, it begins with these streams.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from ordertape import limits
from ordertape.errors import SettingRefused
from ordertape.tape.folder import slug, sync_directory

__all__ = ["WantedStream", "WantedStreams", "is_wanted", "read_wanted", "wanted_exchanges"]


class WantedStream(msgspec.Struct, kw_only=True):
    """One stream that is to run; its market's name is the key."""

    snapshot_interval_seconds: int = limits.snapshot_interval_seconds_default


class WantedStreams:
    """The list of one venue.  Only for who holds the collector's lock."""

    def __init__(self, data: Path, exchange: str) -> None:
        self.path = wanted_path(data, exchange)
        self._streams = read_wanted(self.path)

    @property
    def streams(self) -> dict[str, WantedStream]:
        """By symbol, in the order in which they were started."""
        return dict(self._streams)

    def add(self, symbol: str, stream: WantedStream) -> None:
        """Durable when it returns.  Raises OSError, and then nothing has changed."""
        self._replace({**self._streams, symbol: stream})

    def remove(self, symbol: str) -> None:
        """As ``add``; nothing where it is not there."""
        if symbol in self._streams:
            self._replace({name: s for name, s in self._streams.items() if name != symbol})

    def _replace(self, streams: dict[str, WantedStream]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f"{self.path.name}.new")
        with temporary.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(streams)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path)
        sync_directory(self.path.parent)
        self._streams = streams


def read_wanted(path: Path) -> dict[str, WantedStream]:
    """The list in a file, empty where there is none.  Raises SettingRefused where it is no list."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, WantedStream])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SettingRefused(
            f"{path} is no list of wanted streams ({error}): mend it or remove it"
        ) from None


def wanted_exchanges(data: Path, exchanges: Iterable[str]) -> list[str]:
    """Those of the venues that have streams to run, or a list that can't be read: the venue's
    collector will say so."""
    found = []
    for name in exchanges:
        try:
            if read_wanted(wanted_path(data, name)):
                found.append(name)
        except SettingRefused:
            found.append(name)
    return found


def is_wanted(
    data: Path,
    exchange: str,
    symbol: str,
    read: Callable[[Path], dict[str, WantedStream]] = read_wanted,
) -> bool:
    """Whether a market's stream is to run; ``read`` may know what stands in an unchanged file."""
    try:
        return symbol in read(wanted_path(data, exchange))
    except SettingRefused:
        return False


def wanted_path(data: Path, exchange: str) -> Path:
    return data / slug(exchange) / "wanted.json"
