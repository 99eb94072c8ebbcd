"""Tiles of a recorded market are what a plain reader of the tape would draw."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ordertape._engine import NULL, EventBatch, OrderBook
from ordertape.numbers import plain
from ordertape.page.codec import GAP_CODE
from ordertape.page.codes import Codes
from ordertape.page.heat import BUCKET_NS
from ordertape.page.tiles import TILE_COLUMNS, Tile, TileWish, make_tile, pack_tile
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.times import parse_time
from support.served import FINISHED, Served, sentence
from support.tape import START, Market, naive_book, write_journal

SCALES = (2, 8)
TAPE = ("bitfinex", "A/USD")
STEP_NS = 37_000_000


class Recorded:
    """A tape of a minute or so, half of it in the archive, and its batches."""

    def __init__(self, data: Path, codec: str = "int", step_ns: int = STEP_NS) -> None:
        market, messages = Market(codec, orders=30), 900
        self.data = data
        self.batches = list(market.messages(messages, clear_every=400, step_ns=step_ns))
        folder = MarketFolder(data, *TAPE)
        half = messages // 2
        write_journal(folder, self.batches[:half])
        archiver = Archiver(folder, file_rows_max=400, row_group_rows=130)
        archiver.finish()
        archiver.close()
        write_journal(folder, self.batches[half:])
        self.end = self.batches[-1].last_ts_recv

    def tile(self, wish: TileWish, **known: Any) -> Tile:
        known = {"gaps": [], "until": self.end + 1, **known}
        return make_tile(self.data, *TAPE, wish, **known)


def plain_columns(
    batches: list[EventBatch], wish: TileWish
) -> Iterator[tuple[int, dict[int, int], tuple[int, int]]]:
    """(bucket, the largest size by row, the touch at its end) of every bucket, event by event."""
    book = OrderBook(*SCALES, codec=batches[0].codec)
    bucket, most = 0, dict[int, int]()
    for batch in batches:
        now = batch.last_ts_recv // wish.width
        while bucket and bucket < now:
            yield bucket, most, touch_of(book)
            bucket, most = bucket + 1, rows_of(book, wish.group)
        bucket = now
        for at in range(len(batch)):
            book.apply(batch[at : at + 1])
            for row, size in rows_of(book, wish.group).items():
                most[row] = max(most.get(row, 0), size)
    yield bucket, most, touch_of(book)


def rows_of(book: OrderBook, group: int) -> dict[int, int]:
    rows: dict[int, int] = {}
    bids, asks = book.depth_scaled(1_000)
    for levels, up in ((bids, 0), (asks, group - 1)):
        for price, size, _ in levels:
            row = (price + up) // group
            rows[row] = rows.get(row, 0) + size
    return rows


def touch_of(book: OrderBook) -> tuple[int, int]:
    bid, ask = book.best_scaled()
    return NULL if bid is None else bid, NULL if ask is None else ask


def shown(tile: Tile, column: int) -> dict[int, int]:
    codes = tile.codes[column]
    return {tile.base_row + int(at): int(codes[at]) for at in np.flatnonzero(codes)}


def coded(most: dict[int, int], codes: Codes) -> dict[int, int]:
    sizes = codes.of(np.array([*most.values()], np.int64))
    return {row: int(code) for row, code in zip(most, sizes, strict=True) if code}


@pytest.mark.parametrize(("level", "group"), [(0, 1), (0, 5), (1, 1), (2, 3), (3, 1)])
def test_a_tile_is_what_rested_bucket_by_bucket(tmp_path: Path, level: int, group: int) -> None:
    width = BUCKET_NS[level]
    recorded = Recorded(tmp_path, step_ns=STEP_NS if level < 3 else 8 * STEP_NS)
    index = recorded.end // (width * TILE_COLUMNS)
    seen = 0
    tiles = {
        nth: recorded.tile(TileWish(level, nth, group, 0, SCALES)) for nth in (index - 1, index)
    }
    some = TileWish(level, index, group, 0, SCALES)
    for bucket, most, touch in plain_columns(recorded.batches, some):
        tile = tiles.get(bucket // TILE_COLUMNS)
        begins = bucket * width
        if tile is None or begins < START or begins + width > recorded.end:
            continue
        column = bucket % TILE_COLUMNS
        assert shown(tile, column) == coded(most, tile.codes_of), (bucket, column)
        assert tuple(tile.prices[:2, column]) == touch
        seen += 1
    assert seen > 0


@pytest.mark.parametrize("codec", ["int", "uuid", "intern"])
def test_ids_of_any_kind_pass_from_the_archive_into_the_journal(tmp_path: Path, codec: str) -> None:
    recorded = Recorded(tmp_path, codec)
    index = recorded.end // (BUCKET_NS[0] * TILE_COLUMNS)
    tile = recorded.tile(TileWish(0, index, 1, 0, SCALES))
    column = (recorded.end // BUCKET_NS[0] - 1) % TILE_COLUMNS
    assert shown(tile, column)


def test_orders_below_the_least_size_are_left_out(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    index = recorded.end // (BUCKET_NS[1] * TILE_COLUMNS)
    whole, most = (
        recorded.tile(TileWish(1, index, 1, least, SCALES)) for least in (0, 9_500_000_000)
    )
    known = whole.codes != GAP_CODE
    assert np.count_nonzero(most.codes[known]) < np.count_nonzero(whole.codes[known]) / 2


def test_what_is_not_known_is_said_to_be_unknown(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    width, index = BUCKET_NS[1], START // (BUCKET_NS[1] * TILE_COLUMNS)
    wish = TileWish(1, index, 1, 0, SCALES)
    lost = START // width * width + 5 * width
    tile = recorded.tile(wish, gaps=[(lost - width // 2, lost + 3 * width + 1)])
    hidden = {int(at) for at in np.flatnonzero((tile.codes == GAP_CODE).all(axis=1))}
    first, last = START // width % TILE_COLUMNS, recorded.end // width % TILE_COLUMNS
    gap = {first + 5, first + 6, first + 7}
    assert hidden == {*range(first), *gap, *range(last, TILE_COLUMNS)}
    assert (tile.prices[:, sorted(hidden)] == NULL).all()


def test_a_tile_beyond_the_tape_is_unknown_alone(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    index = recorded.end // (BUCKET_NS[0] * TILE_COLUMNS)
    for beyond in (0, index - 100, index + 1):
        tile = recorded.tile(TileWish(0, beyond, 1, 0, SCALES))
        assert (tile.codes == GAP_CODE).all()


def test_a_packed_tile_says_what_it_is(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    wish = TileWish(0, recorded.end // (BUCKET_NS[0] * TILE_COLUMNS), 5, 0, SCALES)
    tile = recorded.tile(wish)
    packed, etag = pack_tile(tile)
    assert (packed, etag) == pack_tile(recorded.tile(wish))
    body = gzip.decompress(packed)
    version, level, columns, rows, base, group, t_us, offset, steps, unit = struct.unpack_from(
        "<BBHIqqQffq", body
    )
    assert (version, level, columns, group) == (1, 0, TILE_COLUMNS, 5)
    assert (rows, base) == (tile.codes.shape[1], tile.base_row)
    assert (t_us, Codes(unit, offset, steps)) == (wish.begin // 1000, tile.codes_of)
    at = struct.calcsize("<BBHIqqQffq")
    assert np.array_equal(np.frombuffer(body, "<i8", 3 * columns, at), tile.prices.ravel())
    assert body[at + 24 * columns :] == tile.codes.tobytes()


TILES = "/api/v1/orderbook-heatmap/heatmap/bitfinex"


def test_a_finished_tile_is_kept_and_one_that_goes_on_is_asked_for_again(served: Served) -> None:
    client, name = served.client, f"{served.address}{TILES}/{FINISHED}/tile"
    end = served.batches[-1].last_ts_recv
    newest = end // (BUCKET_NS[0] * TILE_COLUMNS)
    for index, cached in ((newest - 1, "immutable"), (newest, "no-cache")):
        first = client.get(name, params={"index": index, "group": 1})
        assert first.status_code == 200, first.text
        assert cached in first.headers["cache-control"]
        assert first.headers["content-encoding"] == "gzip"
        again = client.get(
            name,
            params={"index": index, "group": 1},
            headers={"If-None-Match": first.headers["etag"], "Accept-Encoding": "identity"},
        )
        assert (again.status_code, again.content) == (304, b"")
        plain = client.get(
            name, params={"index": index, "group": 1}, headers={"Accept-Encoding": "identity"}
        )
        assert plain.content == first.content
        assert "content-encoding" not in plain.headers


def test_a_tile_that_cannot_be_asked_for_is_refused_in_a_sentence(served: Served) -> None:
    refused: tuple[tuple[str, dict[str, int | str], int, str], ...] = (
        (FINISHED, {"index": 1}, 422, "group"),
        (FINISHED, {"index": 1, "group": 0}, 422, "group"),
        (FINISHED, {"index": 2**62, "group": 1}, 422, "index: expected at most"),
        (FINISHED, {"index": 1, "group": 1, "lod": 4}, 422, "lod"),
        (FINISHED, {"index": 1, "group": 1, "min_size": "1e17"}, 422, "min_size"),
        ("NO/PE", {"index": 1, "group": 1}, 404, "NO/PE"),
    )
    for symbol, wish, status, words in refused:
        answer = served.client.get(f"{served.address}{TILES}/{symbol}/tile", params=wish)
        assert words in sentence(answer, status)


def test_an_overview_says_what_there_is(served: Served) -> None:
    answer = served.client.get(f"{served.address}{TILES}/{FINISHED}/overview").json()
    assert "first" in answer, answer
    first, last = served.batches[0].last_ts_recv, served.batches[-1].last_ts_recv
    assert (parse_time(answer["first"]), parse_time(answer["last"])) == (first, last)
    assert answer["events"] == served.batches[-1].last_seq
    assert answer["bytes"] > 10_000
    assert [gap["reason"] for gap in answer["gaps"]] == ["a test"]
    prices = answer["prices"]
    assert prices
    for told in prices:
        book = naive_book(served.batches, parse_time(told["t"]))
        found = tuple(None if best is None else plain(best) for best in book.best())
        assert (told["bid"], told["ask"]) == found
