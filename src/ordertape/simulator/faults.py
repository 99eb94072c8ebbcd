"""A fault plan: what happens on the way from a simulated venue to its clients.

Pure: no socket and no clock.  A `FaultPlan` decides by its seed, the number of the connection and
the number of the message alone, so that the same plan does the same on sockets and in a virtual
clock.  What it did stands in its ``log``, with the venue's numbers of what was lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ordertape.simulator.draws import Draws
from ordertape.simulator.faults_rules import REST_KINDS, Kind, Rule

__all__ = ["LOSING", "FaultPlan", "Injected", "RestFault", "Wire"]

LOSING: Final = frozenset(
    {
        Kind.DROP,
        Kind.CORRUPT,
        Kind.TRUNCATE,
        Kind.GARBLE,
        Kind.HEARTBEATS_ONLY,
        Kind.HANG,
        Kind.CLOSE,
        Kind.CUT,
        Kind.RESET,
    }
)
"""After these a client lacks something that was sent."""


@dataclass(frozen=True)
class Wire:
    """What a plan must know of a venue's texts."""

    sequence: re.Pattern[bytes]
    """Group 1: the venue's number of the text."""
    heartbeat: re.Pattern[bytes]
    """Texts that say only that the venue lives; answers to requests count as such."""
    checksum: re.Pattern[bytes] | None
    """Group 1: the checksum."""
    parts: Mapping[str, re.Pattern[bytes]] = field(default_factory=dict)
    """By the name of a rule's ``part``, group 1 is what to spoil."""

    def number(self, text: bytes) -> int | None:
        found = self.sequence.search(text)
        return int(found[1]) if found else None


@dataclass(slots=True)
class Injected:
    """One fault that happened.  ``first`` to ``last`` are the venue's numbers it hit, None where
    the texts had none; ``last`` grows while more is lost."""

    kind: Kind
    connection: int
    """0 for REST: then ``message`` is the number of the request."""
    message: int
    time_ns: int
    first: int | None = None
    last: int | None = None
    texts: int = 0
    """Texts that were lost, spoilt or sent again."""
    detail: str = ""
    until_ns: int = 0
    """When the last of them was sent."""

    def hit(self, number: int | None, now_ns: int) -> None:
        self.texts += 1
        self.until_ns = now_ns
        if number is not None:
            self.first = number if self.first is None else min(self.first, number)
            self.last = number if self.last is None else max(self.last, number)

    @property
    def loses(self) -> bool:
        """Whether a client lacks something after it."""
        return self.kind in LOSING and (self.texts > 0 or self.kind is not Kind.HANG)


class RestFault(NamedTuple):
    """What happens to one REST request; ``amount`` as in the rule, drawn where that was 0."""

    kind: Kind
    amount: int
    retry_after: int
    draws: Draws

    @property
    def answer_delay_ns(self) -> int:
        return self.amount * 1_000_000 if self.kind in (Kind.REST_SLOW, Kind.REST_LATE) else 0


class FaultPlan:
    """Rules and a seed.  The log of one plan is that of all its connections and requests."""

    def __init__(self, seed: int, rules: Sequence[Rule] = ()) -> None:
        self.seed, self.rules = seed, tuple(rules)
        self.log: list[Injected] = []
        self.connections = self.requests = 0
        self._rest = [_Trigger(rule, seed, 0, nth) for nth, rule in self._of(REST_KINDS)]

    def _of(self, kinds: frozenset[Kind]) -> list[tuple[int, Rule]]:
        return [(nth, rule) for nth, rule in enumerate(self.rules) if rule.kind in kinds]

    def connect(self) -> int:
        """The number of a connection that a client asks for now."""
        self.connections += 1
        return self.connections

    def refuses(self, connection: int, now_ns: int) -> bool:
        """Whether this connection is not taken."""
        for nth, rule in self._of(frozenset({Kind.REFUSE})):
            if rule.connection in (0, connection):
                trigger = _Trigger(rule, self.seed, connection, nth)
                if trigger.fires(connection, b"", anywhere=True):
                    self.log.append(Injected(Kind.REFUSE, connection, 0, now_ns))
                    return True
        return False

    def triggers(self, connection: int) -> list[_Trigger]:
        """Of the rules that are about a connection's texts."""
        return [
            _Trigger(rule, self.seed, connection, nth)
            for nth, rule in enumerate(self.rules)
            if rule.kind not in REST_KINDS
            and rule.kind is not Kind.REFUSE
            and rule.connection in (0, connection)
        ]

    def request(self, path: str, now_ns: int) -> RestFault | None:
        """What happens to the next REST request."""
        self.requests += 1
        for trigger in self._rest:
            if trigger.fires(self.requests, path.encode()):
                rule = trigger.rule
                draws = Draws(f"{self.seed} request {self.requests}")
                amount = rule.amount or _drawn_rest(rule.kind, draws)
                detail = f"{path} {amount}"
                self.log.append(
                    Injected(rule.kind, 0, self.requests, now_ns, texts=1, detail=detail)
                )
                return RestFault(rule.kind, amount, rule.retry_after, draws)
        return None

    def losses(self) -> list[Injected]:
        """The faults after which a client lacked something."""
        return [injected for injected in self.log if injected.loses]


class _Trigger:
    """When one rule happens on one connection."""

    def __init__(self, rule: Rule, seed: int, connection: int, nth: int) -> None:
        self.rule = rule
        self._holds = rule.holds.encode()
        self._left = rule.most
        # A stream of draws a rule, so that a rule more does not move the others.
        self._below = Draws(f"{seed} fault {nth} connection {connection}").below

    def fires(self, message: int, text: bytes, *, anywhere: bool = False) -> bool:
        """To be asked once for each text, in their order."""
        rule = self.rule
        drawn = not rule.every or self._below(rule.every) == 0
        if not drawn or not self._left or message < rule.message:
            return False
        if self._holds and self._holds not in text and not anywhere:
            return False
        self._left -= 1
        return True


def _drawn_rest(kind: Kind, draws: Draws) -> int:
    if kind in (Kind.REST_SLOW, Kind.REST_LATE):
        return 1 + draws.below(30_000)
    if kind is Kind.REST_STATUS:
        return 500
    return 1 + draws.below(1_000)
