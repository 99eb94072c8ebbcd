"""The way of one client's texts under a fault plan.

A `FaultyLine` stands between a face's connection and whoever carries texts: sockets, or a virtual
clock.  It says what arrives, and when; the carrier does it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

from ordertape.simulator.draws import Draws
from ordertape.simulator.faults import FaultPlan, Injected, Wire
from ordertape.simulator.faults_rules import VENUE_KINDS, Kind, Rule

__all__ = ["Act", "Delivery", "FaultyLine"]

_MS: Final = 1_000_000
_REPLAYED_MAX: Final = 100
"""Texts that a duplicate may repeat."""
_OVERSIZE_BYTES: Final = 65 * 2**20
"""More than any client should take."""


class Act(Enum):
    """What a carrier does at a time."""

    TEXT = "text"
    CLOSE = "close"
    """Ends the connection with a close frame of code ``number``."""
    CUT = "cut"
    """Sends ``number`` bytes of the text's frame, then ends the connection."""
    RESET = "reset"


class Delivery(NamedTuple):
    """Times never decrease on one line."""

    at_ns: int
    act: Act
    text: bytes = b""
    number: int = 0


class FaultyLine:
    """One connection.  ``deliver`` gets what arrives; ``perform`` what the venue itself does
    (a kind of VENUE_KINDS and its amount); ``now`` tells the venue's time."""

    def __init__(
        self,
        plan: FaultPlan,
        number: int,
        wire: Wire,
        now: Callable[[], int],
        deliver: Callable[[Delivery], None],
        perform: Callable[[Kind, int], None],
    ) -> None:
        self.number = number
        self.messages = 0
        self._plan, self._wire = plan, wire
        self._now, self._deliver, self._perform = now, deliver, perform
        self._triggers = plan.triggers(number)
        self._sent: deque[bytes] = deque(maxlen=_REPLAYED_MAX)
        self._not_before = 0
        self._held: list[bytes] = []
        self._hold = 0
        self._dropping = 0
        self._muted: Injected | None = None
        self._muted_until = 0
        self.ended = False
        """It was closed, cut or reset by the plan: nothing more is sent."""

    @property
    def hung(self) -> bool:
        """Whether nothing comes any more on an open connection."""
        return self._muted is not None and self._muted.kind is Kind.HANG

    @property
    def muted(self) -> bool:
        """Whether texts are being lost just now."""
        return self._muted is not None

    def send(self, text: bytes) -> None:
        """The venue sends a text."""
        self.messages += 1
        now_ns = self._now()
        fired = None
        for trigger in self._triggers:
            if trigger.fires(self.messages, text) and fired is None:
                fired = trigger.rule
        if self._silenced(text, now_ns):
            return
        if fired is None:
            self._pass(text, now_ns)
        else:
            self._inject(fired, text, now_ns)

    # What goes by as it is ------------------------------------------------------------------------

    def _silenced(self, text: bytes, now_ns: int) -> bool:
        muted = self._muted
        if muted is None:
            return self.ended
        if muted.kind is Kind.HEARTBEATS_ONLY:
            if self._muted_until and now_ns >= self._muted_until:
                self._muted = None
                return False
            if self._wire.heartbeat.search(text):
                return False
        muted.hit(self._wire.number(text), now_ns)
        self._dropping -= 1
        if muted.kind is Kind.DROP and self._dropping <= 0:
            self._muted = None
        return True

    def _pass(self, text: bytes, now_ns: int) -> None:
        if self._hold:
            self._held.append(text)
            if len(self._held) >= self._hold:
                self._release(now_ns)
            return
        self._put(text, now_ns)

    def _put(self, text: bytes, now_ns: int) -> None:
        self._sent.append(text)
        self._not_before = at_ns = max(now_ns, self._not_before)
        self._deliver(Delivery(at_ns, Act.TEXT, text))

    def _end(self, act: Act, now_ns: int, text: bytes = b"", number: int = 0) -> None:
        self._deliver(Delivery(max(now_ns, self._not_before), act, text, number))
        self.ended = True

    def _release(self, now_ns: int) -> None:
        """What was collected, in another order than it was sent."""
        held, self._held, self._hold = self._held, [], 0
        draws = Draws(f"{self._plan.seed} {self.number} {self.messages} order")
        order = list(range(len(held)))
        for last in range(len(order) - 1, 0, -1):
            other = draws.below(last + 1)
            order[last], order[other] = order[other], order[last]
        if order == sorted(order):
            order.reverse()
        for nth in order:
            self._put(held[nth], now_ns)

    # What does not --------------------------------------------------------------------------------

    def _inject(self, rule: Rule, text: bytes, now_ns: int) -> None:
        kind = rule.kind
        injected = Injected(kind, self.number, self.messages, now_ns)
        draws = Draws(f"{self._plan.seed} {self.number} {self.messages}")
        amount = rule.amount
        if kind in VENUE_KINDS:
            self._plan.log.append(injected)
            self._pass(text, now_ns)
            self._perform(kind, amount or 1 + draws.below(1_000))
            return
        if kind in (Kind.HANG, Kind.DROP, Kind.HEARTBEATS_ONLY):
            self._mute(injected, amount, text, now_ns)
            return
        if kind in (Kind.CLOSE, Kind.CUT, Kind.RESET):
            self._lose_held(injected, now_ns)
            injected.hit(self._wire.number(text), now_ns)
            self._plan.log.append(injected)
            if kind is Kind.CLOSE:
                self._end(Act.CLOSE, now_ns, number=amount or 1012)
            elif kind is Kind.RESET:
                self._end(Act.RESET, now_ns)
            else:
                self._end(Act.CUT, now_ns, text, amount or 1 + draws.below(len(text)))
            return
        if kind is Kind.REORDER:
            self._hold = self._hold or (max(2, amount) if amount else 2 + draws.below(49))
            injected.detail = f"{self._hold} texts"
            injected.hit(self._wire.number(text), now_ns)
            self._plan.log.append(injected)
            self._pass(text, now_ns)
            return
        if kind is Kind.DELAY:
            ms = amount or 1 + draws.below(3_000)
            injected.detail = f"{ms} ms"
            self._plan.log.append(injected)
            self._not_before = max(self._not_before, now_ns) + ms * _MS
            self._pass(text, now_ns)
            return
        if kind is Kind.DUPLICATE:
            self._repeat(injected, amount or 1 + draws.below(_REPLAYED_MAX), text, now_ns)
            return
        spoilt = self._spoil(rule, text, draws)
        if spoilt != text:
            injected.hit(self._wire.number(text), now_ns)
            self._plan.log.append(injected)
        self._pass(spoilt, now_ns)

    def _mute(self, injected: Injected, amount: int, text: bytes, now_ns: int) -> None:
        self._lose_held(injected, now_ns)
        self._plan.log.append(injected)
        self._muted = injected
        self._dropping = max(1, amount)
        if injected.kind is Kind.HEARTBEATS_ONLY:
            self._muted_until = now_ns + amount * _MS if amount else 0
        if not self._silenced(text, now_ns):
            self._pass(text, now_ns)

    def _lose_held(self, injected: Injected, now_ns: int) -> None:
        """What was collected to be reordered never comes."""
        for text in self._held:
            injected.hit(self._wire.number(text), now_ns)
        self._held, self._hold = [], 0

    def _repeat(self, injected: Injected, count: int, text: bytes, now_ns: int) -> None:
        self._plan.log.append(injected)
        self._pass(text, now_ns)
        for again in list(self._sent)[-count:]:
            injected.hit(self._wire.number(again), now_ns)
            self._not_before = max(now_ns, self._not_before)
            self._deliver(Delivery(self._not_before, Act.TEXT, again))

    def _spoil(self, rule: Rule, text: bytes, draws: Draws) -> bytes:
        kind, spoilt = rule.kind, bytearray(text)
        if kind is Kind.TRUNCATE:
            return text[: rule.amount or draws.below(len(text))]
        if kind is Kind.OVERSIZE:
            return text + b" " * (rule.amount or _OVERSIZE_BYTES)
        if kind is Kind.GARBLE:
            # The first bracket goes as well: what happens to be JSON still would be a corrupt text.
            spoilt[0] = 0x21 + draws.below(32)
            for _ in range(1 + draws.below(8)):
                spoilt[draws.below(len(spoilt))] = draws.bits(8)
            return bytes(spoilt)
        if kind is Kind.CHECKSUM_LIE:
            found = self._wire.checksum and self._wire.checksum.search(text)
            if not found:
                return text
            lie = str(int(found[1]) ^ (1 + draws.below(1 << 30))).encode()
            return text[: found.start(1)] + lie + text[found.end(1) :]
        begin, end = 0, len(text)
        if rule.part:
            found = self._wire.parts[rule.part].search(text)
            if not found:
                return text
            begin, end = found.span(1)
        digits = [at for at in range(begin, end) if spoilt[at] in b"0123456789"]
        if digits:
            at = digits[draws.below(len(digits))]
            spoilt[at] = 0x30 + (spoilt[at] - 0x30 + 1 + draws.below(9)) % 10
        return bytes(spoilt)
