"""Tiles of the newest minutes, made in one pass, are those that are made one by one."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ordertape._engine import NULL
from ordertape.page.heat import BUCKET_NS
from ordertape.page.markets import PageMarkets
from ordertape.page.recent import RecentTiles
from ordertape.page.scene import Scene
from ordertape.page.tiles import TILE_COLUMNS, Tile, TileWish, make_tile
from ordertape.tape.folder import MarketFolder
from support.tape import Market, write_journal

SCALES = (2, 8)
TAPE = ("bitfinex", "A/USD")
STEP_NS = 1_370_000_000
"""Of 900 messages: 20 minutes, more than two whole tiles of a second a column."""


class Going:
    """A tape that goes on, and the tiles of its newest minutes."""

    def __init__(self, data: Path, messages: int = 900) -> None:
        self.data, self.recent = data, RecentTiles()
        self.batches = list(Market("int", orders=30).messages(messages, step_ns=STEP_NS))
        self.folder = MarketFolder(data, *TAPE)
        self.until = 0

    def write(self, first: int, last: int) -> None:
        write_journal(self.folder, self.batches[first:last])
        self.until = self.batches[last - 1].last_ts_recv + 1

    def wishes(self, group: int = 5) -> list[TileWish]:
        """Newest first."""
        found = []
        for level, back in ((1, 0), (1, 1), (0, 0), (0, 1), (0, 2), (0, 10)):
            newest = self.until // (BUCKET_NS[level] * TILE_COLUMNS)
            found.append(TileWish(level, newest - back, group, 0, SCALES))
        return found

    def tile(self, wish: TileWish) -> Tile:
        made = self.recent.tile(self.data, *TAPE, wish, gaps=[], until=self.until)
        assert made is not None
        return made

    def alone(self, wish: TileWish) -> Tile:
        return make_tile(self.data, *TAPE, wish, gaps=[], until=self.until)


def assert_same(found: Tile, alone: Tile) -> None:
    assert (found.base_row, found.group, found.codes_of) == (
        alone.base_row,
        alone.group,
        alone.codes_of,
    )
    assert np.array_equal(found.codes, alone.codes)
    assert np.array_equal(found.prices[:2], alone.prices[:2])
    # Whoever begins earlier knows an earlier last trade.
    known = alone.prices[2] != NULL
    assert np.array_equal(found.prices[2][known], alone.prices[2][known])


@pytest.mark.parametrize("group", [1, 5])
def test_tiles_of_one_pass_are_those_made_alone_while_the_tape_goes_on(
    tmp_path: Path, group: int
) -> None:
    going = Going(tmp_path)
    written = 0
    for until in (600, 610, 750, 900):
        going.write(written, until)
        written = until
        for wish in going.wishes(group):
            assert_same(going.tile(wish), going.alone(wish))
    going.recent.close()


def test_a_recording_that_has_just_begun_is_unknown_before(tmp_path: Path) -> None:
    going = Going(tmp_path, 200)
    going.write(0, 200)
    for wish in going.wishes():
        assert_same(going.tile(wish), going.alone(wish))
    going.recent.close()


def test_what_lies_further_back_or_is_small_is_made_alone(tmp_path: Path) -> None:
    going = Going(tmp_path)
    going.write(0, 900)
    newest = going.wishes()
    far = TileWish(1, newest[0].index - 2, 5, 0, SCALES)
    coarse = TileWish(2, going.until // (BUCKET_NS[2] * TILE_COLUMNS), 5, 0, SCALES)
    for wish in (far, coarse, newest[2]):
        found = going.recent.tile(tmp_path, *TAPE, wish, gaps=[], until=going.until)
        assert found is None
    assert_same(going.tile(newest[0]), going.alone(newest[0]))
    assert_same(going.tile(newest[2]), going.alone(newest[2]))
    ahead = TileWish(0, going.until // (BUCKET_NS[0] * TILE_COLUMNS) + 3, 5, 0, SCALES)
    assert going.recent.tile(tmp_path, *TAPE, ahead, gaps=[], until=going.until) is None
    going.recent.forget(tmp_path, *TAPE)
    assert going.recent.tile(tmp_path, *TAPE, newest[2], gaps=[], until=going.until) is None
    going.recent.close()


def test_who_leaves_half_way_leaves_the_others_right(tmp_path: Path) -> None:
    going = Going(tmp_path)
    going.write(0, 900)
    wish = going.wishes()[1]
    left = []

    def leave() -> None:
        left.append(1)
        if len(left) == 2:
            raise KeyError("left")

    with pytest.raises(KeyError):
        going.recent.tile(tmp_path, *TAPE, wish, gaps=[], until=going.until, leave=leave)
    assert_same(going.tile(wish), going.alone(wish))
    going.recent.close()


async def test_a_market_is_begun_once_for_who_is_about_to_look(tmp_path: Path) -> None:
    going, loop = Going(tmp_path), asyncio.get_running_loop()
    going.write(0, 50)
    groups: asyncio.Queue[int] = asyncio.Queue()

    def begun(scene: Scene) -> None:
        loop.call_soon_threadsafe(groups.put_nowait, scene.usual_group())

    with ThreadPoolExecutor(2) as executor:
        pages = PageMarkets(executor)
        assert (tmp_path, *TAPE) not in pages
        pages.warm(tmp_path, *TAPE, begun)
        pages.warm(tmp_path, *TAPE, begun)
        async with asyncio.timeout(60):
            assert await groups.get() > 0
        assert (tmp_path, *TAPE) in pages
        await pages.close()
        assert (tmp_path, *TAPE) not in pages
        assert groups.empty()
