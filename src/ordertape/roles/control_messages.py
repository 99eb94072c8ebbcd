"""What travels on a control socket: JSON, a message a line.

Requests (``start``, ``stop``, ``status``, ``shutdown``) get an ``answer`` or a ``refusal`` with
their ``id``; ``hello`` comes first, ``reports`` once a second, and a ``watermark`` a stream
whenever it went on.  Events never travel here: the journal is the data plane.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from ordertape import errors
from ordertape.errors import OrdertapeError
from ordertape.roles.status import StreamReport

__all__ = [
    "Answer",
    "Hello",
    "Message",
    "Refusal",
    "Reports",
    "Request",
    "Shutdown",
    "Start",
    "Status",
    "Stop",
    "Watermark",
    "encode_line",
    "read_message",
    "read_request",
]


class Start(msgspec.Struct, kw_only=True, tag="start", tag_field="type"):
    """Run this market's stream, in any usual form; running already: nothing changes."""

    id: int = 0
    symbol: str
    persist: bool = True
    snapshot_interval_seconds: int | None = None


class Stop(msgspec.Struct, kw_only=True, tag="stop", tag_field="type"):
    """End this market's stream; answered when it is STOPPED and its tape durable."""

    id: int = 0
    symbol: str


class Status(msgspec.Struct, kw_only=True, tag="status", tag_field="type"):
    """Tell every stream."""

    id: int = 0


class Shutdown(msgspec.Struct, kw_only=True, tag="shutdown", tag_field="type"):
    """End the collector; its streams stay wanted."""

    id: int = 0


Request: TypeAlias = Start | Stop | Status | Shutdown


class Hello(msgspec.Struct, kw_only=True, tag="hello", tag_field="type"):
    """Who answers on this socket."""

    exchange: str
    pid: int
    simulated: bool = False


class Answer(msgspec.Struct, kw_only=True, tag="answer", tag_field="type"):
    """What a request led to: the streams it was about."""

    id: int
    streams: list[StreamReport]


class Refusal(msgspec.Struct, kw_only=True, tag="refusal", tag_field="type"):
    """Why a request led to nothing: the name of one of our errors, and its sentence."""

    id: int
    kind: str
    text: str

    @classmethod
    def of(cls, request: int, error: OrdertapeError | OSError) -> Refusal:
        kind = "TapeError" if isinstance(error, OSError) else type(error).__name__
        return cls(id=request, kind=kind, text=str(error))

    def error(self) -> OrdertapeError:
        """The error to raise on this side; those made of one sentence keep their kind."""
        kind = getattr(errors, self.kind, None)
        if kind in (errors.NumberRefused, errors.BadFile) or not isinstance(kind, type):
            return OrdertapeError(self.text)
        found = kind(self.text)
        return found if isinstance(found, OrdertapeError) else OrdertapeError(self.text)


class Reports(msgspec.Struct, kw_only=True, tag="reports", tag_field="type"):
    """Every stream of the collector; one that is not among them is no stream of it any more."""

    streams: list[StreamReport]


class Watermark(msgspec.Struct, kw_only=True, tag="watermark", tag_field="type"):
    """How far a stream has come; the last events written and durable, ns of the last frame."""

    symbol: str
    state: str
    reason: str
    era: int
    written_seq: int
    durable_seq: int
    last_frame_at: int | None = None


Message: TypeAlias = Hello | Answer | Refusal | Reports | Watermark

_encoder = msgspec.json.Encoder()
_requests = msgspec.json.Decoder(Request)
_messages = msgspec.json.Decoder(Message)


def encode_line(message: Message | Request) -> bytes:
    return _encoder.encode(message) + b"\n"


def read_request(line: bytes) -> Request:
    """Raises msgspec.MsgspecError, UnicodeDecodeError."""
    request: Request = _requests.decode(line)
    return request


def read_message(line: bytes) -> Message:
    """Raises msgspec.MsgspecError, UnicodeDecodeError."""
    message: Message = _messages.decode(line)
    return message
