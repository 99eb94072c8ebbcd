"""A tape as Arrow record batches: what polars and DuckDB read, whatever form its files have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from ordertape._engine import EventBatch, IdCodec
from ordertape.arrow import ID_COLUMNS, NUMBER_COLUMNS, to_arrow
from ordertape.errors import TapeError
from ordertape.tape.archive_files import list_files, load_codecs
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.folder import MarketFolder
from ordertape.tape.lookup import TapeLookup
from ordertape.tape.reader import read_tape
from ordertape.times import Time

__all__ = ["read_arrow"]

_DIGITS: Final = 38


def read_arrow(
    data: str | os.PathLike[str],
    exchange: str,
    symbol: str,
    start: Time | None = None,
    end: Time | None = None,
    *,
    text_ids: bool = False,
) -> pa.RecordBatchReader:
    """The events that ``read_tape`` gives, as record batches that are read as they are asked for.

    The columns are those of ``events.COLUMNS``; prices and sizes are decimal128 at the largest
    scales on the tape; ids are uint64 where the market's are integers, else, and with ``text_ids``,
    the venue's text.  Raises UnknownMarket, SettingRefused; TapeError, while it is read, where an
    event needs wider columns than any had when the tape was opened.
    """
    batches = read_tape(data, exchange, symbol, start, end)
    folder = MarketFolder(data, exchange, symbol)
    schema = _schema(folder, text_ids)
    reader: pa.RecordBatchReader = pa.RecordBatchReader.from_batches(
        schema, _converted(batches, schema, folder)
    )
    return reader


def _schema(folder: MarketFolder, text_ids: bool) -> pa.Schema:
    """Columns that hold every event there is now."""
    lookup = TapeLookup(folder)
    last = lookup.last_seq()
    infos = [file.info for file in list_files(folder.archive)]
    scales = [(info.price_scale, info.size_scale) for info in infos]
    codecs = load_codecs(folder)
    for batch in lookup.events(last, last):
        scales.append((batch.price_scale, batch.size_scale))
        codecs = MarketCodecs(batch.codec, batch.trade_codec)
    price, size = (max(both, default=0) for both in zip(*scales, (0, 0), strict=True))
    empty = EventBatch.from_arrays(
        kind=[], side=[], order_id=[], price=[], size=[], ts_recv=[], price_scale=0, size_scale=0
    )
    fields: list[tuple[str, Any]] = []
    for name, field in ((field.name, field.type) for field in to_arrow(empty).schema):
        kind: Any = field
        if name in NUMBER_COLUMNS:
            kind = pa.decimal128(_DIGITS, price if name.startswith("price") else size)
        elif name in ID_COLUMNS:
            codec = codecs.trade if name == "trade_id" else codecs.order
            kind = pa.uint64() if _is_narrow(codec) and not text_ids else pa.string()
        fields.append((name, kind))
    return pa.schema(fields)


def _is_narrow(codec: IdCodec) -> bool:
    return codec.spec == "int" and codec.terms == 0


def _converted(
    batches: Iterator[EventBatch], schema: pa.Schema, folder: MarketFolder
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        try:
            table = to_arrow(batch).cast(schema)
        except pa.ArrowInvalid as error:
            raise TapeError(
                f"{folder.market}: expected columns as they were when the tape was opened, found "
                f"events {batch.first_seq} to {batch.last_seq} with others ({error}): read again, "
                "with text_ids=True where ids are no longer all integers"
            ) from None
        yield from table.to_batches()
