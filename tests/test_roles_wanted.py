"""The list of wanted streams: whole or old, and honest about what it can't read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ordertape.errors import SettingRefused
from ordertape.roles.wanted import WantedStream, WantedStreams, is_wanted, wanted_exchanges


def test_what_was_added_is_there_for_the_next_process_in_the_same_order(tmp_path: Path) -> None:
    wanted = WantedStreams(tmp_path, "bitfinex")
    wanted.add("ETH/USDT", WantedStream(snapshot_interval_seconds=30))
    wanted.add("BTC/USDT", WantedStream())
    wanted.add("AVAX/USD", WantedStream())
    wanted.remove("BTC/USDT")
    wanted.remove("XRP/USD")
    again = WantedStreams(tmp_path, "bitfinex").streams
    assert list(again) == ["ETH/USDT", "AVAX/USD"]
    assert again["ETH/USDT"].snapshot_interval_seconds == 30
    assert is_wanted(tmp_path, "bitfinex", "ETH/USDT")
    assert not is_wanted(tmp_path, "bitfinex", "BTC/USDT")
    assert wanted_exchanges(tmp_path, ["bitfinex", "coinbase"]) == ["bitfinex"]


def test_a_list_that_can_t_be_written_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = WantedStreams(tmp_path, "bitfinex")
    wanted.add("BTC/USDT", WantedStream())

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        wanted.add("ETH/USDT", WantedStream())
    assert list(wanted.streams) == ["BTC/USDT"]
    assert list(WantedStreams(tmp_path, "bitfinex").streams) == ["BTC/USDT"]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"BTC/USDT": 3}', b"\xff"])
def test_a_damaged_list_is_told_and_not_taken_for_an_empty_one(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "bitfinex" / "wanted.json"
    path.parent.mkdir()
    path.write_bytes(text)
    with pytest.raises(SettingRefused, match="is no list of wanted streams") as refused:
        WantedStreams(tmp_path, "bitfinex")
    assert str(path) in str(refused.value)
    assert wanted_exchanges(tmp_path, ["bitfinex"]) == ["bitfinex"]
    assert path.read_bytes() == text
