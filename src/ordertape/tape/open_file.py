"""A file of events while it is written."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from ordertape.tape.archive_columns import Columns, Layout, hash_columns, table_of
from ordertape.tape.archive_files import METADATA_KEY, FileInfo, sync_file, temporary
from ordertape.tape.seal import seal

__all__ = ["OpenFile"]


class OpenFile:
    """A file that is being written; ``first`` and ``last`` are (seq, ts_recv)."""

    def __init__(self, folder: Path, layout: Layout, first: tuple[int, int]) -> None:
        self.layout = layout
        self.first = first
        self.last = first
        self.path = temporary(folder, f"events-{first[0]:020d}.parquet")
        self._writer: Any = None
        self._rows_hash = hashlib.blake2b(digest_size=16)

    def write(self, columns: Columns) -> None:
        table = table_of(columns, self.layout)
        if self._writer is None:
            options = self.layout.writer_options()
            self._writer = pq.ParquetWriter(self.path, table.schema, **options)
        self._writer.write_table(table, row_group_size=table.num_rows)
        hash_columns(self._rows_hash, columns)
        self.last = int(columns["seq"][-1]), int(columns["ts_recv"][-1])

    @property
    def rows_digest(self) -> str:
        return self._rows_hash.hexdigest()

    def close(self, info: FileInfo) -> None:
        text = msgspec.json.encode(info).decode()
        self._writer.add_key_value_metadata({METADATA_KEY: text})
        self._writer.close()
        seal(self.path)
        sync_file(self.path)

    def abandon(self) -> None:
        if self._writer is not None:
            with suppress(OSError):  # on a full disk: nobody wants its end
                self._writer.close()
        self.path.unlink(missing_ok=True)
