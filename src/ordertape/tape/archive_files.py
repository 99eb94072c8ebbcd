"""The files of an archive: their names, what they say about themselves, and how they get there.

A file is written under a temporary name, made durable and renamed; the names are the cursor.
Several files that belong together are listed in ``commit.json`` first, so that a crash between
two renames leaves nothing half done.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow.parquet as pq
import structlog

from ordertape import limits
from ordertape._engine import IdCodec
from ordertape.crash_points import crash_point
from ordertape.errors import TapeCorrupt
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.file_groups import COLD, PLAIN, cold_file, in_either_form
from ordertape.tape.folder import MarketFolder, names_like, slug, sync_directory
from ordertape.tape.marks import Mark
from ordertape.tape.row_group import damage_told
from ordertape.tape.seal import SEALED_VERSION, require_seal

__all__ = [
    "METADATA_KEY",
    "ArchiveFile",
    "ArchivedMark",
    "FileInfo",
    "commit_files",
    "finish_commit",
    "information",
    "last_file",
    "list_files",
    "load_codecs",
    "make_durable",
    "sync_file",
    "temporary",
]

METADATA_KEY = "ordertape"
_NAME = re.compile(r"events-(\d{20})-(\d{20})\.(?:parquet|cold)")
_COMMIT = "commit.json"
_TERMS = b'"terms"'
_log = structlog.stdlib.get_logger("ordertape.tape")


class ArchivedMark(msgspec.Struct, array_like=True, frozen=True):
    """A mark after event ``after``; in the journal it stood at ``place``, where it was in one."""

    after: int
    place: tuple[int, int] | None
    mark: Mark


class FileInfo(msgspec.Struct, frozen=True):
    """What a file of events says about itself in its Parquet metadata."""

    version: int
    exchange: str
    symbol: str
    first_seq: int
    last_seq: int
    first_ts_recv: int
    last_ts_recv: int
    era: int
    """At its end."""
    clears: list[int]
    """seq of each CLEAR in it; a base holds the rows that followed."""
    price_scale: int
    size_scale: int
    codec: str
    trade_codec: str
    terms: tuple[int, int]
    """Dictionary terms known at its end, of orders and of trades."""
    journal: tuple[int, int] | None
    """Where the journal goes on behind it: segment and offset."""
    told: msgspec.Raw = msgspec.field(name="marks")
    """``marks`` as they stand in the file: a fifth of the memory, of hundreds of files that stay in
    mind with thousands each."""
    rows_digest: str = ""
    """BLAKE2b over every value of every row group."""
    seal: str = ""
    """Over the footer; see `ordertape.tape.seal`."""
    body: str = ""
    """Over everything before it."""

    @property
    def marks(self) -> list[ArchivedMark]:
        """Read anew each time.  Raises TapeCorrupt."""
        try:
            return msgspec.json.decode(self.told, type=list[ArchivedMark])
        except msgspec.MsgspecError as error:
            raise TapeCorrupt(f"{self.file_name}: expected marks, found {error}") from None

    @property
    def file_name(self) -> str:
        return ArchiveFile.name(self.first_seq, self.last_seq)


class ArchiveFile(NamedTuple):
    first_seq: int
    last_seq: int
    path: Path

    @property
    def info(self) -> FileInfo:
        info: FileInfo = information(self.path, FileInfo)
        return info

    @staticmethod
    def name(first_seq: int, last_seq: int) -> str:
        return f"events-{first_seq:020d}-{last_seq:020d}.parquet"


def list_files(folder: Path) -> list[ArchiveFile]:
    """The files of events in an archive folder, by seq.

    Where a crash left both forms of one, the cold one: it was compared before it got its name.
    """
    found: dict[tuple[str, str], ArchiveFile] = {}
    for name in sorted(names_like(_NAME, folder), key=lambda name: name[0], reverse=True):
        found[name[1], name[2]] = ArchiveFile(int(name[1]), int(name[2]), folder / name[0])
    return sorted(found.values())


def last_file(folder: Path) -> ArchiveFile | None:
    files = list_files(folder)
    return files[-1] if files else None


def information(path: Path, kind: Any) -> Any:
    """What a file says about itself.  Raises TapeCorrupt."""

    def read(path: Path) -> Any:
        status = path.stat()
        return _information(path, kind, (status.st_ino, status.st_size, status.st_mtime_ns))

    return in_either_form(path, read)


@lru_cache(limits.archive_files_known)
def _information(path: Path, kind: Any, _: tuple[int, int, int]) -> Any:
    if path.suffix != COLD:  # that a cold file is whole is told as it is opened
        require_seal(path)
    with damage_told(path):
        if path.suffix == COLD:
            text = cold_file(path).info
        else:
            text = (pq.read_metadata(path).metadata or {})[METADATA_KEY.encode()]
        info = msgspec.json.decode(text, type=kind)
    if path.suffix != COLD and info.version >= SEALED_VERSION and not (info.seal and info.body):
        raise TapeCorrupt(f"{path}: expected a sealed file, found no seal")
    # A file that was renamed, or came from another market, would be believed.
    market = path.parent.parent
    there = (market.parent.name, market.name, path.with_suffix(PLAIN).name)
    if there != (slug(info.exchange), slug(info.symbol), info.file_name):
        raise TapeCorrupt(
            f"{path}: expected what the path says, found {info.file_name} of "
            f"{info.exchange} {info.symbol}"
        )
    return info


def load_codecs(folder: MarketFolder) -> MarketCodecs:
    """The market's codecs with every dictionary term the archive holds."""
    newest = last_file(folder.archive)
    if newest is None:
        return MarketCodecs()
    info = newest.info
    codecs = MarketCodecs(IdCodec(info.codec), IdCodec(info.trade_codec))
    if any(info.terms):
        for file in list_files(folder.archive):
            info = file.info
            for archived in info.marks if _TERMS in bytes(info.told) else ():
                if archived.mark.kind == "terms":
                    codecs.load(archived.mark)
    return codecs


