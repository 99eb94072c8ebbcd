"""Connections for threads that read: kept, bounded, replaced when the server ended them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from ordertape import limits
from ordertape.database.address import Address
from ordertape.database.connections import Connections
from ordertape.database.reader import is_order_form
from ordertape.errors import DatabaseError, DatabaseUnavailable


@pytest.fixture
def connections(database: Address) -> Iterator[Connections]:
    opened = Connections(database, name="ordertape test")
    yield opened
    opened.close()


def pid(connections: Connections) -> int:
    with connections.use(1_000) as opened:
        return opened.info.backend_pid


def test_a_connection_is_kept_and_one_that_the_server_ended_is_replaced_unnoticed(
    connections: Connections, connection: psycopg.Connection
) -> None:
    first = pid(connections)
    assert pid(connections) == first
    assert connections.opened == 1
    connection.execute("SELECT pg_terminate_backend(%s, 5000)", (first,))
    assert pid(connections) != first
    assert connections.opened == 2


def test_each_use_has_its_own_timeout(connections: Connections) -> None:
    with connections.use(5_000) as opened:
        opened.execute("SELECT pg_sleep(0.1)")
    with pytest.raises(DatabaseError, match="longer than 20 ms and was canceled"):  # noqa: SIM117 - the error comes from inside
        with connections.use(20) as opened:
            opened.execute("SELECT pg_sleep(5)")
    with connections.use(5_000) as opened:
        opened.execute("SELECT pg_sleep(0.1)")


def test_no_more_than_so_many_are_used_at_once(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.api_database_wait_ms", 20)
    with ExitStack() as stack:
        for _ in range(limits.api_database_connections_max):
            stack.enter_context(connections.use(1_000))
        with pytest.raises(DatabaseUnavailable, match="no connection within 20 ms"):
            stack.enter_context(connections.use(1_000))
    assert pid(connections)


def test_what_is_refused_is_asked_again_after_a_pause_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = Connections(Address("nobody", url="postgresql://127.0.0.1:1/x"))
    tried: list[float] = []
    connected = psycopg.connect

    def counted(*arguments: object, **options: object) -> object:
        tried.append(time.monotonic())
        return connected(*arguments, **options)

    monkeypatch.setattr(psycopg, "connect", counted)
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1:1"):
            pid(away)
    assert len(tried) == 1
    monkeypatch.setattr("ordertape.limits.api_database_retry_ms", 0)
    away = Connections(away.address)
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            pid(away)
    assert len(tried) == 4


def test_a_connection_that_is_let_go_after_the_end_is_closed(connections: Connections) -> None:
    inside, ended = threading.Event(), threading.Event()
    found: list[psycopg.Connection] = []

    def read() -> None:
        with connections.use(1_000) as opened:
            found.append(opened)
            inside.set()
            ended.wait(10)

    thread = threading.Thread(target=read)
    thread.start()
    assert inside.wait(10)
    connections.close()
    ended.set()
    thread.join(10)
    assert found[0].closed


@pytest.mark.parametrize(
    ("form", "text", "fits"),
    [
        ("bigint", "0", True),
        ("bigint", "9223372036854775807", True),
        ("bigint", "9223372036854775808", False),
        ("bigint", "99999999999999999999", False),
        ("bigint", "007", False),
        ("bigint", "-1", False),
        ("bigint", "", False),
        ("bigint", "\u0661", False),
        ("bigint", "\u00b2", False),
        ("uuid", "0123abcd-0000-4000-8000-00000000000f", True),
        ("uuid", "0123ABCD-0000-4000-8000-00000000000F", False),
        ("uuid", "0123abcd00004000800000000000000f", False),
        ("uuid", "----", False),
        ("text", "anything 'at' all", True),
        ("text", "a\0b", False),
    ],
)
def test_an_id_is_looked_for_only_where_it_could_stand_as_it_is_written(
    form: str, text: str, fits: bool
) -> None:
    assert is_order_form(form, text) is fits
