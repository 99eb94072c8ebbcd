"""Contract, Python: the names and their fields, and that errors raise."""

from __future__ import annotations

from pathlib import Path

import pytest

from ordertape import (
    L3EventType,
    L3Order,
    L3Orderbook,
    L3Repository,
    L3Side,
    L3Snapshot,
    L3StreamStatus,
)
from ordertape.errors import OrdertapeError
from ordertape.models import L3Statistics
from support.contract import ORDER, STATISTICS, STATUS
from support.served import LIVE


def test_the_models_have_the_fields_of_the_contract() -> None:
    assert set(L3Order.model_fields) >= ORDER
    assert set(L3StreamStatus.model_fields) >= STATUS
    assert set(L3Statistics.model_fields) >= STATISTICS
    assert set(L3Orderbook.model_fields) >= {"exchange", "symbol", "sequence", "timestamp"}
    assert set(L3Snapshot.model_fields) >= {"bids", "asks", "statistics"}
    assert [side.value for side in L3Side] == ["bid", "ask"]
    kinds = {"open", "done", "change", "match", "clear", "evict", "trade"}
    assert {kind.value for kind in L3EventType} == kinds


async def test_errors_raise(tmp_path: Path) -> None:
    away = L3Repository("postgresql://nobody@127.0.0.1:9/nothing", data=tmp_path)
    with pytest.raises(OrdertapeError):
        async with away:
            pass
    with pytest.raises(OrdertapeError, match="async with"):
        await away.get_orders("bitfinex", LIVE)
