"""A picture's past: tiles from wherever they are quickest, begun before a page asks for them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Final

from ordertape.api.context import Api, Meant
from ordertape.errors import OrdertapeError, SettingRefused
from ordertape.page.heat import BUCKET_NS
from ordertape.page.scene import Scene
from ordertape.page.tiles import TILE_COLUMNS, Spans, TileWish, make_tile, pack_tile
from ordertape.times import parse_time

__all__ = ["begin_early", "find_tile"]

_GROUP: Final = re.compile(r"[1-9][0-9]{0,15}")


def begin_early(api: Api, asked: Mapping[str, str]) -> None:
    """Begins the live market that a page will show, and its past, while the page is being loaded.

    ``asked``: what the page's address says.  A page that replays is left to itself.
    """
    running = sorted(
        (info for info in api.streams() if info.is_active and info.persist),
        key=lambda info: (info.symbol != asked.get("symbol"), info.symbol),
    )
    named = [info for info in running if asked.get("exchange") in {None, info.exchange}]
    if not running or "at" in asked or "from" in asked:
        return
    info = (named or running)[0]
    with suppress(OrdertapeError):  # the page is told why not when it asks
        meant = api.find(info.exchange, info.symbol)
        market = meant.folder.data, meant.exchange, meant.symbol
        api.pages.warm(*market, lambda scene: _begin_past(api, meant, scene, asked.get("group")))


def _begin_past(api: Api, meant: Meant, scene: Scene, group: str | None) -> None:
    """In the market's thread: what the page will ask, begun in another."""
    named = group is not None and _GROUP.fullmatch(group)
    rows = int(group or 0) if named else scene.usual_group()
    index = scene.now // (BUCKET_NS[1] * TILE_COLUMNS)
    api.work.live.submit(_ask, api, meant, (1, index, rows))


def _ask(api: Api, meant: Meant, asked: tuple[int, int, int]) -> None:
    with suppress(OrdertapeError):  # the page is told when it asks
        find_tile(api, meant, asked)


def find_tile(
    api: Api,
    meant: Meant,
    asked: tuple[int, int, int],
    min_size: Decimal | None = None,
    leave: Callable[[], None] = lambda: None,
) -> tuple[bytes, str, bool]:
    """Blocking work: (gzipped body, ETag, whether it never changes).

    ``asked``: level of detail, index, price units a row.  Raises what ``leave`` raises.
    """
    lookup = api.lookup(meant)
    seq = lookup.last_seq()
    newest = lookup.events(seq, seq)
    until = newest[-1].last_ts_recv + 1 if newest else 0
    scales = (newest[-1].price_scale, newest[-1].size_scale) if newest else (0, 0)
    least = 0 if min_size is None else math.ceil(min_size.scaleb(scales[1]))
    if least >= 2**63:
        raise SettingRefused(f"min_size: expected a size that can rest, found {min_size}")
    wish = TileWish(*asked, least, scales)
    over = until > wish.end
    key = (meant.folder.root, wish)
    kept = api.tiles[wish.level].get(key) if over else None
    if kept is not None:
        return *kept, True
    market = (meant.folder.data, meant.exchange, meant.symbol)
    gaps: Spans = [
        (parse_time(gap["from"]), None if gap["to"] is None else parse_time(gap["to"]))
        for gap in api.history(meant).gaps(wish.begin, wish.end)
    ]
    made = None
    if market in api.pages:
        made = api.pages.recent.tile(*market, wish, gaps=gaps, until=until, leave=leave)
    if made is None:
        made = make_tile(*market, wish, gaps=gaps, until=until, leave=leave)
    packed = pack_tile(made)
    if over:
        api.tiles[wish.level].put(key, packed)
    return *packed, over
