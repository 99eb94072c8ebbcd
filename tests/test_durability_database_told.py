"""A server whose database can't be reached says so in its log, without waiting for it."""

from __future__ import annotations

import pytest

from ordertape.database.address import Address
from ordertape.roles.server import _Database
from support.processes import wait_for


async def test_an_address_where_no_database_answers_is_told_when_the_server_begins(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    database = _Database(Address("nobody", url="postgresql://a:s3cret@127.0.0.1:9/nothing"))
    await database.begin()
    said: list[str] = []

    def told() -> bool:
        # Where a line goes depends on whether logs were set up in this process before.
        said[:] = [*said, capsys.readouterr().out, caplog.text]
        return "L3_database_failed" in "".join(said)

    wait_for(told, "what the server says", 10)
    assert "127.0.0.1, port 9" in "".join(said) or "127.0.0.1:9" in "".join(said)
    assert "s3cret" not in "".join(said)
    await database.end()
