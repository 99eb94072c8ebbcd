"""What a fault plan makes of one REST answer, for sockets and a virtual clock alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from ordertape.simulator.faces import Answer
from ordertape.simulator.faults import RestFault
from ordertape.simulator.faults_rules import Kind

__all__ = ["Arrival", "arrival", "made_after_ns", "sent_after_ns"]

_MESSAGES: Final = {
    401: "invalid signature",
    403: "Forbidden",
    418: "banned",
    429: "Public rate limit exceeded",
    500: "Internal server error",
    503: "ServiceUnavailable",
}


class Arrival(NamedTuple):
    """What reaches the client.  ``promised``: the length its header names; a body that is shorter
    ends with its connection.  ``status`` 0: nothing ever comes."""

    status: int
    headers: dict[str, str]
    body: bytes
    promised: int

    @property
    def whole(self) -> bool:
        return self.status != 0 and len(self.body) == self.promised


def made_after_ns(fault: RestFault | None) -> int:
    """How long after the request the venue makes its answer."""
    return fault.answer_delay_ns if fault and fault.kind is Kind.REST_LATE else 0


def sent_after_ns(fault: RestFault | None) -> int:
    """How long after the request the answer is sent."""
    return fault.answer_delay_ns if fault else 0


def arrival(fault: RestFault | None, make: Callable[[bool], Answer]) -> Arrival:
    """``make`` (whether a whole book shall be stale) gives the venue's true answer."""
    if fault is None or fault.kind in (Kind.REST_SLOW, Kind.REST_LATE):
        return _whole(make(False))
    kind, amount = fault.kind, fault.amount
    if kind is Kind.REST_SILENT:
        return Arrival(0, {}, b"", 0)
    if kind is Kind.REST_STATUS:
        body = msgspec.json.encode({"message": _MESSAGES.get(amount, "error")})
        named = {"Retry-After": str(fault.retry_after)} if fault.retry_after >= 0 else {}
        return _whole(Answer(amount, body, named))
    answer = make(kind is Kind.REST_STALE)
    body = answer.body
    if kind is Kind.REST_TRUNCATED:
        cut = amount % max(1, len(body))
        return Arrival(answer.status, answer.headers, body[:cut], len(body))
    if kind is Kind.REST_LENGTH:
        return Arrival(answer.status, answer.headers, body, len(body) + amount)
    if kind is Kind.REST_GARBLED and body:
        spoilt = bytearray(body)
        spoilt[0] = 0x21
        for _ in range(16):
            spoilt[fault.draws.below(len(spoilt))] = fault.draws.bits(8)
        answer = Answer(answer.status, bytes(spoilt), answer.headers)
    return _whole(answer)


def _whole(answer: Answer) -> Arrival:
    return Arrival(answer.status, answer.headers, answer.body, len(answer.body))
