"""Cold archives in tests: every row before and after, and real recordings as tapes."""

from __future__ import annotations

import json
import lzma
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ordertape import EventBatch
from ordertape.events import COLUMNS, EventKind, Reason, Side
from ordertape.tape.cold import Cooled, cool
from ordertape.tape.folder import MarketFolder
from ordertape.tape.reader import TapeReader

__all__ = ["EVER", "bitstamp", "cool_all", "everything", "same_rows"]

EVER = 2**62
"""Later than every event, ns."""


def cool_all(folder: MarketFolder) -> list[Cooled]:
    return list(cool(folder, EVER))


def everything(folder: MarketFolder) -> list[Any]:
    """What a tape gives, books and marks too; batches as columns of keys and scaled numbers."""
    reader = TapeReader(folder.data, folder.exchange, folder.symbol)
    return [
        columns_of(item) if isinstance(item, EventBatch) else str(item)
        for item in reader.items(snapshots=True)
    ]


def columns_of(batch: EventBatch) -> dict[str, bytes | str]:
    """Every value and what it means; a column without a value is as one that is not there."""
    columns: dict[str, bytes | str] = {
        "scales": f"{batch.price_scale} {batch.size_scale}",
        "specs": f"{batch.codec.spec} {batch.trade_codec.spec}",
    }
    for name in COLUMNS:
        if (column := batch.column(name)) is not None:
            values: npt.NDArray[Any] = np.asarray(column)
            validity = column.validity()
            if validity is None or any(validity):
                columns[name] = values.tobytes()
    return columns


def same_rows(batches: list[EventBatch], others: list[EventBatch]) -> bool:
    """Whether two runs of batches hold the same rows, however they were cut."""
    one, other = (EventBatch.concat(run) for run in (batches, others))
    return columns_of(one) == columns_of(other)


def bitstamp(shared: Path, lines_max: int) -> EventBatch:
    """The recorded orders and trades of Bitstamp, as the log tells them."""
    path = shared / "data" / "bitstamp_2015" / "2015-05-01.log.xz"
    rows: list[tuple[int, int, int, int, int, int | None, int, int]] = []
    sizes: dict[int, int] = {}
    with lzma.open(path, "rt") as log:
        for _, line in zip(range(lines_max), log, strict=False):
            local, what, text = line.split(" ", 2)
            if what not in ("order_created", "order_changed", "order_deleted", "trade"):
                continue
            told = json.loads(text, parse_float=str)
            price, size = _scaled(told["price"], 2), _scaled(told["amount"], 8)
            now = int(local) * 10**6
            if what == "trade":
                row = (EventKind.TRADE, Side.BID, Reason.NONE, price, size, None, now, now)
                rows.append(row)
                continue
            order, side = told["id"], told["order_type"]
            sent = int(told["datetime"]) * 10**9
            kind = {
                "order_created": EventKind.OPEN,
                "order_changed": EventKind.CHANGE,
                "order_deleted": EventKind.DONE,
            }[what]
            reason = Reason.CANCELED if kind is EventKind.DONE else Reason.NONE
            rows.append((kind, side, reason, price, size, order, now, sent))
            sizes[order] = size
    columns = list(zip(*rows, strict=True))
    return EventBatch.from_arrays(
        kind=columns[0],
        side=columns[1],
        reason=columns[2],
        price=columns[3],
        size=columns[4],
        order_id=[None if order is None else str(order) for order in columns[5]],
        ts_recv=np.maximum.accumulate(np.array(columns[6])),
        ts_event=columns[7],
        price_scale=2,
        size_scale=8,
        codec="int",
    )


def _scaled(text: Any, scale: int) -> int:
    """As an integer; what the source's own arithmetic left behind is rounded away."""
    return round(Decimal(str(text)).scaleb(scale))
