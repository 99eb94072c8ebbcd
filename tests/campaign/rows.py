"""The rows of the fault matrix: what goes wrong, and how the stream must stand in the end."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from msgspec import structs

from campaign.checks import (
    Watch,
    gap_faults,
    secret_faults,
    silent_faults,
    tape_faults,
    told_truth,
    trade_faults,
)
from campaign.world import CREDENTIALS, MS, SECOND, START_NS, World
from ordertape.settings import Credentials
from ordertape.simulator.faults_rules import Kind, Rule
from ordertape.stream.state import StreamState

BOTH = ("bitfinex", "coinbase")
SETTLED_SECONDS = 2
PATIENCE_SECONDS = 150
SILENT_SECONDS = 45
"""Long enough for two comparisons with the venue's own book."""


@dataclass
class Case:
    """One try of a row: ``rules`` for the plan, options for the world."""

    rules: list[Rule]
    options: dict[str, Any] = field(default_factory=dict)
    acts: list[tuple[float, Kind]] = field(default_factory=list)
    """What the venue itself does, after so many seconds."""
    ends: StreamState = StreamState.LIVE
    silent: bool = False
    """Nothing reveals it at once: the comparison with the venue's own book must."""
    numbers_once: bool = True
    """The venue uses no number of its count twice."""
    after: Callable[[World], list[str]] = lambda _: []
    """What else must hold."""


Row = Callable[[str, random.Random], Case]


def _somewhere(venue: str, dice: random.Random) -> int:
    """A message of the first seconds, most of them after the snapshot."""
    return dice.randrange(3, 700 if venue == "coinbase" else 350)


def _on_first(rule: Rule) -> list[Rule]:
    """The rule on the first connections alone, so that the stream can come to rest."""
    return [structs.replace(rule, connection=number) for number in (1, 2, 3)]


def mid_snapshot(venue: str, dice: random.Random) -> Case:
    if venue == "bitfinex":
        rows = [Rule(Kind.CUT, holds=",[[", connection=n) for n in range(1, dice.randrange(2, 5))]
        return Case(rows)
    rules = [Rule(Kind.REST_TRUNCATED, times=dice.randrange(1, 4))]
    if dice.random() < 0.5:
        rules.append(Rule(Kind.CUT, connection=1, message=dice.randrange(1, 60)))
    return Case(rules)


def mid_stream(venue: str, dice: random.Random) -> Case:
    kinds = (Kind.RESET, Kind.CLOSE, Kind.CUT)
    return Case(
        [
            Rule(dice.choice(kinds), connection=n, message=_somewhere(venue, dice))
            for n in range(1, dice.randrange(2, 5))
        ]
    )


def hung(venue: str, dice: random.Random) -> Case:
    return Case([Rule(Kind.HANG, connection=1, message=_somewhere(venue, dice))])


def heartbeats_only(venue: str, dice: random.Random) -> Case:
    return Case([Rule(Kind.HEARTBEATS_ONLY, connection=1, message=_somewhere(venue, dice))])


def gaps(venue: str, dice: random.Random) -> Case:
    amount = dice.choice((1, 1, 1, 2, 10))
    return Case(_on_first(Rule(Kind.DROP, every=200, times=3, amount=amount)))


def duplicates(venue: str, dice: random.Random) -> Case:
    return Case(_on_first(Rule(Kind.DUPLICATE, every=120, times=5)))


def reordered(venue: str, dice: random.Random) -> Case:
    return Case(_on_first(Rule(Kind.REORDER, every=200, times=3)))


def renumbered(venue: str, dice: random.Random) -> Case:
    kinds = (Kind.SEQUENCE_JUMP, Kind.SEQUENCE_RESET, Kind.RESTART)
    kind = dice.choice(kinds)
    rule = Rule(kind, connection=1, message=_somewhere(venue, dice))
    return Case([rule], numbers_once=kind is Kind.SEQUENCE_JUMP)


def checksum_lies(venue: str, dice: random.Random) -> Case:
    if dice.random() < 0.5:
        times = dice.randrange(1, 5)
        return Case([Rule(Kind.CHECKSUM_LIE, message=60, holds='"cs"', times=times)])
    return Case([Rule(Kind.CHECKSUM_LIE, every=300, times=9, holds='"cs"')])


def silent_divergence(venue: str, dice: random.Random) -> Case:
    """One digit of a price or a size is another: what a venue proves does not tell."""
    if venue == "bitfinex":  # below the checksum's orders, or a price inside it
        part = dice.choice(("price", "size"))
        rule = Rule(Kind.CORRUPT, message=_somewhere(venue, dice), holds=",[", part=part, times=3)
    else:
        part = dice.choice(("price", "size"))
        message = _somewhere(venue, dice)
        rule = Rule(Kind.CORRUPT, message=message, holds='"open"', part=part, connection=1)
    return Case([rule], {"audit_seconds": 12, "rate": 60}, silent=True)


