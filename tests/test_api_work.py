"""Blocking work runs in threads, ends when its client leaves, and errors become sentences."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request

from ordertape import errors
from ordertape.api.answers import status_of
from ordertape.api.work import Gone, Leave, Work
from ordertape.database.cursor import decode_cursor, encode_cursor
from ordertape.errors import SettingRefused


def request_of(receive: Callable[[], Any]) -> Request:
    return Request({"type": "http", "method": "GET", "headers": []}, receive)


async def never() -> dict[str, str]:
    await asyncio.Event().wait()
    return {}


async def test_work_does_not_hold_up_the_loop() -> None:
    work, entered = Work(1), threading.Event()
    finish = threading.Event()

    def task(_leave: Leave) -> int:
        entered.set()
        assert finish.wait(5)
        return 7

    running = asyncio.create_task(work.run(request_of(never), task))
    assert await asyncio.to_thread(entered.wait, 5)
    finish.set()
    assert await running == 7
    work.close()


async def test_slow_answers_hold_up_nothing_live() -> None:
    work, finish = Work(1), threading.Event()
    slow = asyncio.create_task(work.run(request_of(never), lambda _: finish.wait(5)))
    async with asyncio.timeout(4):
        assert await asyncio.get_running_loop().run_in_executor(work.live, lambda: 7) == 7
    assert not slow.done()
    finish.set()
    assert await slow
    work.close()


async def test_a_client_that_leaves_ends_its_work() -> None:
    work, ended = Work(1), threading.Event()

    async def gone() -> dict[str, str]:
        return {"type": "http.disconnect"}

    def task(leave: Leave) -> None:
        try:
            while True:
                leave()
        finally:
            ended.set()

    with pytest.raises(Gone):
        await work.run(request_of(gone), task)
    assert await asyncio.to_thread(ended.wait, 5)
    work.close()


async def test_an_error_of_the_work_is_the_requests() -> None:
    work = Work(1)

    def task(_leave: Leave) -> None:
        raise SettingRefused("no")

    with pytest.raises(SettingRefused, match="no"):
        await work.run(request_of(never), task)
    work.close()


@pytest.mark.parametrize("seq", [0, 1, 2**62])
def test_a_cursor_is_read_as_it_was_written(seq: int) -> None:
    cursor = encode_cursor(seq, "a query")
    assert decode_cursor(cursor, "a query") == seq
    with pytest.raises(SettingRefused, match="other parameters"):
        decode_cursor(cursor, "another query")
    with pytest.raises(SettingRefused, match="expected a next_cursor"):
        decode_cursor(cursor[:-2] + "é", "a query")


def test_every_error_has_a_status() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__]
    made = [kind.__new__(kind) for kind in kinds]
    statuses = {kind.__name__: status_of(error) for kind, error in zip(kinds, made, strict=True)}
    assert statuses["UnknownMarket"] == 404
    assert statuses["MarketBusy"] == 409
    assert statuses["SettingRefused"] == 422
    assert statuses["VenueRefused"] == 502
    assert set(statuses.values()) <= {404, 409, 422, 500, 502, 503}
