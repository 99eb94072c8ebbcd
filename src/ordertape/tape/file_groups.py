"""Groups of rows of an archive's files, whichever of its two forms a file has.

A file may become a cold one at any moment.  Who still knows it under its plain name gets the same
rows from the cold one, which was there before the plain one went.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import pyarrow.parquet as pq

from ordertape import limits
from ordertape.events import COLUMNS
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.cold_file import ColdFile, ColdGroup
from ordertape.tape.row_group import RowGroup, damage_told, open_file
from ordertape.tape.seal import require_body, require_seal

__all__ = [
    "COLD",
    "PLAIN",
    "Group",
    "GroupSpan",
    "cold_file",
    "group_spans",
    "in_either_form",
    "read_group",
    "require_whole",
]

PLAIN: Final = ".parquet"
COLD: Final = ".cold"
Group: TypeAlias = RowGroup | ColdGroup
Value = TypeVar("Value")
_TS_RECV = list(COLUMNS).index("ts_recv")


class GroupSpan(NamedTuple):
    """What a group holds; times are ``ts_recv`` in ns."""

    rows: int
    first_ts: int
    last_ts: int


def in_either_form(path: Path, do: Callable[[Path], Value]) -> Value:
    """``do`` with a file; with the cold one where the plain one has just become it."""
    try:
        return do(path)
    except FileNotFoundError:
        cold = path.with_suffix(COLD)
        if path.suffix != PLAIN or not cold.exists():
            raise
    return do(cold)


def group_spans(path: Path) -> list[GroupSpan]:
    """The groups of a file, in order.  Raises TapeCorrupt."""
    return in_either_form(path, _spans)


def require_whole(path: Path) -> None:
    """Raises TapeCorrupt where a file is not what was written, its rows apart: each group of a cold
    file is checked as it is read."""

    def look(path: Path) -> None:
        if path.suffix == COLD:
            cold_file(path)
        else:
            require_body(path)

    in_either_form(path, look)


def read_group(
    path: Path, nth: int, first_seq: int, scales: tuple[int, int], codecs: MarketCodecs
) -> Group:
    """A decoded group, whose first event is ``first_seq``.  Raises TapeCorrupt."""

    def read(path: Path) -> Group:
        if path.suffix == COLD:
            return cold_file(path).group(nth, first_seq, scales, codecs)
        with open_file(path) as file:
            return RowGroup(file, nth)

    return in_either_form(path, read)


def _spans(path: Path) -> list[GroupSpan]:
    if path.suffix == COLD:
        blocks = cold_file(path).blocks
        return [GroupSpan(block.rows, block.first_ts, block.last_ts) for block in blocks]
    require_seal(path)
    with damage_told(path):
        meta = pq.read_metadata(path)
    spans = []
    for nth in range(meta.num_row_groups):
        group = meta.row_group(nth)
        times: Any = group.column(_TS_RECV).statistics
        spans.append(GroupSpan(group.num_rows, times.min, times.max))
    return spans


def cold_file(path: Path) -> ColdFile:
    """What a cold file says about itself, kept in mind.  Raises TapeCorrupt."""
    status = path.stat()
    return _cold_file(path, (status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(limits.archive_files_known)
def _cold_file(path: Path, _: tuple[int, int, int]) -> ColdFile:
    return ColdFile(path)
