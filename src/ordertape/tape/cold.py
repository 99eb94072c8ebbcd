"""The cold tier: old files of the archive, written without what the book implies.

A cold file has the rows of the plain one, bit for bit, and says the same about itself.  It is
written under a temporary name, made durable, read back and compared, renamed, and only then the
plain one goes: killed anywhere, one of the two is there and whole, and the next run goes on.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from ordertape._engine import IdCodec
from ordertape.crash_points import crash_point
from ordertape.errors import TapeCorrupt, TapeError
from ordertape.tape.archive_columns import hash_columns
from ordertape.tape.archive_files import (
    ArchiveFile,
    FileInfo,
    sync_file,
    temporary,
)
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.cold_file import ColdFile, ColdWriter
from ordertape.tape.file_groups import COLD, group_spans, read_group
from ordertape.tape.folder import MarketFolder, names_like, sync_directory
from ordertape.times import NS_PER_SECOND

__all__ = ["Cooled", "cool", "days_ago"]

_PLAIN_NAME: Final = re.compile(r"events-(\d{20})-(\d{20})\.parquet")
_NS_PER_DAY: Final = 86_400 * NS_PER_SECOND


class Cooled(NamedTuple):
    """A file that became cold: its events, its bytes before and after."""

    path: Path
    events: int
    plain_bytes: int
    cold_bytes: int

    def told(self) -> dict[str, str | int]:
        """As a line of a log or of JSON."""
        return {**self._asdict(), "path": str(self.path)}


def days_ago(days: int) -> int:
    """That moment, ns since 1970 UTC."""
    return time.time_ns() - days * _NS_PER_DAY


def cool(folder: MarketFolder, before: int) -> Iterator[Cooled]:
    """Makes the files cold whose last event came before a moment (ns), oldest first, one a step.

    A file that can't be read is left as it is and told at the end.  Raises MarketBusy, TapeError.
    """
    unread: TapeCorrupt | None = None
    for name in sorted(names_like(_PLAIN_NAME, folder.archive), key=lambda name: name[0]):
        file = ArchiveFile(int(name[1]), int(name[2]), folder.archive / name[0])
        with folder.archiving():
            try:
                cooled = _cooled(file, before)
            except FileNotFoundError:
                continue  # another process was quicker
            except TapeCorrupt as error:
                unread = unread or error
                continue
            except OSError as error:
                raise TapeError(
                    f"{folder.market}: can't write the archive {folder.archive}: {error}"
                ) from None
        if cooled is None:
            break  # those behind it are younger
        yield cooled
    if unread is not None:
        raise unread


def _cooled(plain: ArchiveFile, before: int) -> Cooled | None:
    """None where the file is too young."""
    cold = plain._replace(path=plain.path.with_suffix(COLD))
    size = plain.path.stat().st_size
    if cold.path.exists() and not _holds_all(cold):
        cold.path.unlink()  # of two forms the one that is whole stays
        sync_directory(cold.path.parent)
    if not cold.path.exists():
        if plain.info.last_ts_recv >= before:
            return None
        _write(plain, cold.path)
        crash_point("cold.renamed")
    else:  # whoever gave it its name: no sync of the folder may have succeeded since
        sync_file(cold.path)
        sync_directory(cold.path.parent)
    plain.path.unlink()
    crash_point("cold.plain_gone")
    sync_directory(plain.path.parent)
    events = plain.last_seq - plain.first_seq + 1
    return Cooled(cold.path, events, size, cold.path.stat().st_size)


def _holds_all(cold: ArchiveFile) -> bool:
    """Whether what a crash left beside its plain form can be believed."""
    try:
        return _digest_of(cold.path, cold.info) == cold.info.rows_digest
    except TapeCorrupt:
        return False


def _write(file: ArchiveFile, cold: Path) -> None:
    info = file.info
    path = temporary(cold.parent, cold.name)
    try:
        digest = _copy(file, info, path)
        sync_file(path)
        if _digest_of(path, info) != digest:
            raise TapeError(f"{file.path}: expected its rows in {path.name}, found others")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    crash_point("cold.written")
    path.rename(cold)
    sync_directory(cold.parent)


def _copy(file: ArchiveFile, info: FileInfo, path: Path) -> str:
    """Writes the cold form; the digest of its rows."""
    hasher = hashlib.blake2b(digest_size=16)
    codecs, scales = _codecs_of(info), (info.price_scale, info.size_scale)
    first = info.first_seq
    with ColdWriter(path) as writer:
        for nth in range(len(group_spans(file.path))):
            group = read_group(file.path, nth, first, scales, codecs)
            hash_columns(hasher, group.columns(first))
            seq = np.arange(first, first + group.rows)
            writer.append(group.batch(0, group.rows, seq, scales, codecs))
            first += group.rows
        # A later run of `cool` compares with it where a crash leaves both forms.
        writer.finish(_with_digest(info, hasher.hexdigest(), file.path))
    return hasher.hexdigest()


def _with_digest(info: FileInfo, digest: str, path: Path) -> FileInfo:
    if info.rows_digest not in ("", digest):
        raise TapeCorrupt(
            f"{path}: expected rows with the digest {info.rows_digest}, found {digest}"
        )
    return msgspec.structs.replace(info, rows_digest=digest)


def _digest_of(path: Path, info: FileInfo) -> str:
    """Of the rows of a cold file, whatever its name."""
    hasher = hashlib.blake2b(digest_size=16)
    codecs, scales = _codecs_of(info), (info.price_scale, info.size_scale)
    file, first = ColdFile(path), info.first_seq
    for nth in range(len(file.blocks)):
        group = file.group(nth, first, scales, codecs)
        hash_columns(hasher, group.columns(first))
        first += group.rows
    return hasher.hexdigest()


def _codecs_of(info: FileInfo) -> MarketCodecs:
    return MarketCodecs(IdCodec(info.codec), IdCodec(info.trade_codec))
