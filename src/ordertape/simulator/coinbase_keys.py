"""Who may read: the signatures of Coinbase Exchange, really verified.

Source: docs.cdp.coinbase.com/exchange, "REST authentication" and "WebSocket authentication": the
signature is the base64 of HMAC-SHA256 over timestamp, method, path with query, and body, with the
base64-decoded secret; the timestamp is seconds since 1970 and may be 30 s off.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

__all__ = ["DEMO_KEYS", "Keys", "signature"]

CLOCK_SECONDS_MAX: Final = 30
"""How far a timestamp may be from the venue's clock."""
_TIMESTAMP: Final = re.compile(r"\d{1,12}(\.\d{1,9})?")


@dataclass(frozen=True)
class Keys:
    """A client's credentials; ``secret`` is base64."""

    key: str
    secret: str
    passphrase: str

    def __repr__(self) -> str:
        return f"Keys({self.key!r}, …)"

    def refusal(
        self,
        given: tuple[str, str, str, str],
        request: tuple[str, str, str],
        now_ns: int,
    ) -> str | None:
        """Why (key, passphrase, timestamp, signature) don't open (method, path, body); None where
        they do."""
        key, passphrase, timestamp, signed = given
        if not hmac.compare_digest(key.encode(), self.key.encode()):
            return "Invalid API Key"
        if not _TIMESTAMP.fullmatch(timestamp):
            return "invalid timestamp"
        if abs(int(timestamp.partition(".")[0]) - now_ns // 10**9) > CLOCK_SECONDS_MAX:
            return "request timestamp expired"
        expected = signature(self.secret, timestamp, *request)
        if not hmac.compare_digest(signed.encode(), expected.encode()):
            return "invalid signature"
        if not hmac.compare_digest(passphrase.encode(), self.passphrase.encode()):
            return "Invalid Passphrase"
        return None


DEMO_KEYS: Final = Keys(
    key="demo-key-of-the-simulated-coinbase",
    secret=base64.b64encode(b"demo secret of the simulated coinbase, opens nothing").decode(),
    passphrase="demo-passphrase",  # noqa: S106 - opens nothing
)
"""What a simulated Coinbase accepts where nothing else is said; no real venue ever does."""


def signature(secret: str, timestamp: str, method: str, path: str, body: str = "") -> str:
    """ValueError where the secret is no base64."""
    try:
        key = base64.b64decode(secret, validate=True)
    except binascii.Error as error:
        raise ValueError(f"expected a base64 secret: {error}") from None
    text = f"{timestamp}{method}{path}{body}"
    return base64.b64encode(hmac.digest(key, text.encode(), hashlib.sha256)).decode()
