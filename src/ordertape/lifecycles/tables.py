"""Lives of orders as Arrow tables: what the engine tells of them, and the place of each row.

``told_seq`` and ``nth`` are a row's place in its market's log: the event by which the end became
known, and the row's rank among those that this event told.  They follow from the tape alone,
whoever reads it and in whatever pieces.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.compute

from ordertape._engine import NULL, Rows
from ordertape.arrow import number_type
from ordertape.events import Side

__all__ = [
    "COLUMNS",
    "ENDINGS",
    "FLAGS",
    "columns_of",
    "joined",
    "no_rows",
    "scales_of",
    "stored_schema",
    "table_of",
    "with_distances",
]

# Its stubs refuse much of what pyarrow does, such as arrays over numpy's memory.
pa: Final[Any] = pyarrow
pc: Final[Any] = pyarrow.compute

COLUMNS: Final = {
    "told_seq": "the event by which the end became known; null while it is not",
    "nth": "rank among the rows that this event told, from 0",
    "told": "when that event was received, ns, our clock",
    "order_id": "the venue's own text",
    "side": "Side",
    "ending": "a code of ENDINGS",
    "reason": "Reason as the venue told it or as it was concluded, 0 where none",
    "flags": "bits of FLAGS",
    "opened": "ns, our clock; when it was first seen where it stood in a snapshot",
    "ended": "ns, our clock; of one that was cut, the last moment at which it is known to rest",
    "opened_seq": "the event that opened it",
    "ended_seq": "the event that ended it, or the last one before events that are missing",
    "era": "the era that it was opened in",
    "price_first": "price when it was opened",
    "price": "price at its end",
    "size_first": "size when it was opened",
    "size": "what was left at its end",
    "filled": "traded in all",
    "fills": "trades",
    "amendments": "changes of price or size that were no trades",
    "inferred": "events of it that were concluded, not told by the venue",
    "bid_first": "best bid behind its first event",
    "ask_first": "best ask behind its first event",
    "bid": "best bid behind its last event",
    "ask": "best ask behind its last event",
    "ahead_first": "orders ahead of it in its price when it was opened",
    "ahead": "orders ahead of it at its end",
}
ENDINGS: Final = {0: "alive", 1: "told", 2: "cut", 3: "evicted"}
"""How a life ended: the venue told so; a gap or a new era cut it; it left a windowed view for
good."""
FLAGS: Final = {1: "left_truncated", 2: "place_assumed", 4: "reentered", 8: "out_of_window"}
"""Bits: it stood in a snapshot; its first place in the queue was an assumption; it left a window
and came back; it is out of a window's sight."""
_PLACES: Final = [(name, "ascending") for name in ("told_seq", "opened_seq", "order_id")]
_PRICES: Final = ("price_first", "price", "bid_first", "ask_first", "bid", "ask")
_SIZES: Final = ("size_first", "size", "filled")
_CODES: Final = {
    "side": pa.uint8(),
    "ending": pa.uint8(),
    "reason": pa.uint8(),
    "flags": pa.uint16(),
}


def _schema(price_scale: int, size_scale: int) -> Any:
    types = dict.fromkeys(COLUMNS, pa.int64()) | _CODES | {"order_id": pa.string()}
    types |= dict.fromkeys(_PRICES, number_type(price_scale))
    types |= dict.fromkeys(_SIZES, number_type(size_scale))
    return pa.schema(list(types.items()))


def no_rows(scales: tuple[int, int] = (0, 0)) -> pyarrow.Table:
    """A table without rows."""
    table: pyarrow.Table = _schema(*scales).empty_table()
    return table


def table_of(rows: Rows, cut_at: tuple[int, int] | None = None) -> pyarrow.Table:
    """The engine's rows as a table, by their places.

    ``cut_at``: (event, ns): what that event cut was known to rest up to that moment alone.
    """
    columns = {name: np.asarray(rows.column(name)) for name in rows.names if name != "order_id"}
    if cut_at is not None:
        _cut(columns, *cut_at)
    schema = _schema(rows.price_scale, rows.size_scale)
    arrays = {
        field.name: pa.array(rows.id_texts(), pa.string())
        if field.name == "order_id"
        else _array(columns[field.name], field.type)
        for field in schema
        if field.name != "nth"
    }
    # By text and not by key: what keys a dictionary gave depends on who reads what.
    table = pa.table(arrays).sort_by(_PLACES)
    ranks = pa.array(_ranks(columns["told_seq"]), mask=columns["told_seq"] == NULL)
    placed: pyarrow.Table = table.add_column(1, "nth", ranks)
    return placed


