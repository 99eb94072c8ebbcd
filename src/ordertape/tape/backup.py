"""A copy of the tapes of a data folder that are being written, from which all of it can go on.

Journal first, archive second: what the keeper moves from one into the other meanwhile is in both
copies rather than in none.  A journal only grows, so that the part up to a whole frame is the same
at any time; a file of the archive never changes, so that one that was copied before stays.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from ordertape import limits
from ordertape.errors import OrdertapeError, SettingRefused, TapeError
from ordertape.tape.file_groups import COLD, PLAIN, in_either_form
from ordertape.tape.folder import MarketFolder, exchange_folders, markets, sync_directory
from ordertape.tape.journal_reader import NO_EVENTS, JournalReader
from ordertape.tape.lookup import TapeLookup
from ordertape.tape.segment import Position, segments

__all__ = ["CopiedTape", "back_up"]

_COPY_BYTES = 2**20
_LISTS = ("wanted.json", "keys.json", "bookmarks.json")
"""What lies beside the tapes and is no tape: the streams that are to run, digests of API keys,
bookmarks of the page."""


class CopiedTape(NamedTuple):
    """``sequence``: the last event in the copy; ``copied_bytes``: without what was there before."""

    exchange: str
    symbol: str
    sequence: int
    copied_bytes: int


def back_up(data: Path, target: Path) -> list[CopiedTape]:
    """Copies every tape of ``data`` into ``target``, which becomes a data folder, durably.

    PostgreSQL and captures are left out.  Raises SettingRefused where one folder lies in the
    other, TapeError where there is no tape or one of several can't be copied, OSError where
    something else can't be read or written.
    """
    source, inside = data.resolve(), target.resolve()
    if source == inside or source in inside.parents or inside in source.parents:
        raise SettingRefused(
            f"the copy of {data} can't be in {target}: expected a folder beside it, not inside"
        )
    folders = list(markets(data))
    if not folders:
        raise TapeError(
            f"no tape in {data}, so nothing was backed up: expected the data folder of a server or "
            "collector (--data, ORDERTAPE_DATA)"
        )
    copied, failed = [], []
    for folder in folders:
        try:
            copied.append(_tape(folder, MarketFolder(target, *_name(folder))))
        except (OrdertapeError, OSError) as error:  # the others are copied
            failed.append(f"{folder.market}: {error}")
    for place in (data, *exchange_folders(data)):
        for name in _LISTS:
            if (place / name).is_file():
                _copy(place / name, target / place.relative_to(data) / name)
    if failed:
        raise TapeError(f"{len(copied)} of {len(folders)} tapes copied, not {'; '.join(failed)}")
    return copied


def _name(folder: MarketFolder) -> tuple[str, str]:
    return folder.exchange, folder.symbol


def _tape(source: MarketFolder, target: MarketFolder) -> CopiedTape:
    written = 0
    there = segments(source.journal)
    kept = set()
    if there:
        last, end = there[-1], _end(source, there[-1].number)
        for segment in there:
            length = end if segment.number == last.number else None
            try:
                written += _copy(segment.path, target.journal / segment.path.name, length)
            except FileNotFoundError:
                continue  # the keeper let it go meanwhile: the archive has it
            kept.add(segment.path.name)
    for path in _archive(source):
        written += in_either_form(
            path, lambda there: _copy(there, target.archive / there.name, again=False)
        )
    for cold in target.archive.glob(f"*{COLD}"):  # an earlier copy has its plain form
        cold.with_suffix(PLAIN).unlink(missing_ok=True)
    for segment in segments(target.journal):
        if segment.path.name not in kept:  # of an earlier copy; the archive has it now
            segment.path.unlink()
    return CopiedTape(*_name(source), TapeLookup(target).last_seq(), written)


def _end(folder: MarketFolder, number: int) -> int:
    """Behind the last whole frame of a segment that is being written."""
    start = Position(number, 0)
    with closing(JournalReader(folder, start=start, from_seq=NO_EVENTS)) as reader:
        for _ in reader.read():
            pass
        # It may have read on into a segment that was begun meanwhile: this one is whole then.
        return reader.position.offset if reader.position.segment == number else 2**62


def _archive(folder: MarketFolder) -> list[Path]:
    """Its files, all of a commit or none: two looks that see the same, and none under way."""
    deadline = time.monotonic() + limits.backup_commit_ms_max / 1000
    before: list[Path] | None = None
    while time.monotonic() < deadline:
        found = sorted(path for form in (PLAIN, COLD) for path in folder.archive.glob(f"*{form}"))
        if found == before and not (folder.archive / "commit.json").exists():
            return found
        before = found
    raise TapeError(
        f"{folder.market}: a commit of the archive is under way for over "
        f"{limits.backup_commit_ms_max} ms: start its keeper, which finishes it"
    )


def _copy(source: Path, target: Path, length: int | None = None, *, again: bool = True) -> int:
    """The bytes copied; the copy has its name when it is whole and durable."""
    if not again and target.is_file() and target.stat().st_size == source.stat().st_size:
        return 0
    left = source.stat().st_size if length is None else length
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.new")
    written = 0
    with source.open("rb") as reading, temporary.open("wb") as writing:
        while left > 0 and (part := reading.read(min(left, _COPY_BYTES))):
            writing.write(part)
            left -= len(part)
            written += len(part)
        writing.flush()
        os.fsync(writing.fileno())
    os.chmod(temporary, source.stat().st_mode & 0o777)
    os.replace(temporary, target)
    sync_directory(target.parent)
    return written