def snapshot_and_stream_apart(venue: str, dice: random.Random) -> Case:
    """The snapshot is older than what is kept, or newer, or both stand still."""
    if venue == "bitfinex":
        return Case([Rule(Kind.DELAY, holds=",[[", amount=dice.randrange(1, 9_000))])
    kinds = (Kind.REST_STALE, Kind.REST_SLOW, Kind.REST_LATE)
    amount = dice.randrange(1, 9_000)
    rules = [Rule(dice.choice(kinds), times=dice.randrange(1, 3), amount=amount)]
    if dice.random() < 0.6:
        delay = dice.randrange(1, 3_000)
        rules.append(Rule(Kind.DELAY, message=dice.randrange(1, 30), amount=delay))
    if dice.random() < 0.5:
        rules.append(Rule(Kind.DROP, message=_somewhere(venue, dice)))
    return Case(rules)


def unknown_ids(venue: str, dice: random.Random) -> Case:
    return Case([Rule(Kind.CORRUPT, message=_somewhere(venue, dice), holds='"match"', part="id")])


def plain(venue: str, dice: random.Random) -> Case:
    """Nothing goes wrong: partial fills, amendments, lost places, icebergs, self-trades."""
    return Case([], {"rate": 400})


def unreadable(venue: str, dice: random.Random) -> Case:
    kind = dice.choice((Kind.GARBLE, Kind.TRUNCATE))
    return Case(_on_first(Rule(kind, every=250, times=3)))


def huge(venue: str, dice: random.Random) -> Case:
    return Case([Rule(Kind.OVERSIZE, connection=1, message=_somewhere(venue, dice))])


def skewed(venue: str, dice: random.Random) -> Case:
    at = dice.randrange(2, 9) * SECOND
    by = dice.choice((-3_600, -5, 5, 600)) * SECOND
    constant = dice.choice((-5, 0, 5)) * SECOND
    if dice.random() < 0.4:
        return Case([Rule(Kind.DROP, message=200)], {"skew": lambda _: constant})
    return Case([], {"skew": lambda now: by if now - START_NS > at else 0})


def banned(venue: str, dice: random.Random) -> Case:
    seconds = dice.choice((-1, 1, 3, 7))
    status = dice.choice((429, 429, 418))
    times = dice.randrange(1, 4)
    rule = Rule(Kind.REST_STATUS, amount=status, retry_after=seconds, times=times)

    def patient(world: World) -> list[str]:
        wrong = []
        for (at, _, found), (then, _, _) in zip(world.requests, world.requests[1:], strict=False):
            if found == 429 and seconds > 0 and then - at < seconds * SECOND * 9 // 10:
                wrong.append(f"asked again {(then - at) // MS} ms after a ban of {seconds} s")
        return wrong

    return Case([rule], after=patient)


def broken_answers(venue: str, dice: random.Random) -> Case:
    kinds = (Kind.REST_TRUNCATED, Kind.REST_LENGTH, Kind.REST_GARBLED, Kind.REST_SILENT)
    rules = [Rule(dice.choice(kinds), times=dice.randrange(1, 3))]
    if dice.random() < 0.7:
        rules.append(
            Rule(Kind.REST_STATUS, amount=dice.choice((500, 502, 503)), times=dice.randrange(1, 7))
        )
    return Case(rules)


def refused_keys(venue: str, dice: random.Random) -> Case:
    if dice.random() < 0.2:  # over REST alone
        return Case([Rule(Kind.REST_STATUS, amount=401)], ends=StreamState.FAILED)
    wrong = [
        Credentials("another-key", CREDENTIALS.secret, CREDENTIALS.passphrase),
        Credentials(CREDENTIALS.key, "YW5vdGhlcg==", CREDENTIALS.passphrase),
        Credentials(CREDENTIALS.key, CREDENTIALS.secret, "another"),
        CREDENTIALS,
    ]
    options: dict[str, Any] = {"credentials": dice.choice(wrong)}
    if options["credentials"] is CREDENTIALS:
        # A clock that is set right: 30 s between two tries, however often the venue is asked.
        options["skew"] = lambda now: -40 * SECOND if now - START_NS < 40 * SECOND else 0

    def calm(world: World) -> list[str]:
        seen = world.stream.connects
        return [f"{seen} connections with keys that are refused"] if seen > most else []

    right_later = "skew" in options
    most, ends = (3, StreamState.LIVE) if right_later else (1, StreamState.FAILED)
    return Case([], options, ends=ends, after=calm)


def unreachable(venue: str, dice: random.Random) -> Case:
    """The connection is lost, and the next ones are not taken."""
    rules = [Rule(Kind.RESET, connection=1, message=_somewhere(venue, dice))]
    rules += [Rule(Kind.REFUSE, connection=n) for n in range(2, dice.randrange(3, 7))]
    return Case(rules)


