"""How Coinbase Exchange is told who asks: HMAC-SHA256 over what is asked and when.

Source: docs.cdp.coinbase.com, exchange, "websocket-feed/authentication" and
"rest-api/authentication".  The key needs the permission "View" alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

from ordertape.settings import Credentials
from ordertape.times import NS_PER_SECOND

__all__ = ["request_headers", "signature", "subscribe_fields"]

_FEED_PATH: Final = "/users/self/verify"
"""What a subscription signs in the place of a path."""


def signature(secret: str, timestamp: str, method: str, path: str, body: str = "") -> str:
    """Base64 of the HMAC of timestamp, method, path (its query included) and body."""
    message = f"{timestamp}{method}{path}{body}".encode()
    digest = hmac.new(base64.b64decode(secret), message, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def subscribe_fields(credentials: Credentials, now: int) -> dict[str, str]:
    """The fields that a `subscribe` message needs besides; ``now`` in ns since 1970."""
    timestamp = str(now // NS_PER_SECOND)
    return {
        "key": credentials.key,
        "passphrase": credentials.passphrase,
        "timestamp": timestamp,
        "signature": signature(credentials.secret, timestamp, "GET", _FEED_PATH),
    }


def request_headers(credentials: Credentials, now: int, path: str) -> dict[str, str]:
    """The headers of a GET of ``path``; ``now`` in ns since 1970."""
    timestamp = str(now // NS_PER_SECOND)
    return {
        "CB-ACCESS-KEY": credentials.key,
        "CB-ACCESS-SIGN": signature(credentials.secret, timestamp, "GET", path),
        "CB-ACCESS-TIMESTAMP": timestamp,
        "CB-ACCESS-PASSPHRASE": credentials.passphrase,
    }
