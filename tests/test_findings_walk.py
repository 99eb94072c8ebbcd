"""Findings along a tape with gaps."""

from __future__ import annotations

import pytest

from ordertape._engine import Detectors, IdCodec
from ordertape.events import Flag
from ordertape.lifecycles.walk import Walk
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.marks import Mark
from support.detecting import BEGIN, MS, Hand


@pytest.mark.parametrize("gap", [False, True])
def test_what_might_have_been_seen_within_a_gap_is_not_held_for_not_having_happened(
    gap: bool,
) -> None:
    hand = Hand()
    hand.usual(60)
    shown = hand.add(0, 9_997, 400)
    hand.wait(700)
    true_one = hand.add(1, 10_001, 7)
    hand.wait(700)
    for met, amount in ((hand.add(1, 10_001, 45), 45), (true_one, 7)):
        hand.meet(met, amount, "taker")
    hand.wait(80)
    hand.cancel(shown)
    hand.wait(10)
    lost, cut = hand.now, len(hand.rows)
    hand.wait(10_000)
    hand.usual(1)
    hand.rows = [row._replace(flags=row.flags | Flag.LAST) for row in hand.rows]

    codec, detectors = IdCodec(), Detectors()
    walk = Walk(MarketCodecs(codec), watchers=(detectors,))
    walk.see(hand.batch(0, cut, codec, (2, 1)))
    if gap:
        fields = {"from_ns": BEGIN + round(lost * MS), "to_ns": None, "reason": "DISCONNECT"}
        walk.see(Mark("gap", walk.seq, fields["from_ns"], fields))
    walk.see(hand.batch(cut, len(hand.rows), codec, (2, 1)))
    found = [one["order_ids"] for one in detectors.drain(codec) if one["kind"] == "spoof-like"]
    assert found == ([] if gap else [[shown]])
