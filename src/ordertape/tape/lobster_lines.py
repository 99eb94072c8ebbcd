"""The lines of LOBSTER's files: columns, exact times, and what is no message (see ``lobster``)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

from ordertape.events import Side
from ordertape.tape.foreign import SourceFile

__all__ = [
    "ANONYMOUS_ID_BASE",
    "EMPTY_PRICE",
    "PRICE_SCALE",
    "SIZE_SCALE",
    "Columns",
    "Message",
    "Scales",
    "first_book",
    "parse_messages",
    "side_of",
]

ANONYMOUS_ID_BASE: Final = 2**63
"""Ids of anonymous orders: this + 0, 1, 2 … over the levels of the start."""

EMPTY_PRICE: Final = 9_999_999_999
"""Price of a level that is not there: this on the ask side, its negative on the bid side, with size
0.  At other scales than LOBSTER's it may be a true price, which then has a size."""

PRICE_SCALE: Final = 4
SIZE_SCALE: Final = 0
"""Digits behind the point that the format's integers hold: dollars × 10,000, whole shares."""

_SCALE_MAX: Final = 18
"""An int64 holds no more digits."""

_COLUMNS: Final = ("time", "type", "order id", "size", "price", "direction")
_TIME: Final = pa.decimal128(20, 14)
_TIME_UNITS_A_NS: Final = 100_000
_TIME_TEXT: Final = re.compile(r"\d{1,5}(\.\d{1,14})?")
_INTEGER_TEXT: Final = re.compile(r"-?\d{1,18}|\d{19}")


class Scales(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``…_scales.json`` says: digits behind the point, where they aren't LOBSTER's own."""

    price_scale: Annotated[int, msgspec.Meta(ge=0, le=_SCALE_MAX)] = PRICE_SCALE
    size_scale: Annotated[int, msgspec.Meta(ge=0, le=_SCALE_MAX)] = SIZE_SCALE


class Message(NamedTuple):
    """One line; ``ts`` in ns since 1970 UTC, ``number`` counts messages from 1."""

    type: int
    order_id: int
    size: int
    price: int
    direction: int
    ts: int
    number: int


class Columns(NamedTuple):
    """A block of lines: type to direction, ns after midnight, times with more than 9 decimals."""

    values: list[npt.NDArray[np.int64]]
    ns: npt.NDArray[np.int64]
    rounded: int

    def messages(self, midnight: int, first_number: int) -> list[Message]:
        lists = [column.tolist() for column in (*self.values, self.ns + midnight)]
        numbers = range(first_number, first_number + len(self.ns))
        return list(map(Message._make, zip(*lists, numbers, strict=True)))


def side_of(direction: int) -> int:
    """The side of the resting order."""
    return Side.BID if direction == 1 else Side.ASK


def parse_messages(source: SourceFile, line: int, text: bytes) -> Columns | None:
    """The columns of whole lines, the first of them line ``line``; None where all are blank."""
    if not text.strip():
        return None
    extra = text.lstrip().split(b"\n", 1)[0].count(b",") + 1 - len(_COLUMNS)
    names = [*_COLUMNS, *(f"further {i}" for i in range(extra))]
    kinds = {name: pa.int64() for name in _COLUMNS} | {"time": _TIME}
    lines: Any = pa.BufferReader(text)
    try:
        table = csv.read_csv(
            lines,
            csv.ReadOptions(column_names=names, use_threads=False, block_size=len(text) + 1),
            csv.ParseOptions(quote_char=False),
            csv.ConvertOptions(column_types=kinds, null_values=[], include_columns=list(_COLUMNS)),
        )
    except pa.ArrowInvalid as error:
        _explain(source, line, text)
        raise source.fault(f"line {line} or after", str(error)) from error
    columns: list[Any] = [table[name].combine_chunks() for name in _COLUMNS]
    time = np.frombuffer(columns[0].buffers()[1], np.int64).reshape(-1, 2)
    values = [column.to_numpy() for column in columns[1:]]
    if _suspect(time, *values):
        _explain(source, line, text)
    ns, noise = np.divmod(time[:, 0], _TIME_UNITS_A_NS)
    ns += noise >= _TIME_UNITS_A_NS // 2
    return Columns(values, ns, int(np.count_nonzero(noise)))


def _explain(source: SourceFile, first_line: int, text: bytes) -> None:
    """Raises BadFile at the first line that is no message."""
    for number, line in enumerate(text.decode("utf-8", "replace").split("\n"), first_line):
        fields = [field.strip() for field in line.split(",")]
        problem = None if fields == [""] else _line_problem(fields)
        if problem:
            found = line.strip() if len(line) <= 100 else line[:100] + "…"
            raise source.fault(f"line {number}", f"{problem}, found {found!r}")


def _suspect(time: npt.NDArray[np.int64], *values: npt.NDArray[np.int64]) -> bool:
    """Whether a line has values that no message has."""
    kind, order_id, size, price, direction = values
    resting = (kind >= 1) & (kind <= 4)
    wrong = resting & ((size <= 0) | (price <= 0) | (order_id < 0) | (np.abs(direction) != 1))
    wrong |= ((kind == 5) | (kind == 6)) & ((size <= 0) | (price <= 0))
    return bool(wrong.any() or time[:, 1].any() or (time[:, 0] < 0).any())


def _line_problem(fields: list[str]) -> str | None:
    if len(fields) < len(_COLUMNS):
        return f"expected {', '.join(_COLUMNS)}"
    if not _TIME_TEXT.fullmatch(fields[0]):
        return "expected a time in seconds after midnight with at most 14 decimals"
    for name, field in zip(_COLUMNS[1:], fields[1:], strict=False):
        if not _INTEGER_TEXT.fullmatch(field) or int(field) >= ANONYMOUS_ID_BASE:
            return f"expected an integer below 2^63 as {name}"
    kind, order_id, size, price, direction = map(int, fields[1 : len(_COLUMNS)])
    if 1 <= kind <= 4 and (order_id < 0 or abs(direction) != 1):
        return "expected an order id of 0 or more and a direction of 1 or -1"
    if 1 <= kind <= 6 and (size <= 0 or price <= 0):
        return "expected a size and a price above 0"
    return None


def first_book(orderbook: SourceFile) -> list[tuple[int, int, int]]:
    """(side, price, size) of the levels of the first line."""
    for _, text in orderbook.text_blocks():
        line = text.split(b"\n", 1)[0].decode("utf-8", "replace").strip()
        break
    else:
        raise orderbook.fault("line 1", "expected a book, found an empty file")
    fields = [field.strip() for field in line.split(",")]
    if len(fields) % 4 or not all(_INTEGER_TEXT.fullmatch(field) for field in fields):
        problem = "expected groups of four integers (ask price, ask size, bid price, bid size)"
        raise orderbook.fault("line 1", f"{problem}, found {line[:100]!r}")
    levels = []
    numbers = list(map(int, fields))
    for at in range(0, len(numbers), 2):
        side = Side.BID if at % 4 else Side.ASK
        price, size = numbers[at : at + 2]
        if size or abs(price) != EMPTY_PRICE:
            if size <= 0 or price <= 0:
                problem = f"expected a size above 0 at price {price}, found {size}"
                raise orderbook.fault("line 1", problem)
            levels.append((int(side), price, size))
    return levels
