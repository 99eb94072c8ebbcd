"""One market's life: state machine, sync, integrity.  No sockets: bytes in, texts out."""

from ordertape.stream.integrity import Integrity
from ordertape.stream.market import MarketStream, Step, Wish
from ordertape.stream.quarantine import Quarantine
from ordertape.stream.record import Recovered, Sink
from ordertape.stream.state import StreamState

__all__ = [
    "Integrity",
    "MarketStream",
    "Quarantine",
    "Recovered",
    "Sink",
    "Step",
    "StreamState",
    "Wish",
]
