"""Events as the bytes of PostgreSQL's binary COPY, built from columns without a loop over rows.

A row is a count of fields and, for each, its length and its bytes, all big-endian; null has the
length -1 and no bytes (postgresql.org/docs/current/sql-copy.html, "Binary Format").  Rows are laid
out as if nothing were null, in one structured array; the bytes that nulls do not have are then
left out of all rows at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ordertape._engine import NULL, EventBatch
from ordertape.arrow import to_numpy
from ordertape.database.rows import KIND_LETTERS, REASON_BITS, SIDE_LETTERS, TAKER_BITS, Generation
from ordertape.events import NO_SIDE, EventKind, Flag

__all__ = ["FOOTER", "HEADER", "Needs", "Rows", "events_of", "needs_of", "rows_of"]

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
FOOTER: Final = b"\xff\xff"

_NO_ID: Final = np.uint64(2**64 - 1)
_INT64_MAX: Final = 2**63 - 1
_FLAGS_KEPT: Final = 0xFF
_KINDS = np.zeros(256, np.uint8)
_KINDS[[int(kind) for kind in KIND_LETTERS]] = [ord(letter) for letter in KIND_LETTERS.values()]
_SIDES = np.full(256, ord(SIDE_LETTERS[2]), np.uint8)
_SIDES[:2] = [ord(letter) for letter in SIDE_LETTERS[:2]]

Array = npt.NDArray[Any]


class Needs(NamedTuple):
    """What a generation has to hold for some events.  A form is "" where there is no id."""

    price_scale: int
    size_scale: int
    price_max: int
    size_max: int
    order_form: str
    trade_form: str

    def fit(self, generation: Generation) -> bool:
        """Whether the events go into the table of a generation, every number and id exactly."""
        return (
            _holds(generation.price_scale, self.price_scale, self.price_max)
            and _holds(generation.size_scale, self.size_scale, self.size_max)
            and _joined(generation.order_form, self.order_form) == generation.order_form
            and _joined(generation.trade_form, self.trade_form) == generation.trade_form
        )

    def widen(self, generation: Generation | None) -> tuple[int, int, str, str]:
        """(price scale, size scale, order form, trade form) of the generation that follows.

        It also holds what the one before held, so that a market can't go to and fro between two.
        """
        if generation is None:
            forms = (self.order_form or "bigint", self.trade_form or "bigint")
            return self.price_scale, self.size_scale, *forms
        return (
            _scale_for(generation.price_scale, self.price_scale, self.price_max),
            _scale_for(generation.size_scale, self.size_scale, self.size_max),
            _joined(generation.order_form, self.order_form),
            _joined(generation.trade_form, self.trade_form),
        )


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one day and generation for ``COPY … (columns) FROM STDIN (FORMAT binary)``."""

    columns: tuple[str, ...]
    data: bytes
    count: int


def events_of(batch: EventBatch) -> tuple[dict[str, Array], Array | None]:
    """The columns of a batch's events as arrays, and which rows they are where not all.

    Rows flagged SNAPSHOT are state, not events: left out.
    """
    arrays = to_numpy(batch)
    snapshot = (arrays["flags"] & Flag.SNAPSHOT) != 0
    if not snapshot.any():
        return arrays, None
    kept = np.flatnonzero(~snapshot)
    return {name: values[kept] for name, values in arrays.items()}, kept


def needs_of(batch: EventBatch, arrays: dict[str, Array]) -> Needs:
    """What the events of a batch ask of the table they go to."""
    orders = {_form(arrays.get(n), batch.codec.spec) for n in ("order_id", "taker_order_id")}
    return Needs(
        batch.price_scale,
        batch.size_scale,
        max(_largest(arrays.get(name)) for name in ("price", "price_before")),
        max(_largest(arrays.get(name)) for name in ("size", "size_before")),
        _joined(*orders) if len(orders) > 1 else orders.pop(),
        _form(arrays.get("trade_id"), batch.trade_codec.spec),
    )


def rows_of(
    batch: EventBatch,
    arrays: dict[str, Array],
    kept: Array | None,
    eras: Array,
    generation: Generation,
) -> Rows:
    """The COPY data of events; ``eras`` is the era of each, and they fit the generation."""
    count = len(arrays["seq"])
    fields = [
        _Field("seq", "bigint", arrays["seq"]),
        _Field("ts_recv", "bigint", arrays["ts_recv"]),
        _Field("era", "int", eras),
        _Field("bits", "smallint", _bits(arrays, count)),
        _Field("kind", "char", _KINDS[arrays["kind"]]),
        _Field("side", "char", _SIDES[arrays["side"]]),
    ]
    for name in ("price", "size", "price_before", "size_before"):
        ours, theirs = (
            (generation.price_scale, batch.price_scale)
            if name.startswith("price")
            else (generation.size_scale, batch.size_scale)
        )
        fields += _number(name, arrays.get(name), 10 ** (ours - theirs))
    for name in ("ts_event", "venue_seq"):
        fields += _number(name, arrays.get(name), 1)
    for name in ("order_id", "trade_id", "taker_order_id"):
        form = generation.trade_form if name == "trade_id" else generation.order_form
        fields += _ids(name, form, batch, arrays.get(name), kept)
    return Rows(tuple(field.name for field in fields), _encoded(fields, count), count)


# Fields -------------------------------------------------------------------------------------------


class _Field(NamedTuple):
    """One column; ``values`` as its type wants them, ``nulls`` None where nothing is null.

    Of text ``values`` are padded bytes, and ``lengths`` says how many of them count.
    """

    name: str
    type: str
    values: Array
    nulls: Array | None = None
    lengths: Array | None = None


