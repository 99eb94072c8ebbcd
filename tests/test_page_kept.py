"""What the page takes along and keeps: the events of a stretch as files, bookmarks."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ordertape import limits
from ordertape.errors import MarketBusy, SettingRefused, TapeError
from ordertape.models import iso_from_ns
from ordertape.page.bookmarks import Bookmarks
from ordertape.tape.exports import Box, export_csv
from support.served import FINISHED, Served, sentence

PAGE = "/api/v1/orderbook-heatmap"


def priced(served: Served) -> list[tuple[int, Decimal]]:
    """(sequence, price) of every event that has one."""
    return [
        (row["seq"], row["price"])
        for batch in served.batches
        for row in (batch[nth] for nth in range(len(batch)))
        if row["price"] is not None
    ]


def test_a_stretch_of_time_and_prices_is_a_file(served: Served) -> None:
    middle = served.batches[len(served.batches) // 2]
    start, end = served.batches[0].last_ts_recv, middle.last_ts_recv
    found = priced(served)
    low, high = sorted(price for _, price in found)[:: len(found) // 3][1:3]
    asked = {
        "start_time": iso_from_ns(start),
        "end_time": iso_from_ns(end),
        "min_price": str(low),
        "max_price": str(high),
    }
    where = f"{served.address}{PAGE}/heatmap/bitfinex/{FINISHED}/box"
    answer = served.client.get(where, params=asked)
    assert answer.status_code == 200, answer.text
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    meant = [
        seq
        for batch in served.batches
        if start <= batch.last_ts_recv < end
        for row in (batch[nth] for nth in range(len(batch)))
        if row["price"] is not None and low <= row["price"] <= high
        for seq in [row["seq"]]
    ]
    assert [int(row["seq"]) for row in rows] == meant
    assert meant
    parquet = served.client.get(where, params={**asked, "format": "parquet"})
    table = pq.read_table(io.BytesIO(parquet.content))
    assert table["seq"].to_pylist() == meant
    assert [str(each or "") for each in table["order_id"].to_pylist()] == [
        row["order_id"].strip('"') for row in rows
    ]


def test_a_stretch_that_cannot_be_a_file_is_refused_in_a_sentence(served: Served) -> None:
    where = f"{served.address}{PAGE}/heatmap/bitfinex/{FINISHED}/box"
    whole = {"start_time": "2001-01-01T00:00:00Z", "end_time": "2001-01-01T00:00:01Z"}
    refused: tuple[tuple[dict[str, str], int, str], ...] = (
        ({}, 422, "start_time"),
        (whole, 404, "no event lies there"),
        ({**whole, "format": "xls"}, 422, "format"),
        ({**whole, "min_price": "1e30"}, 422, "min_price"),
    )
    for asked, status, words in refused:
        assert words in sentence(served.client.get(where, params=asked), status)


def test_a_stretch_with_too_many_events_is_refused(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "box_events_max", 5)
    with pytest.raises(SettingRefused, match="at most 5 events"):
        export_csv(Box(served.data, "bitfinex", FINISHED), tmp_path)
    assert not list(tmp_path.iterdir())


def test_bookmarks_outlive_the_server_and_are_deleted_alone(tmp_path: Path) -> None:
    kept = Bookmarks(tmp_path)
    assert kept.all() == []
    first, second = kept.add("öffnen", "?a=1"), kept.add("", "?b=2")
    assert [each["id"] for each in Bookmarks(tmp_path).all()] == [second["id"], first["id"]]
    assert Bookmarks(tmp_path).all()[1]["note"] == "öffnen"
    assert kept.remove(first["id"])
    assert not kept.remove(first["id"])
    assert kept.all() == [second]


def test_bookmarks_have_a_bound_and_a_damaged_file_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "bookmarks_max", 1)
    kept = Bookmarks(tmp_path)
    kept.add("", "?a=1")
    with pytest.raises(MarketBusy, match="at most 1"):
        kept.add("", "?b=2")
    (tmp_path / "bookmarks.json").write_text("{")
    with pytest.raises(TapeError, match="can't be read"):
        kept.all()


def test_a_page_keeps_a_view_with_a_note(served: Served) -> None:
    where = f"{served.address}{PAGE}/bookmarks"
    wish = {"note": '<b onclick="x">', "view": "?exchange=bitfinex&symbol=OLD%2FUSD"}
    made = served.client.post(where, json=wish)
    assert made.status_code == 201, made.text
    told: dict[str, Any] = served.client.get(where).json()
    assert told["bookmarks"][0] == made.json()
    assert {name: made.json()[name] for name in wish} == wish
    refused: tuple[dict[str, Any], ...] = (
        {"note": "x" * 501, "view": "?a"},
        {"view": "javascript:alert(1)"},
        {"note": "", "view": "?a", "more": 1},
    )
    for wrong in refused:
        sentence(served.client.post(where, json=wrong), 422)
    number = made.json()["id"]
    assert served.client.delete(f"{where}/{number}").status_code == 200
    assert "no bookmark" in sentence(served.client.delete(f"{where}/{number}"), 404)
