"""Contract: `persist: false` and how soon a row is in `level3_orders`."""

from __future__ import annotations

import pytest

from ordertape.database.address import connect
from ordertape.roles.wanted import is_wanted
from ordertape.tape.folder import MarketFolder
from support.contract import BOTH_DATABASES
from support.processes import wait_for
from support.served import LIVE, Served, exact

pytestmark = BOTH_DATABASES

LIGHT = "XRP/USDT"


@pytest.fixture(scope="module")
def unkept(server: Served) -> Served:
    """Its XRP/USDT runs without persisting."""
    server.begin(LIGHT, persist=False)
    return server


def test_no_journal_database_or_archive(unkept: Served) -> None:
    folder = MarketFolder(unkept.data, "bitfinex", LIGHT)
    assert not folder.journal.exists()
    assert not folder.archive.exists()
    status = unkept.answer(f"/status/bitfinex/{LIGHT}")
    assert (status["persist"], status["orders_persisted"]) == (False, 0)
    with connect(unkept.database()) as connection:
        query = "SELECT count(*) FROM level3_orders WHERE exchange = 'bitfinex' AND symbol = %s"
        wait_for(lambda: connection.execute(query, [LIVE]).fetchone() != (0,), "rows of another")
        assert connection.execute(query, [LIGHT]).fetchone() == (0,)


def test_a_live_book(unkept: Served) -> None:
    book = unkept.answer(f"/snapshot/bitfinex/{LIGHT}")
    assert (book["state"], len(book["bids"])) == ("LIVE", 100)


def test_and_the_websocket(unkept: Served) -> None:
    with unkept.socket(LIGHT) as socket:
        kinds = {exact(socket.recv(timeout=60))["type"] for _ in range(50)}
    assert kinds >= {"l3_snapshot", "l3_order"}


def test_orders_answers_409(unkept: Served) -> None:
    assert "persist" in unkept.refused(f"/orders/bitfinex/{LIGHT}", 409)


def test_not_restarted(unkept: Served) -> None:
    # tests/test_roles_server.py restarts a server over such a stream.
    assert not is_wanted(unkept.data, "bitfinex", LIGHT)
    assert is_wanted(unkept.data, "bitfinex", LIVE)
    assert unkept.post(f"/stop/bitfinex/{LIGHT}").json()["status"]["state"] == "STOPPED"
    assert not MarketFolder(unkept.data, "bitfinex", LIGHT).journal.exists()


def test_a_row_is_in_level3_orders_within_1_s_of_its_receipt(server: Served) -> None:
    """The half of them here; `bench.postgres` measures p99 on a quiet machine."""
    query = """
        SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY created_at - moment(ts_recv))
            < interval '1 second', count(*)
        FROM (SELECT created_at, ts_recv FROM level3_orders
            WHERE exchange = 'bitfinex' AND symbol = %s
            ORDER BY sequence DESC LIMIT 200) AS newest
    """
    with connect(server.database()) as connection:
        wait_for(lambda: connection.execute(query, [LIVE]).fetchone() == (True, 200), "swift rows")