_DTYPES: Final[dict[str, str]] = {"bigint": ">i8", "int": ">i4", "smallint": ">i2", "char": "u1"}


def _bits(arrays: dict[str, Array], count: int) -> Array:
    """Flags, reason and the taker's side in one small integer; see ``rows``."""
    bits = (arrays["flags"] & _FLAGS_KEPT).astype(np.int16)
    bits |= arrays["reason"].astype(np.int16) << REASON_BITS
    taker = arrays.get("taker_side")
    if taker is not None:
        known = np.where(taker == NO_SIDE, 0, taker.astype(np.int16) + 1).astype(np.int16)
        bits |= known << TAKER_BITS
    return bits.reshape(count)


def _number(name: str, values: Array | None, factor: int) -> list[_Field]:
    if values is None:
        return []
    nulls = values == NULL
    if factor != 1:
        values = np.where(nulls, values, values * factor)
    return [_Field(name, "bigint", values, nulls if nulls.any() else None)]


def _ids(
    name: str, form: str, batch: EventBatch, keys: Array | None, kept: Array | None
) -> list[_Field]:
    if keys is None:
        return []
    absent = _absent(keys)
    nulls = absent if absent.any() else None
    if form == "bigint":
        return [_Field(name, form, keys[:, 0].view(np.int64), nulls)]
    if form == "uuid":
        # Keys are little-endian 128-bit numbers, a UUID's bytes begin with its first digits.
        return [_Field(name, form, np.ascontiguousarray(keys).view(np.uint8)[:, ::-1], nulls)]
    texts: Any = pa.array(batch.id_texts(name), pa.large_string())
    if kept is not None:
        texts = texts.take(pa.array(kept))
    return [_text(name, texts, nulls)]


def _text(name: str, texts: pa.Array[Any], nulls: Array | None) -> _Field:
    buffers: Any = texts.buffers()
    offsets = np.frombuffer(buffers[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.diff(offsets)
    longest = max(int(lengths.max(initial=0)), 1)
    data = np.frombuffer(buffers[2], np.uint8) if buffers[2] is not None else np.empty(0, np.uint8)
    padded = np.concatenate([data, np.zeros(longest, np.uint8)])
    places = np.minimum(offsets[:-1, None], len(data)) + np.arange(longest)
    return _Field(name, "text", padded[places], nulls, lengths)


# Bytes --------------------------------------------------------------------------------------------


def _encoded(fields: list[_Field], count: int) -> bytes:
    layout: list[tuple[Any, ...]] = [("fields", ">i2")]
    for field in fields:
        layout.append((f"{field.name} length", ">i4"))
        if field.type in _DTYPES:
            layout.append((field.name, _DTYPES[field.type]))
        else:
            layout.append((field.name, "u1", (field.values.shape[1],)))
    rows = np.empty(count, np.dtype(layout))
    rows["fields"] = len(fields)
    offsets = rows.dtype.fields
    assert offsets is not None
    texts = any(field.lengths is not None for field in fields)
    unit = 1 if texts else 2
    kept: Array | None = None
    for field in fields:
        kind, start = offsets[field.name][:2]
        lengths: Any = kind.itemsize if field.lengths is None else field.lengths
        rows[f"{field.name} length"] = (
            lengths if field.nulls is None else np.where(field.nulls, -1, lengths)
        )
        rows[field.name] = field.values
        if field.nulls is None and field.lengths is None:
            continue
        if kept is None:
            kept = np.ones((count, rows.itemsize // unit), bool)
        place = slice(start // unit, (start + kind.itemsize) // unit)
        if field.lengths is not None:
            kept[:, place] = np.arange(kind.itemsize) < field.lengths[:, None]
        if field.nulls is not None:
            kept[field.nulls, place] = False
    if kept is None:
        return rows.tobytes()
    whole = rows.view(np.uint16 if unit == 2 else np.uint8).reshape(count, -1)
    return whole[kept].tobytes()


# Forms and scales ---------------------------------------------------------------------------------


def _absent(keys: Array) -> Array:
    absent: Array = (keys[:, 0] == _NO_ID) & (keys[:, 1] == _NO_ID)
    return absent


def _form(keys: Array | None, spec: str) -> str:
    """The narrowest form that holds every id of a column; "" where there is none."""
    if keys is None:
        return ""
    absent = _absent(keys)
    if absent.all():
        return ""
    from_dictionary = (keys[:, 1] == _NO_ID) & ~absent
    if spec not in {"int", "uuid"} or from_dictionary.any():
        return "text"
    if spec == "uuid":
        return "uuid"
    return "text" if (keys[~absent, 0] > _INT64_MAX).any() else "bigint"


def _joined(ours: str, theirs: str) -> str:
    if not ours or not theirs or ours == theirs:
        return ours or theirs
    return "text"


def _largest(values: Array | None) -> int:
    if values is None:
        return 0
    present = values[values != NULL]
    return max(int(present.max()), -int(present.min())) if len(present) else 0


def _holds(ours: int, theirs: int, largest: int) -> bool:
    return ours >= theirs and largest * 10 ** (ours - theirs) <= _INT64_MAX


def _scale_for(ours: int, theirs: int, largest: int) -> int:
    wider = max(ours, theirs)
    return wider if _holds(wider, theirs, largest) else theirs


assert {int(kind) for kind in KIND_LETTERS} == {int(kind) for kind in EventKind}
