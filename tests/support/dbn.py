"""DBN files made of given MBO records, with Databento's own encoder."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterable, Mapping
from types import SimpleNamespace

import databento_dbn as dbn
import zstandard

START = 1_609_160_400_000_000_000
SIDES = {"A": dbn.Side.ASK, "B": dbn.Side.BID, "N": dbn.Side.NONE}
LAST, SNAPSHOT = dbn.F_LAST, dbn.F_SNAPSHOT


def record(
    action: str,
    side: str = "N",
    order_id: int = 0,
    price: int | None = None,
    size: int = 0,
    *,
    at: int = 0,
    flags: int = LAST,
    instrument_id: int = 5482,
    sequence: int = 0,
    event_at: int | None = None,
) -> dbn.MBOMsg:
    """One record; ``price`` in whole units, ``at`` in microseconds after START."""
    return dbn.MBOMsg(
        publisher_id=1,
        instrument_id=instrument_id,
        ts_event=START + (at if event_at is None else event_at) * 1000,
        order_id=order_id,
        price=dbn.UNDEF_PRICE if price is None else price * 1_000_000_000,
        size=size,
        action=dbn.Action.from_str(action),
        side=SIDES[side],
        ts_recv=START + at * 1000 + 500,
        flags=flags,
        sequence=sequence or at,
    )


def metadata(symbols: Mapping[str, int], version: int = 3) -> dbn.Metadata:
    """Metadata of a day with these instruments."""
    day = dt.date(2020, 12, 28)
    return dbn.Metadata(
        dataset="GLBX.MDP3",
        start=START,
        end=START + 10**12,
        stype_in=dbn.SType.RAW_SYMBOL,
        stype_out=dbn.SType.INSTRUMENT_ID,
        schema=dbn.Schema.MBO,
        symbols=list(symbols),
        mappings=[
            SimpleNamespace(
                raw_symbol=symbol,
                intervals=[
                    SimpleNamespace(
                        start_date=day, end_date=day + dt.timedelta(1), symbol=str(number)
                    )
                ],
            )
            for symbol, number in symbols.items()
        ],
        version=version,
    )


def dbn_bytes(
    records: Iterable[dbn.MBOMsg],
    symbols: Mapping[str, int] | None = None,
    version: int = 3,
) -> bytes:
    head = metadata({"ESH1": 5482} if symbols is None else symbols, version)
    return bytes(head) + b"".join(map(bytes, records))


def csv_bytes(data: bytes, *, pretty: bool, symbols: bool = True) -> bytes:
    """The same records as Databento's tools write them as CSV."""
    out = io.BytesIO()
    coder = dbn.Transcoder(
        out,
        dbn.Encoding.CSV,
        dbn.Compression.NONE,
        pretty_px=pretty,
        pretty_ts=pretty,
        map_symbols=symbols,
    )
    coder.write(data)
    coder.flush()
    return out.getvalue()


def packed(data: bytes) -> bytes:
    return zstandard.compress(data)