# Getting there ------------------------------------------------------------------------------------


def temporary(folder: Path, name: str) -> Path:
    """Where to write the file that will be ``name``: no folder of somebody else's is in the way."""
    path = folder / f"{name}.tmp"
    while path.is_dir():
        path = path.with_name(f"_{path.name}")
    return path


def sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def commit_files(folder: Path, moves: Sequence[tuple[Path, Path]]) -> None:
    """Renames files that are durable under temporary names, all or, after a crash, later all."""
    if not moves:
        return
    if len(moves) > 1:
        plan = [(source.name, target.name) for source, target in moves]
        planned = temporary(folder, _COMMIT)
        planned.write_bytes(msgspec.json.encode(plan))
        sync_file(planned)
        planned.rename(folder / _COMMIT)
        sync_directory(folder)  # the list must outlive a power cut before any rename does
    crash_point("archiver.commit_planned")
    for source, target in moves:
        source.rename(target)
        crash_point("archiver.file_renamed")
    sync_directory(folder)
    crash_point("archiver.all_renamed")
    (folder / _COMMIT).unlink(missing_ok=True)


def make_durable(folder: Path) -> None:
    """What has its name outlives a power cut afterwards, whoever gave it: a sync of the folder may
    have failed behind a rename, and a file put back from a copy had none.  Raises OSError."""
    newest = last_file(folder)
    if newest is not None:
        sync_file(newest.path)  # where the journal goes on stands in it
    sync_directory(folder)
    sync_directory(folder.parent)


def finish_commit(folder: Path) -> None:
    """Does what a crash left undone and removes what nobody committed.

    What is no file is not ours, whatever its name: it is told in the log and left alone.
    """
    plan = folder / _COMMIT
    if plan.is_file():
        for source, target in _read_plan(plan):
            if (folder / source).exists():
                (folder / source).rename(folder / target)
        sync_directory(folder)
        plan.unlink()
    for left in folder.glob("*.tmp"):
        if left.is_file() or left.is_symlink():
            left.unlink()
        else:
            _log.warning("L3_archive_foreign", path=str(left), reason="expected a file; left alone")


def _read_plan(path: Path) -> list[tuple[str, str]]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[tuple[str, str]])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TapeCorrupt(f"{path}: expected a list of renames: {error}") from None
