"""Foreign files into a market's archive: whole or not at all, and each source once.

An import goes on where the tape ends, as a new era.  A source is known by its digest: a repeat
adds nothing.  One that begins before the tape's end is refused, and so is any while the market is
being written.  Nothing is seen by readers before all of it is durable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path

from ordertape._engine import EventBatch
from ordertape.errors import BadFile, ImportRefused, SettingRefused
from ordertape.events import EventKind
from ordertape.tape.archive import importing
from ordertape.tape.archive_files import list_files
from ordertape.tape.databento import DatabentoReader, read_databento
from ordertape.tape.folder import MarketFolder
from ordertape.tape.foreign import BatchReader, SourceFile
from ordertape.tape.import_run import ImportRun, ImportSummary, Progress
from ordertape.tape.lobster import read_lobster
from ordertape.tape.marks import Mark

__all__ = ["ImportSummary", "Progress", "import_batches", "import_databento", "import_lobster"]


def import_lobster(
    data: str | Path,
    exchange: str,
    symbol: str,
    messages: str | Path,
    orderbook: str | Path | None = None,
    date: str | date | None = None,
    progress: Progress | None = None,
) -> ImportSummary:
    """A LOBSTER message file, with the book it starts from where there is one."""
    reader = read_lobster(messages, orderbook, date)
    return _import_reader(data, exchange, symbol, reader, progress)


def import_databento(
    data: str | Path,
    path: str | Path,
    exchange: str | None = None,
    symbol: str | None = None,
    instrument_id: int | None = None,
    progress: Progress | None = None,
) -> ImportSummary:
    """A Databento MBO file.

    The market is named after the file's dataset (``GLBX.MDP3``: ``glbx``) and symbol unless told.
    ``symbol`` also chooses the instrument in a file of several.
    """
    reader = _databento(path, symbol, instrument_id)
    exchange = exchange or (reader.dataset or "").split(".")[0].lower()
    symbol = symbol or reader.symbol
    if not exchange or not symbol:
        what = "symbol" if exchange else "exchange"
        raise SettingRefused(f"expected the {what} of {path}, found none in it: tell it")
    return _import_reader(data, exchange, symbol, reader, progress)


def _databento(path: str | Path, symbol: str | None, instrument_id: int | None) -> DatabentoReader:
    try:
        return read_databento(path, symbol, instrument_id)
    except BadFile as error:
        if symbol is None:
            raise
        try:  # a file of one instrument, which the market names differently
            return read_databento(path, None, instrument_id)
        except BadFile:
            raise error from None


def _import_reader(
    data: str | Path,
    exchange: str,
    symbol: str,
    reader: BatchReader,
    progress: Progress | None,
) -> ImportSummary:
    paths = [source.path for source in reader.sources]
    summary = import_batches(
        data, exchange, symbol, reader, paths, progress, description=reader.description
    )
    if not summary.repeated:
        summary.passed_over = dict(reader.counters)
    return summary


def import_batches(
    data: str | Path,
    exchange: str,
    symbol: str,
    batches: Iterable[EventBatch | Mark],
    source_path: str | Path | Sequence[Path],
    progress: Progress | None = None,
    *,
    description: str = "",
) -> ImportSummary:
    """Batches that begin with a CLEAR, and marks between them, from the files of ``source_path``.

    ``description`` is what besides the files decides what comes out of them (a date, say).
    Raises BadFile, ImportRefused, MarketBusy, TapeError.
    """
    paths = [Path(source_path)] if isinstance(source_path, str | Path) else list(source_path)
    folder = MarketFolder(data, exchange, symbol)
    digest = _digest(paths, description)
    summary = ImportSummary(exchange, symbol, [path.name for path in paths], digest)
    incoming = iter(batches)
    first = _first(incoming, paths[0])
    new = not folder.archive.exists()
    before = {file.path for file in list_files(folder.archive)}
    try:
        with importing(folder) as writer:
            summary.repeated = _has_source(folder, digest)
            if not summary.repeated:
                ImportRun(writer, summary, progress).run(first, incoming, batches)
    finally:
        if new and folder.archive.is_dir() and not any(folder.archive.iterdir()):
            folder.archive.rmdir()
    after = [file.path for file in list_files(folder.archive)]
    if not summary.repeated:
        summary.files = [str(path) for path in after if path not in before]
    return summary


def _digest(paths: Sequence[Path], description: str) -> str:
    total = hashlib.sha256(description.encode())
    for path in paths:
        total.update(bytes.fromhex(SourceFile(path).digest()))
    return total.hexdigest()


def _first(batches: Iterator[EventBatch | Mark], path: Path) -> list[EventBatch | Mark]:
    """All up to the first batch: read before anything is written, as most bad files fail here."""
    found: list[EventBatch | Mark] = []
    for item in batches:
        found.append(item)
        if isinstance(item, EventBatch) and len(item):
            if item[0]["kind"] != EventKind.CLEAR:
                raise BadFile(path, "start", "expected events that begin with a CLEAR")
            return found
    raise BadFile(path, "end", "expected events, found none")


def _has_source(folder: MarketFolder, digest: str) -> bool:
    for file in list_files(folder.archive):
        for archived in file.info.marks:
            mark = archived.mark
            if mark.kind == "simulated":
                problem = "expected a market of its own, found a simulated one"
                raise ImportRefused(f"{folder.market}: {problem}")
            if mark.kind == "source" and mark.fields["digest"] == digest:
                return True
    return False