def _cut(columns: dict[str, npt.NDArray[Any]], seq: int, ns: int) -> None:
    """What was opened while doubts lasted already is known of at that very moment alone."""
    is_cut = (columns["ending"] == 2) & (columns["ended_seq"] == seq)
    known = np.maximum(columns["opened"], np.minimum(columns["ended"], ns))
    columns["ended"] = np.where(is_cut, known, columns["ended"])


def _ranks(told: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Of each row among its neighbours with the same event; rows come by their events."""
    places = np.arange(len(told))
    begins = np.ones(len(told), bool)
    begins[1:] = told[1:] != told[:-1]
    return places - np.maximum.accumulate(np.where(begins, places, 0))


def _array(values: npt.NDArray[Any], kind: Any) -> Any:
    if not pa.types.is_decimal(kind):
        nulls = values == NULL if values.dtype == np.int64 else None
        return pa.array(values, kind, mask=nulls)
    wide = np.stack([values, values >> 63], axis=1)
    validity = pa.py_buffer(np.packbits(values != NULL, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(wide)])


def joined(tables: list[pyarrow.Table]) -> pyarrow.Table:
    """Tables one behind another, at scales that hold all of them."""
    if len(tables) == 1:
        return tables[0]
    scales = [(0, 0), *(scales_of(table) for table in tables)]
    schema = _schema(max(price for price, _ in scales), max(size for _, size in scales))
    table: pyarrow.Table = pa.concat_tables([table.cast(schema) for table in tables] or [no_rows()])
    return table


def scales_of(table: pyarrow.Table) -> tuple[int, int]:
    """Digits after the point, of prices and of sizes."""
    kinds: tuple[Any, Any] = table.schema.field("price").type, table.schema.field("size").type
    return kinds[0].scale, kinds[1].scale


def with_distances(table: pyarrow.Table) -> pyarrow.Table:
    """With ``distance_first`` and ``distance``: how far a price was behind the best of its own
    side, 0 where it was the best itself; null where that side was empty."""
    for when in ("_first", ""):
        price, bid, ask = (table.column(name + when) for name in ("price", "bid", "ask"))
        is_bid = pc.equal(table.column("side"), int(Side.BID))
        distance = pc.if_else(is_bid, pc.subtract(bid, price), pc.subtract(price, ask))
        table = table.append_column(f"distance{when}", distance)
    return table


def stored_schema(scales: tuple[int, int], digits: int) -> pyarrow.Schema:
    """As a file has it: numbers of up to 18 digits are integers there."""
    schema: pyarrow.Schema = pa.schema(
        [
            pa.field(field.name, pa.decimal128(max(digits, field.type.scale), field.type.scale))
            if pa.types.is_decimal(field.type)
            else field
            for field in _schema(*scales)
        ]
    )
    return schema


def columns_of(table: pyarrow.Table) -> tuple[dict[str, Any], tuple[int, int]]:
    """What ``Lifecycles.restore`` takes, and its scales."""
    found: dict[str, Any] = {"order_id": table.column("order_id").to_pylist()}
    for name in COLUMNS:
        if name not in {"order_id", "nth"}:
            found[name] = _integers(table.column(name).combine_chunks())
    return found, scales_of(table)


def _integers(array: Any) -> npt.NDArray[Any]:
    if pa.types.is_decimal(array.type):
        wide = np.frombuffer(array.buffers()[1], np.int64).reshape(-1, 2)
        values = wide[array.offset : array.offset + len(array), 0]
        present = array.is_valid().to_numpy(zero_copy_only=False)
        return np.where(present, values, NULL)
    values = array.fill_null(NULL) if array.null_count else array
    found: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return found
