"""What happens to one stream leaves the others alone; how soon a book stands again; what a venue
says on a channel whose `subscribed` was lost."""

from __future__ import annotations

import json

import pytest

from campaign.rows import attempt, last_world
from campaign.world import SECOND, Judge, World
from ordertape.simulator.faults_rules import Kind, Rule
from ordertape.stream.state import StreamState

RECOVERY_SECONDS_MAX = {"2 drop mid-stream": 10, "5 gap": 5, "14 unreadable": 5}
"""From the end of a LIVE book to the next, where neither the venue nor a timeout imposes a wait."""


class Told(Judge):
    """Notes each trade that is told while LIVE, and when."""

    def __init__(self) -> None:
        self.trades: dict[str, int] = {}

    def took(self, world: World, text: bytes) -> None:
        if world.live and b'"te",[' in text:
            self.trades.setdefault(str(json.loads(text)[2][0]), world.clock())


@pytest.mark.parametrize("seed", range(2))
def test_trades_behind_a_lost_subscribed_are_on_the_tape_or_in_a_gap(seed: int) -> None:
    told = Told()
    rule = Rule(Kind.DROP, holds='"channel":"trades"', connection=1)
    world = World("bitfinex", seed, [rule], rate=300, judge=told)
    world.run(25)
    assert [injected.kind for injected in world.plan.log] == [Kind.DROP]
    assert world.stream.connects == 2
    taped = {
        trade_id
        for batch in world.tape.batches
        for trade_id in batch.id_texts("trade_id")
        if trade_id is not None
    }
    gaps = world.tape.gaps()
    lost = {trade_id: at for trade_id, at in told.trades.items() if trade_id not in taped}
    early = {trade_id: at for trade_id, at in lost.items() if at < world.now - 5 * SECOND}
    assert early, "the rule lost nothing"
    for at in early.values():
        assert any(begin <= at and to is not None and at <= to for begin, to, _ in gaps)


@pytest.mark.parametrize("venue", ["bitfinex", "coinbase"])
def test_a_fault_on_one_stream_leaves_another_of_the_same_exchange_as_it_was(venue: str) -> None:
    """Two streams of one process in turns: the second's tape is the same, byte for byte, with and
    without faults on the first.  What their sockets feel of each other measures `bench.resync`."""
    ways = []
    for rules in ([], [Rule(Kind.DROP, every=60, times=5), Rule(Kind.RESET, message=300)]):
        first, second = World(venue, 3, rules), World(venue, 4, [])
        for _ in range(100):  # in turns, as one event loop runs both
            first.run(0.1)
            second.run(0.1)
        assert (first.stream.record.gaps > 0) == bool(rules)
        assert second.stream.state is StreamState.LIVE
        assert (second.stream.record.gaps, second.stream.connects) == (0, 1)
        tape = [batch.encode_frame(1, 0) for batch in second.tape.batches]
        ways.append((tape, second.stream.book.digest(), second.stream.counters))
    assert ways[0] == ways[1]


@pytest.mark.parametrize("venue", ["bitfinex", "coinbase"])
@pytest.mark.parametrize("row", RECOVERY_SECONDS_MAX)
def test_a_book_that_was_lost_stands_again_soon(row: str, venue: str) -> None:
    found = sorted(took for seed in range(2) for took in recoveries(row, venue, seed))
    print(f"{row} {venue}: {len(found)} recoveries, p50 {found[len(found) // 2]:.2f} s, "
          f"max {found[-1]:.2f} s")  # fmt: skip
    assert found[-1] <= RECOVERY_SECONDS_MAX[row]


def recoveries(row: str, venue: str, seed: int) -> list[float]:
    """Seconds from each end of a LIVE book to the next, in one try."""
    assert attempt(row, venue, seed) == []
    found, left = [], None
    for mark in last_world().tape.marks:
        if mark.kind != "state":
            continue
        if mark.fields["from"] == "LIVE" and left is None:
            left = mark.ts
        elif mark.fields["to"] == "LIVE" and left is not None:
            found.append((mark.ts - left) / SECOND)
            left = None
    return found
