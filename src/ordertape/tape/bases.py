"""Bases: whole books in columns, from which a replay of the archive begins.

There is one after every CLEAR (its rows, as they were told, which the files of events leave out),
one at the end of every file and one at least every ``base_seconds_max``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow.parquet as pq

from ordertape._engine import EventBatch
from ordertape.errors import TapeCorrupt
from ordertape.tape.archive_columns import gather, layout_of, table_of
from ordertape.tape.archive_files import (
    METADATA_KEY,
    information,
    list_files,
    sync_file,
    temporary,
)
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.folder import MarketFolder, names_like
from ordertape.tape.row_group import RowGroup, open_file
from ordertape.tape.seal import SEALED_VERSION, UNSEALED, seal
from ordertape.tape.snapshot import Snapshot

__all__ = [
    "Base",
    "BaseInfo",
    "base_of_cut",
    "bases_until",
    "list_bases",
    "read_base",
    "write_base",
]

_NAME = re.compile(r"base-(\d{20})\.parquet")


class BaseInfo(msgspec.Struct, frozen=True):
    """What a base says about itself in its Parquet metadata."""

    version: int
    exchange: str
    symbol: str
    seq: int
    ts_recv: int
    era: int
    digest: str
    after_clear: bool
    """The rows are those that followed the CLEAR ``seq``."""
    price_scale: int
    size_scale: int
    codec: str
    trade_codec: str
    seal: str = ""
    """Over the footer; see `ordertape.tape.seal`."""
    body: str = ""
    """Over everything before it."""

    @property
    def file_name(self) -> str:
        return Base.name(self.seq)


class Base(NamedTuple):
    seq: int
    path: Path

    @property
    def info(self) -> BaseInfo:
        info: BaseInfo = information(self.path, BaseInfo)
        return info

    @staticmethod
    def name(seq: int) -> str:
        return f"base-{seq:020d}.parquet"


def list_bases(folder: Path) -> list[Base]:
    """The bases in an archive folder, by seq."""
    found = names_like(_NAME, folder)
    return sorted(Base(int(name[1]), folder / name[0]) for name in found)


def base_of_cut(folder: Path) -> Base | None:
    """The whole book before the first event of an archive whose beginning was let go; None where
    nothing was."""
    files = list_files(folder)
    before = files[0].first_seq - 1 if files else 0
    return next((base for base in list_bases(folder) if before and base.seq == before), None)


def bases_until(folder: Path, at: int | None) -> list[Base]:
    """The bases that stood at ``at`` (ns, inclusive; None: all), by seq.

    Those that don't say when they stood are among them where they may have.
    """
    bases = list_bases(folder)
    telling = list(bases)
    low, high = 0, len(telling)
    while low < high and at is not None:
        middle = (low + high) // 2
        try:
            stood = telling[middle].info.ts_recv <= at
        except TapeCorrupt:
            del telling[middle]
            high -= 1
            continue
        if stood:
            low = middle + 1
        else:
            high = middle
    later = telling[high].seq if high < len(telling) else None
    return bases if later is None else [base for base in bases if base.seq < later]


def write_base(folder: MarketFolder, snapshot: Snapshot, codecs: MarketCodecs) -> Path:
    """Writes a base under a temporary name, durable; to be renamed to ``Base.name``."""
    rows = snapshot.rows
    scales = (rows.price_scale, rows.size_scale) if rows is not None else (0, 0)
    columns = gather([rows], *scales) if rows is not None else {"seq": np.empty(0, np.int64)}
    layout = layout_of(columns, *scales, codecs)
    info = BaseInfo(
        version=SEALED_VERSION,
        exchange=folder.exchange,
        symbol=folder.symbol,
        seq=snapshot.seq,
        ts_recv=snapshot.ts_recv,
        era=snapshot.era,
        digest=snapshot.digest,
        after_clear=snapshot.after_clear,
        price_scale=scales[0],
        size_scale=scales[1],
        codec=layout.codec,
        trade_codec=layout.trade_codec,
        seal=UNSEALED,
        body=UNSEALED,
    )
    table = table_of(columns, layout)
    path = temporary(folder.archive, Base.name(snapshot.seq))
    with pq.ParquetWriter(path, table.schema, **layout.writer_options()) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({METADATA_KEY: msgspec.json.encode(info).decode()})
    seal(path)
    sync_file(path)
    return path


def read_base(base: Base, codecs: MarketCodecs) -> Snapshot:
    """The book of a base."""
    info = base.info
    with open_file(base.path) as file:
        batches = []
        for group in range(file.metadata.num_row_groups):
            rows = RowGroup(file, group)
            scales = (info.price_scale, info.size_scale)
            seq = np.full(rows.rows, info.seq)
            batches.append(rows.batch(0, rows.rows, seq, scales, codecs))
    batches = [batch for batch in batches if len(batch)]
    told = EventBatch.concat(batches) if len(batches) > 1 else next(iter(batches), None)
    return Snapshot(info.seq, info.ts_recv, info.era, info.digest, told, info.after_clear)