def maintenance(venue: str, dice: random.Random) -> Case:
    begin = _somewhere(venue, dice)
    if venue == "coinbase":
        rules = [Rule(Kind.AUCTION, message=begin), Rule(Kind.DROP, message=begin + 1)]
        rules.append(Rule(Kind.AUCTION_ENDED, message=begin + dice.randrange(100, 900)))
        return Case(rules)
    begin_s, lasts_s = dice.uniform(1, 8), dice.choice((0.5, 5, 30, 119, 130))
    acts = [(begin_s, Kind.MAINTENANCE), (begin_s + lasts_s, Kind.MAINTENANCE_ENDED)]
    return Case([], acts=acts)


def delisted(venue: str, dice: random.Random) -> Case:
    """The product is none any more: nothing comes, and the next connection is refused it."""
    return Case([], acts=[(dice.uniform(1, 8), Kind.DELISTED)], ends=StreamState.FAILED)


ROWS: dict[str, tuple[Row, tuple[str, ...]]] = {
    "1 drop mid-snapshot": (mid_snapshot, BOTH),
    "2 drop mid-stream": (mid_stream, BOTH),
    "3 hung": (hung, BOTH),
    "4 heartbeats only": (heartbeats_only, BOTH),
    "5 gap": (gaps, BOTH),
    "6 duplicates": (duplicates, BOTH),
    "7 reordered": (reordered, BOTH),
    "8 renumbered": (renumbered, BOTH),
    "9 checksum lie": (checksum_lies, ("bitfinex",)),
    "10 silent divergence": (silent_divergence, BOTH),
    "11 snapshot apart": (snapshot_and_stream_apart, BOTH),
    "12 unknown ids": (unknown_ids, ("coinbase",)),
    "13 nothing wrong": (plain, BOTH),
    "14 unreadable": (unreadable, BOTH),
    "15 huge": (huge, BOTH),
    "17 clocks": (skewed, BOTH),
    "18 banned": (banned, ("coinbase",)),
    "19 broken answers": (broken_answers, ("coinbase",)),
    "20 refused keys": (refused_keys, ("coinbase",)),
    "21 unreachable": (unreachable, BOTH),
    "maintenance": (maintenance, BOTH),
    "delisted": (delisted, BOTH),
}
"""Number and name in the matrix: the row and the venues it is about."""


_last: list[World] = []


def last_world() -> World:
    """That of the last try of this process."""
    return _last[-1]


def attempt(name: str, venue: str, seed: int) -> list[str]:
    """One try; what did not hold."""
    row, _ = ROWS[name]
    case = row(venue, random.Random(f"{name} {venue} {seed}"))
    watch = Watch()
    world = World(venue, seed, case.rules, judge=watch, **case.options)
    _last[:] = [world]
    for seconds, kind in case.acts:
        world.at(world.now + int(seconds * SECOND), lambda kind=kind: world.face.perform(kind, 0))
    truth = told_truth(world) if venue == "coinbase" and case.numbers_once else None
    wrong = _settle(world, case)
    wrong += silent_faults(world, watch) if case.silent else watch.wrong
    if case.ends is StreamState.LIVE and not watch.compared:
        wrong.append("no LIVE book was ever compared")
    if venue == "bitfinex":
        world.face.maintenance = True  # nothing more is told: what was heard can be put in order
        # Longer than trades wait for what they met, at half speed where a clock was set back.
        world.run(4)
        wrong += trade_faults(world, watch)
    wrong += (
        tape_faults(world, None if case.silent else truth)
        + gap_faults(world, case.ends)
        + secret_faults(world)
    )
    return wrong + case.after(world)


def _settle(world: World, case: Case) -> list[str]:
    """Ten seconds in which everything goes wrong, then until the stream stands as it must."""
    world.run(max([10.0, *(seconds for seconds, _ in case.acts)]))
    live_since = [world.now]

    def settled() -> bool:
        # A channel whose `subscribed` was lost is given up after a while.
        waits = getattr(world.stream.session, "_early", None)
        muted = world.wire and world.wire.line.muted
        if world.stream.state is not case.ends or muted or waits:
            live_since[0] = world.now
        quiet = not world.plan.log or world.now - world.plan.log[-1].time_ns > SECOND
        if case.silent and world.now - START_NS < SILENT_SECONDS * SECOND:
            return False
        return quiet and world.now - live_since[0] >= SETTLED_SECONDS * SECOND

    if world.run(PATIENCE_SECONDS, settled):
        return []
    state, reason = world.stream.state.value, world.stream.reason
    return [f"{state} ({reason}) after {PATIENCE_SECONDS} s, expected {case.ends.value}"]
