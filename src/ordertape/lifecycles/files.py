"""Lives of orders beside the archive: a file for what each archive file's events told, and what is
known of orders behind the last of them.

``lifecycles/lives-<first event>-<last event>.parquet`` are made anew from the tape wherever they
are missing, of another version or of another tape; nothing else is lost with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pyarrow
import pyarrow.parquet as pq

from ordertape import limits
from ordertape.errors import TapeCorrupt
from ordertape.lifecycles.tables import stored_schema
from ordertape.lifecycles.walk import State
from ordertape.tape.archive_files import METADATA_KEY, list_files, sync_file, temporary
from ordertape.tape.folder import MarketFolder, names_like, sync_directory
from ordertape.tape.row_group import damage_told
from ordertape.tape.seal import UNSEALED, require_seal, seal

__all__ = ["LivesFile", "LivesWriter", "Stored", "folder_of", "forget_before", "stored_lives"]

VERSION: Final = 1
_NAME = re.compile(r"lives-(\d{20})-(\d{20})\.parquet")
_STATE = re.compile(r"state-(\d{20})\.parquet")


class _Info(msgspec.Struct, frozen=True):
    """What a file says about itself."""

    version: int
    exchange: str
    symbol: str
    first_seq: int
    last_seq: int
    last_ts_recv: int
    """Of the event ``last_seq``: of another tape it is another."""
    era: int = 0
    gap_from: int | None = None
    trusted: bool = True
    seal: str = UNSEALED
    body: str = UNSEALED


class LivesFile(NamedTuple):
    """The lives that the events from ``first_seq`` to ``last_seq`` told."""

    first_seq: int
    last_seq: int
    path: Path

    def tables(
        self, after: int = 0, ended: tuple[int | None, int | None] = (None, None)
    ) -> Iterator[pyarrow.Table]:
        """Its rows, a row group each, by their places; those without a row that was told at or
        behind an event and ended within a time (ns, without its end) are left out.

        Raises TapeCorrupt.
        """
        with damage_told(self.path):
            require_seal(self.path)
            with pq.ParquetFile(self.path, page_checksum_verification=True) as file:
                for nth in range(file.metadata.num_row_groups):
                    if _may_hold(file.metadata.row_group(nth), after, ended):
                        yield file.read_row_group(nth)


def _may_hold(group: Any, after: int, ended: tuple[int | None, int | None]) -> bool:
    if not group.num_rows:
        return False
    told, ends = (_range(group, name) for name in ("told_seq", "ended"))
    start, end = ended
    return not (
        told[1] < after
        or (start is not None and ends[1] < start)
        or (end is not None and ends[0] >= end)
    )


def _range(group: Any, name: str) -> tuple[int, int]:
    """The least and the largest value of a column."""
    columns = (group.column(place) for place in range(group.num_columns))
    found = next(column.statistics for column in columns if column.path_in_schema == name)
    return int(found.min), int(found.max)


class Stored(NamedTuple):
    """What is stored of a market, up to the event ``seq``."""

    files: list[LivesFile]
    seq: int
    state: Path | None

    def read_state(self) -> State | None:
        """None where nothing is stored.  Raises TapeCorrupt."""
        if self.state is None:
            return None
        info = _info(self.state)
        with damage_told(self.state):
            lives = pq.read_table(self.state, page_checksum_verification=True)
        return State(info.last_seq, info.last_ts_recv, info.era, info.gap_from, info.trusted, lives)


def folder_of(folder: MarketFolder) -> Path:
    return folder.root / "lifecycles"


def stored_lives(folder: MarketFolder) -> Stored:
    """What is stored and is of this tape; without a state that fits, or with a hole before it,
    nothing."""
    place = folder_of(folder)
    archive = list_files(folder.archive)
    ends = {file.last_seq: file for file in archive}
    for name in sorted(names_like(_STATE, place), key=lambda name: name[1], reverse=True):
        path, archived = place / name[0], ends.get(int(name[1]))
        if archived is not None and _is_of(path, folder, archived.info.last_ts_recv):
            files = _behind(place, archived.last_seq)
            if files and files[0].first_seq <= archive[0].first_seq:
                return Stored(files, archived.last_seq, path)
    return Stored([], 0, None)


def _behind(place: Path, last: int) -> list[LivesFile]:
    """The files that lead to an event without a hole, oldest first."""
    there = {
        int(name[2]): LivesFile(int(name[1]), int(name[2]), place / name[0])
        for name in names_like(_NAME, place)
    }
    found: list[LivesFile] = []
    while last in there:
        found.append(there[last])
        last = found[-1].first_seq - 1
    return found[::-1]


def _is_of(path: Path, folder: MarketFolder, last_ts_recv: int) -> bool:
    try:
        info = _info(path)
    except (TapeCorrupt, FileNotFoundError):
        return False
    return (info.version, info.exchange, info.symbol, info.last_ts_recv) == (
        VERSION,
        folder.exchange,
        folder.symbol,
        last_ts_recv,
    )


def _info(path: Path) -> _Info:
    status = path.stat()
    return _read_info(path, (status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(limits.archive_files_known)
def _read_info(path: Path, _: tuple[int, int, int]) -> _Info:
    require_seal(path)
    with damage_told(path):
        text = (pq.read_metadata(path).metadata or {})[METADATA_KEY.encode()]
        return msgspec.json.decode(text, type=_Info)


class LivesWriter:
    """Writes the lives that the events from ``first_seq`` on told, a row group at a time; a context
    manager that leaves nothing where ``finish`` was not reached.

    Raises pyarrow.ArrowInvalid where a number needs more than ``digits``.
    """

    def __init__(
        self, folder: MarketFolder, first_seq: int, scales: tuple[int, int], digits: int
    ) -> None:
        self._folder, self._first_seq = folder, first_seq
        self._schema = stored_schema(scales, digits)
        self._place = folder_of(folder)
        self._place.mkdir(exist_ok=True)
        self._writing = temporary(self._place, "lives")
        self._writing.unlink(missing_ok=True)
        self._writer = _parquet(self._writing, self._schema)
        self._waiting: list[pyarrow.Table] = []

    def __enter__(self) -> LivesWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()
        self._writing.unlink(missing_ok=True)

    def write(self, told: pyarrow.Table) -> None:
        """The next rows."""
        self._waiting.append(told.cast(self._schema))
        if sum(map(len, self._waiting)) >= limits.lives_row_group_rows:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._writer.write_table(pyarrow.concat_tables(waiting))

    def finish(self, state: State) -> LivesFile:
        """Everything is durable and has its name, the state last; what is older goes."""
        self._flush()
        info = _Info(
            VERSION,
            self._folder.exchange,
            self._folder.symbol,
            self._first_seq,
            state.seq,
            state.ts_recv,
            state.era,
            state.gap_from,
            state.trusted,
        )
        name = f"lives-{self._first_seq:020d}-{state.seq:020d}.parquet"
        made = LivesFile(self._first_seq, state.seq, self._place / name)
        _end(self._writer, self._writing, made.path, info)
        current = self._place / f"state-{state.seq:020d}.parquet"
        writing = temporary(self._place, "state")
        writer = _parquet(writing, state.lives.schema)
        writer.write_table(state.lives)
        _end(writer, writing, current, info)
        sync_directory(self._place)
        keep = {file.path for file in _behind(self._place, state.seq)}
        # Somebody may be about to read the state before this one.
        states = sorted(names_like(_STATE, self._place), key=lambda name: int(name[1]))
        keep |= {current, *(self._place / name[0] for name in states[-2:])}
        for found in (*names_like(_NAME, self._place), *names_like(_STATE, self._place)):
            if self._place / found[0] not in keep:
                (self._place / found[0]).unlink(missing_ok=True)
        return made


def _parquet(path: Path, schema: pyarrow.Schema) -> Any:
    options: dict[str, Any] = {
        "compression": "zstd",
        "compression_level": 3,
        "use_dictionary": ["side", "ending", "reason", "flags", "era", "fills", "amendments"],
        "column_encoding": dict.fromkeys(
            ("told_seq", "told", "opened", "ended", "opened_seq", "ended_seq"),
            "DELTA_BINARY_PACKED",
        ),
        "store_decimal_as_integer": True,
        "write_page_checksum": True,
    }
    return pq.ParquetWriter(path, schema, **options)


def _end(writer: Any, writing: Path, path: Path, info: _Info) -> None:
    writer.add_key_value_metadata({METADATA_KEY: msgspec.json.encode(info).decode()})
    writer.close()
    seal(writing)
    sync_file(writing)
    writing.rename(path)


def forget_damaged(folder: MarketFolder) -> int:
    """Removes files that are not what was written, so that they are made anew; how many."""
    place, gone = folder_of(folder), 0
    for name in (*names_like(_NAME, place), *names_like(_STATE, place)):
        path = place / name[0]
        try:
            with damage_told(path):
                require_seal(path)
                with pq.ParquetFile(path, page_checksum_verification=True) as file:
                    for nth in range(file.metadata.num_row_groups):
                        file.read_row_group(nth)
        except TapeCorrupt:
            path.unlink(missing_ok=True)
            gone += 1
        except FileNotFoundError:
            continue
    return gone


def forget_before(folder: MarketFolder, seq: int) -> int:
    """Removes files of events before one that the tape begins with now; how many."""
    gone = 0
    for name in names_like(_NAME, folder_of(folder)):
        if int(name[2]) < seq:
            (folder_of(folder) / name[0]).unlink(missing_ok=True)
            gone += 1
    return gone
