"""Where the database is: ``DATABASE_URL`` in the forms people have, else the embedded server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ordertape import limits
from ordertape.database.cluster import Progress
from ordertape.database.embedded import EmbeddedServer
from ordertape.errors import DatabaseError, DatabaseUnavailable, SettingRefused
from ordertape.settings import Settings

__all__ = [
    "OLDEST_VERSION",
    "Address",
    "address_of",
    "connect",
    "errors_of",
    "read_url",
    "sentence",
]

OLDEST_VERSION = 15
_SCHEMES = ("postgresql", "postgres")
_UNREADABLE = (
    "DATABASE_URL can't be read: expected postgresql://user:password@host:5432/name, "
    "where a password's @ is written %40, its / %2F, its : %3A and its % %25"
)
_SSL_OF_ASYNCPG = {"true": "require", "false": "disable"}


@dataclass(frozen=True)
class Address:
    """A server and the schema of our tables in it; ``embedded`` where it is ours to start."""

    schema: str
    url: str | None = None
    embedded: EmbeddedServer | None = None

    @property
    def shown(self) -> str:
        """As sentences name it, without a password."""
        if self.embedded is not None:
            return f"the embedded PostgreSQL in {self.embedded.folder}"
        parts = conninfo_to_dict(self.url or "")
        port = f":{parts['port']}" if parts.get("port") else ""
        return f"PostgreSQL at {parts.get('host', 'localhost')}{port}, {parts.get('dbname', '')}"

    def conninfo(self) -> str:
        """What libpq needs.  Raises DatabaseUnavailable where the embedded server does not run."""
        if self.embedded is not None:
            return self.embedded.conninfo()
        given = conninfo_to_dict(self.url or "")
        probe = limits.database_keepalive_seconds
        ours = {
            "connect_timeout": max(2, limits.database_connect_timeout_ms // 1000),
            "keepalives_idle": probe,
            "keepalives_interval": probe,
            "keepalives_count": 3,
            "tcp_user_timeout": 4 * probe * 1000,
        }
        return make_conninfo(self.url or "", **(ours | given))

    def acquire(self, progress: Progress | None = None) -> None:
        """Starts the embedded server, or attaches to it; nothing to do for another one."""
        if self.embedded is not None:
            self.embedded.acquire(progress)

    def ensure(self, progress: Progress | None = None) -> None:
        """Starts an acquired embedded server again where it was killed."""
        if self.embedded is not None:
            self.embedded.ensure(progress)

    def release(self) -> None:
        """Lets the embedded server go, as often as it was acquired."""
        if self.embedded is not None:
            self.embedded.release()


def address_of(settings: Settings) -> Address:
    """What the settings say.  Raises SettingRefused."""
    if settings.database_url is None:
        return Address(settings.database_schema, embedded=EmbeddedServer(settings.data))
    return Address(settings.database_schema, url=read_url(settings.database_url))


def read_url(text: str) -> str:
    """A URL for libpq of postgresql://…, postgres://… or postgresql+driver://…

    Raises SettingRefused; no password is in its text.
    """
    try:
        parts = urlsplit(text.strip())
    except ValueError:
        raise SettingRefused(_UNREADABLE) from None
    scheme, _, driver = parts.scheme.partition("+")
    if scheme not in _SCHEMES or not text.strip()[len(parts.scheme) :].startswith("://"):
        shown = f"{parts.scheme}:…" if parts.scheme else "something else"
        raise SettingRefused(
            f"DATABASE_URL begins with {shown}: expected postgresql://user:password@host:5432/name"
        )
    query = parts.query
    if driver:
        # What asyncpg calls ssl is sslmode to everybody else.
        options = dict(parse_qsl(query, keep_blank_values=True))
        if (ssl := options.pop("ssl", None)) is not None:
            options["sslmode"] = _SSL_OF_ASYNCPG.get(ssl, ssl)
        query = urlencode(options)
    url = urlunsplit(("postgresql", parts.netloc, parts.path, query, ""))
    if not parts.netloc:
        url = url.replace("postgresql:", "postgresql://", 1) if "//" not in url else url
    try:
        read = conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # whose text may hold a part of the password
        raise SettingRefused(_UNREADABLE) from None
    # A password's own @ or / makes the rest of it look like a host or a name.
    if any("@" in str(read.get(part, "")) for part in ("host", "dbname", "port")):
        raise SettingRefused(_UNREADABLE)
    return url


def connect(
    address: Address, *, name: str = "ordertape", timeout_ms: int | None = None
) -> psycopg.Connection:
    """A connection in autocommit mode, our schema alone on its search path.

    ``timeout_ms``: to be let in, in whole seconds, 2 at least (libpq's least).
    Raises DatabaseUnavailable, DatabaseError.
    """
    info = address.conninfo()
    if timeout_ms is not None:
        info = make_conninfo(info, connect_timeout=max(2, timeout_ms // 1000))
    with errors_of(address):
        connection = psycopg.connect(
            info, autocommit=True, application_name=name, prepare_threshold=None
        )
    version = connection.info.server_version // 10_000
    if version < OLDEST_VERSION:
        connection.close()
        raise DatabaseError(
            f"{address.shown} is version {version}, expected {OLDEST_VERSION} or newer"
        )
    # Our names are said without the schema; compiling queries costs more than it saves here.
    with errors_of(address):
        connection.execute(
            "SELECT set_config('search_path', %s, false), set_config('timezone', 'UTC', false), "
            "set_config('jit', 'off', false)",
            (address.schema,),
        )
    return connection


@contextmanager
def errors_of(address: Address, timeout_ms: int | None = None) -> Iterator[None]:
    """Inside, an error of the driver is ours, in one sentence that names the server.

    DatabaseUnavailable where the connection ended or may be asked again, else DatabaseError.
    ``timeout_ms``: after which a statement is canceled; one that was would be so again.
    """
    try:
        yield
    except psycopg.Error as error:
        if timeout_ms is not None and isinstance(error, psycopg.errors.QueryCanceled):
            raise DatabaseError(
                f"{address.shown}: the query took longer than {timeout_ms} ms and was canceled: "
                "ask for less"
            ) from None
        away = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        kind = DatabaseUnavailable if away else DatabaseError
        raise kind(f"{address.shown}: {sentence(error)}") from None


def sentence(error: psycopg.Error) -> str:
    """What the server or libpq said, on one line."""
    primary = error.diag.message_primary
    return " ".join((primary or str(error)).split())
