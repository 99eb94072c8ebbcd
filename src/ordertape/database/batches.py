"""Rows of PostgreSQL as batches: the way of ``copy`` back, so that both stores answer alike.

What is read is laid out so that every row is equally long (nulls are numbers that no value has)
and one structured array reads all of them; only ids that are text make rows of many lengths.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from ordertape._engine import NULL, EventBatch
from ordertape.arrow import NO_ID
from ordertape.database.copy import FOOTER, HEADER
from ordertape.database.rows import KINDS, REASON_BITS, SIDES, TAKER_BITS, Generation
from ordertape.errors import DatabaseError
from ordertape.events import NO_SIDE

__all__ = ["Rows", "read_rows"]

Array = npt.NDArray[Any]

_FIXED: Final = (
    ("seq", ">i8"),
    ("ts_recv", ">i8"),
    ("era", ">i4"),
    ("bits", ">i2"),
    ("kind", "u1"),
    ("side", "u1"),
)
_NUMBERS: Final = ("price", "size", "ts_event", "venue_seq", "price_before", "size_before")
_IDS: Final = ("order_id", "trade_id", "taker_order_id")
_ALL_ONES: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_KINDS = np.zeros(256, np.uint8)
_KINDS[[ord(letter) for letter in KINDS]] = [int(kind) for kind in KINDS.values()]
_SIDES = np.full(256, NO_SIDE, np.uint8)
_SIDES[[ord(letter) for letter in SIDES]] = [int(side) for side in SIDES.values()]
_TAKERS = np.array([NO_SIDE, 0, 1, NO_SIDE], np.uint8)


class Rows(NamedTuple):
    """Events by seq, and the era of each, 0 where none is known."""

    batch: EventBatch
    eras: Array


def read_rows(
    connection: psycopg.Connection, generation: Generation, source: sql.Composable
) -> list[Rows]:
    """Events of a generation in the order of their seq; ``source``: ``FROM`` and what follows it.

    Several batches only where times decrease, as those of saved rows may.
    """
    query = sql.SQL("COPY (SELECT {} {}) TO STDOUT (FORMAT binary)").format(
        sql.SQL(", ").join(_columns(generation)), source
    )
    with connection.cursor() as cursor, cursor.copy(query) as stream:
        data = b"".join(stream)
    if data[: len(HEADER)] != HEADER or data[-len(FOOTER) :] != FOOTER:
        raise DatabaseError(f"{generation.table}: expected binary rows, found {data[:20]!r}")
    found, texts = _parsed(generation, data[len(HEADER) : -len(FOOTER)])
    if len(found) > 1 and found["seq"][0] > found["seq"][-1]:
        found = found[::-1]
        texts = {name: values[::-1] for name, values in texts.items()}
    return list(_batches(generation, found, texts))


def _forms(generation: Generation) -> dict[str, str]:
    return {
        name: generation.trade_form if name == "trade_id" else generation.order_form
        for name in _IDS
    }


def _columns(generation: Generation) -> Iterator[sql.Composable]:
    for name, _ in _FIXED:
        yield sql.Identifier(name)
    for name in _NUMBERS:
        yield sql.SQL("coalesce({}, {})").format(sql.Identifier(name), sql.Literal(NULL))
    forms = _forms(generation)
    for name in sorted(_IDS, key=lambda name: forms[name] == "text"):
        if forms[name] == "bigint":
            yield sql.SQL("coalesce({}, -1)").format(sql.Identifier(name))
        elif forms[name] == "uuid":
            yield sql.SQL("coalesce({}, {}::uuid)").format(
                sql.Identifier(name), sql.Literal(_ALL_ONES)
            )
        else:
            yield sql.Identifier(name)


def _parsed(generation: Generation, data: bytes) -> tuple[Array, dict[str, list[str | None]]]:
    """The columns of equal length, and those of text."""
    layout: list[tuple[Any, ...]] = [("fields", ">i2")]
    forms = _forms(generation)
    for name, kind in (*_FIXED, *((name, ">i8") for name in _NUMBERS)):
        layout += [(f"{name} length", ">i4"), (name, kind)]
    for name, form in forms.items():
        if form == "bigint":
            layout += [(f"{name} length", ">i4"), (name, ">i8")]
        elif form == "uuid":
            layout += [(f"{name} length", ">i4"), (name, "u1", (16,))]
    row = np.dtype(layout)
    names = [name for name, form in forms.items() if form == "text"]
    if not names:
        return np.frombuffer(data, row), {}
    texts: dict[str, list[str | None]] = {name: [] for name in names}
    fixed, place = bytearray(), 0
    while place < len(data):
        fixed += data[place : place + row.itemsize]
        place += row.itemsize
        for found in texts.values():
            length = int.from_bytes(data[place : place + 4], "big", signed=True)
            place += 4
            found.append(None if length < 0 else data[place : place + length].decode())
            place += max(0, length)
    return np.frombuffer(bytes(fixed), row), texts


def _batches(
    generation: Generation, found: Array, texts: dict[str, list[str | None]]
) -> Iterator[Rows]:
    times = found["ts_recv"].astype(np.int64)
    cuts = [0, *(np.flatnonzero(np.diff(times) < 0) + 1).tolist(), len(found)]
    for start, end in pairwise(cuts):
        if end > start:
            part = {name: values[start:end] for name, values in texts.items()}
            yield _batch(generation, found[start:end], part)


def _batch(generation: Generation, found: Array, texts: dict[str, list[str | None]]) -> Rows:
    bits = found["bits"].astype(np.int64)
    columns: dict[str, Any] = {name: found[name].astype(np.int64) for name in _NUMBERS}
    forms = _forms(generation)
    for name, form in forms.items():
        columns[name] = texts[name] if form == "text" else _keys(found[name], form)
    batch = EventBatch.from_arrays(
        seq=found["seq"].astype(np.int64),
        ts_recv=found["ts_recv"].astype(np.int64),
        kind=_KINDS[found["kind"]],
        side=_SIDES[found["side"]],
        flags=(bits & 0xFF).astype(np.uint16),
        reason=((bits >> REASON_BITS) & 31).astype(np.uint8),
        taker_side=_TAKERS[(bits >> TAKER_BITS) & 3],
        price_scale=generation.price_scale,
        size_scale=generation.size_scale,
        codec=_codec(forms["order_id"]),
        trade_codec=_codec(forms["trade_id"]),
        **columns,
    )
    return Rows(batch, found["era"].astype(np.int64))


def _codec(form: str) -> str:
    return {"bigint": "int", "uuid": "uuid", "text": "auto"}[form]


def _keys(values: Array, form: str) -> Array:
    """The engine's keys, (n, 16) bytes; see ``copy`` for how they were written."""
    if form == "uuid":
        return np.ascontiguousarray(values[:, ::-1])
    keys = np.zeros((len(values), 2), np.uint64)
    keys[:, 0] = values.astype(np.int64).view(np.uint64)
    keys[values == -1] = NO_ID
    return keys.view(np.uint8)
