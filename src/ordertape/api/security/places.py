"""Where a request comes from and what it calls the server: this machine, its names, its pages."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from ordertape import limits
from ordertape.settings import Settings

__all__ = ["Places", "client_at", "client_of", "is_local", "is_loopback"]

_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_IPV6_CLIENT_BITS: Final = 64
"""What one customer of a provider has at the least (RFC 6177): its addresses are one client."""


def is_loopback(host: str) -> bool:
    """Whether an address is reached by this machine alone."""
    return host.lower() == "localhost" or _is_loopback_address(host)


def is_local(connection: Scope) -> bool:
    """Whether it came to a loopback address or a Unix socket, and no proxy says it is another's.

    The server's own end counts, not the client's: nobody else can reach that, while the client's
    may be what a proxy told.
    """
    headers = Headers(scope=connection)
    if any(name in headers for name in _FORWARDED):
        return False
    server = connection.get("server")
    return server is not None and (server[1] is None or _is_loopback_address(server[0]))


def client_of(connection: Scope) -> str:
    """Whose rates and connections are counted together; empty for this machine."""
    client = connection.get("client")
    return "" if client is None else client_at(client[0])


@lru_cache(limits.clients_known)
def client_at(host: str) -> str:
    """The same of an address."""
    if _is_loopback_address(host):
        return ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(address), _IPV6_CLIENT_BITS), strict=False))
    return str(address)


class Places:
    """The names that the server goes by, and the pages whose scripts may use it."""

    def __init__(self, settings: Settings) -> None:
        self._names = {"localhost", *filter(None, settings.allowed_hosts.split(","))}
        self._origins = {
            _authority(origin) for origin in settings.allowed_origins.split(",") if origin
        }

    def knows_host(self, connection: Scope) -> bool:
        """Whether the name in ``Host`` is ours.

        A page of another site may have its own name resolve to 127.0.0.1 (DNS rebinding): to the
        browser it then is that site's server.  It can't do so with an address, or our names.
        """
        found = [value for name, value in connection["headers"] if name == b"host"]
        if len(found) != 1:
            return False
        host = _split(f"//{found[0].decode('latin-1')}")
        return host is not None and (host[0] in self._names or _is_address(host[0]))

    def knows_origin(self, connection: Scope) -> bool:
        """Whether no browser sent it, or a page of our own or an allowed one did."""
        headers = Headers(scope=connection)
        origins = headers.getlist("origin")
        if not origins:
            foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
            return not foreign and "sec-purpose" not in headers
        origin = _authority(origins[0]) if len(origins) == 1 else None
        if origin is None:
            return False
        if origin in self._origins:
            return True
        scheme, name, port = origin
        host = _split(f"//{headers.get('host', '')}")
        if host is not None and (name, port) == (host[0], host[1] or _DEFAULT_PORTS[scheme]):
            return True
        # localhost and 127.0.0.1 are the same server to us, and two origins to a browser.
        server = connection.get("server")
        return is_loopback(name) and server is not None and port == server[1]


def _authority(origin: str) -> tuple[str, str, int] | None:
    """(scheme, name, port) of an origin, None where it is none of the web's."""
    scheme, separator, rest = origin.lower().partition("://")
    found = _split(f"//{rest}") if separator and scheme in _DEFAULT_PORTS else None
    return None if found is None else (scheme, found[0], found[1] or _DEFAULT_PORTS[scheme])


def _split(place: str) -> tuple[str, int | None] | None:
    """(name, port) of ``//name:port``, None where it is anything else."""
    try:
        parts = urlsplit(place.lower())
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not name or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return name, port


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _is_loopback_address(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
