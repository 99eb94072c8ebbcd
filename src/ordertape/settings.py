"""Settings from the environment and from ``.env`` in the working folder; the environment wins.

An empty value is an unset one, also where ``.env`` has another: so can a process do without what
stands there.  A value that can't be used raises :class:`SettingRefused` in one
sentence that names the setting, what was found and what was expected; so does a ``.env`` with a
secret in it that other accounts may read.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from ordertape import limits
from ordertape.errors import SettingRefused

__all__ = ["Credentials", "Settings", "as_environment", "described", "load_settings"]

_FILE: Final = ".env"


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What a venue lets us in with; no text of ours shows it."""

    key: str
    secret: str
    passphrase: str

    def __repr__(self) -> str:
        return "Credentials(…)"

    def hidden(self, text: str) -> str:
        """A text from outside without them, should it repeat what it was sent."""
        return self.hidden_in(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")

    def hidden_in(self, text: bytes) -> bytes:
        """The same for bytes."""
        for value in (self.secret, self.passphrase, self.key):
            if value.encode() in text:
                text = text.replace(value.encode(), "…".encode())
        return text


def _address(schemes: tuple[str, ...], example: str) -> AfterValidator:
    """A validator of URLs with one of these schemes and a host."""

    def check(value: str) -> str:
        try:
            parts = urlsplit(value)
            usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise PydanticCustomError(
                "address", "expected an address like {example}", {"example": example}
            )
        return value.rstrip("/")

    return AfterValidator(check)


SocketAddress = Annotated[str, _address(("ws", "wss"), "wss://api-pub.bitfinex.com/ws/2")]
WebAddress = Annotated[str, _address(("http", "https"), "https://api-pub.bitfinex.com")]


def _check_schema(value: str) -> str:
    """A name that needs no quotes in SQL and is none of PostgreSQL's own."""
    if not re.fullmatch(r"(?!pg_)[a-z_][a-z0-9_]{0,62}", value) or value == "information_schema":
        raise PydanticCustomError("schema", "expected a name like otc_analysis")
    return value


SchemaName = Annotated[str, AfterValidator(_check_schema)]


def _list_of(kind: str, pattern: str, example: str) -> AfterValidator:
    """A validator of texts with commas between them, written in lower case and without blanks."""

    def check(value: str) -> str:
        found = [part.strip().lower() for part in value.split(",") if part.strip()]
        if any(re.fullmatch(pattern, part) is None for part in found):
            raise PydanticCustomError(
                kind, "expected texts like {example}, commas between", {"example": example}
            )
        return ",".join(found)

    return AfterValidator(check)


NameList = Annotated[str, _list_of("names", r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", "tape.example.org")]
OriginList = Annotated[
    str,
    _list_of(
        "origins", r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:\d{1,5})?", "https://example.org"
    ),
]


def _check_webhooks(value: SecretStr) -> SecretStr:
    """Addresses may hold a key of their own: no text of ours shows them."""
    for part in value.get_secret_value().split():
        name, _, url = part.partition("=")
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if re.fullmatch(r"[a-z0-9_-]{1,32}", name) is None or not usable:
            raise PydanticCustomError(
                "webhooks", "expected texts like ops=https://example.org/hook, blanks between"
            )
    return value


Webhooks = Annotated[SecretStr, AfterValidator(_check_webhooks)]


class _EnvFile(DotEnvSettingsSource):
    """``.env`` without what the environment sets, be it to nothing."""

    def __call__(self) -> dict[str, Any]:
        _refuse_open_secrets(self.env_vars)
        said = {name.upper() for name in os.environ}
        return {name: value for name, value in super().__call__().items() if name not in said}


def _refuse_open_secrets(held: Mapping[str, str | None]) -> None:
    """Raises SettingRefused where ``.env`` holds secrets and is open to other accounts.

    ``held``: what it sets, by names in lower case; what the environment unsets lies open, too.
    """
    try:
        mode = Path(_FILE).stat().st_mode
    except OSError:
        return
    names = [name for name in sorted(_secrets()) if name.isupper() and held.get(name.lower())]
    if _has_password(held.get("database_url") or ""):
        names.append("DATABASE_URL")
    if names and mode & 0o077:
        raise SettingRefused(
            f"{_FILE} holds {names[0]} and is open to other accounts: `chmod 600 {_FILE}` closes it"
        )


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.password) or "password=" in parts.query


class Settings(BaseSettings):
    """Every setting, one line of meaning each; the alias is its name in the environment."""

    model_config = SettingsConfigDict(
        env_file=_FILE,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=False,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - replaced
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - there are none
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _EnvFile(settings_cls)

    data: Path = Field(
        Path("data"),
        validation_alias="ORDERTAPE_DATA",
        description="folder of journal, archive and embedded database",
    )
    logs: Path = Field(
        Path("logs"),
        validation_alias="ORDERTAPE_LOGS",
        description="folder of app.log",
    )
    host: str = Field(
        "127.0.0.1",
        validation_alias="ORDERTAPE_HOST",
        description="address that `ordertape serve` listens on; others than loopback need a key",
    )
    require_key: bool = Field(
        False,
        validation_alias="ORDERTAPE_REQUIRE_KEY",
        description="whether requests from this machine need an API key, too",
    )
    allowed_hosts: NameList = Field(
        "",
        validation_alias="ORDERTAPE_ALLOWED_HOSTS",
        description="names, with commas, that requests without a key may call the server by",
    )
    allowed_origins: OriginList = Field(
        "",
        validation_alias="ORDERTAPE_ALLOWED_ORIGINS",
        description="origins of other pages, with commas, whose scripts may use the server",
    )
    persist_enabled: bool = Field(
        True,
        validation_alias="L3_PERSIST_ENABLED",
        description="whether streams persist at all",
    )
    snapshot_interval_seconds: int = Field(
        limits.snapshot_interval_seconds_default,
        validation_alias="L3_SNAPSHOT_INTERVAL",
        ge=limits.snapshot_interval_seconds_min,
        le=limits.snapshot_interval_seconds_max,
        description="seconds between full snapshots and their marks, 10 to 3600",
    )
    audit_interval_seconds: int = Field(
        limits.audit_interval_seconds_default,
        validation_alias="ORDERTAPE_AUDIT_INTERVAL",
        ge=limits.audit_interval_seconds_min,
        le=limits.audit_interval_seconds_max,
        description="seconds between comparisons of a live book with the venue's own over REST",
    )
    max_orders_memory: int = Field(
        limits.live_events_kept_default,
        validation_alias="L3_MAX_ORDERS_MEMORY",
        ge=limits.live_events_kept_min,
        description="events of a stream in memory for live readers; older ones are on the tape",
    )
    archive_cold_days: int | None = Field(
        None,
        validation_alias="ORDERTAPE_ARCHIVE_COLD_DAYS",
        ge=1,
        le=36_500,
        description="days after which files of the archive become cold; unset: never",
    )
    database_url: str | None = Field(
        None,
        validation_alias="DATABASE_URL",
        description="PostgreSQL 15 or newer, `postgresql://…`; unset: the embedded one",
    )
    database_schema: SchemaName = Field(
        "otc_analysis",
        validation_alias="OTC_SCHEMA",
        description="schema of the tables in PostgreSQL",
    )
    database_days: int = Field(
        limits.database_days_default,
        validation_alias="ORDERTAPE_DATABASE_DAYS",
        ge=1,
        le=36_500,
        description="days of events PostgreSQL keeps; the archive keeps all",
    )
    database_order_index: bool = Field(
        True,
        validation_alias="ORDERTAPE_DATABASE_ORDER_INDEX",
        description="whether PostgreSQL finds the events of one order by an index",
    )
    webhooks: Webhooks = Field(
        SecretStr(""),
        validation_alias="ORDERTAPE_WEBHOOKS",
        description="where alerts may be sent: `name=https://…`, blanks between; rules name it",
    )
    webhook_secret: SecretStr | None = Field(
        None,
        validation_alias="ORDERTAPE_WEBHOOK_SECRET",
        description="key with which alerts to webhooks are signed (HMAC-SHA256); unset: unsigned",
    )
    bitfinex_ws_url: SocketAddress = Field(
        "wss://api-pub.bitfinex.com/ws/2",
        validation_alias="ORDERTAPE_BITFINEX_WS_URL",
        description="Bitfinex's public WebSocket",
    )
    bitfinex_rest_url: WebAddress = Field(
        "https://api-pub.bitfinex.com",
        validation_alias="ORDERTAPE_BITFINEX_REST_URL",
        description="Bitfinex's public REST interface, for its list of pairs",
    )

    coinbase_ws_url: SocketAddress = Field(
        "wss://ws-feed.exchange.coinbase.com",
        validation_alias="ORDERTAPE_COINBASE_WS_URL",
        description="Coinbase Exchange's WebSocket feed",
    )
    coinbase_rest_url: WebAddress = Field(
        "https://api.exchange.coinbase.com",
        validation_alias="ORDERTAPE_COINBASE_REST_URL",
        description="Coinbase Exchange's REST interface, for products and whole books",
    )
    coinbase_api_key: SecretStr | None = Field(
        None,
        validation_alias="COINBASE_API_KEY",
        description="key of Coinbase Exchange; the permission View suffices",
    )
    coinbase_api_secret: SecretStr | None = Field(
        None,
        validation_alias="COINBASE_API_SECRET",
        description="secret of that Coinbase key, in base64 as it is shown once",
    )
    coinbase_api_passphrase: SecretStr | None = Field(
        None,
        validation_alias="COINBASE_API_PASSPHRASE",
        description="passphrase of that Coinbase key",
    )

    def addresses(self, exchange: str) -> tuple[str, str]:
        """(WebSocket, REST) of a venue that the registry knows."""
        return getattr(self, f"{exchange}_ws_url"), getattr(self, f"{exchange}_rest_url")

    def webhook_addresses(self) -> dict[str, str]:
        """Where alerts may be sent, by name."""
        parts = (part.partition("=") for part in self.webhooks.get_secret_value().split())
        return {name: url for name, _, url in parts}

    def credentials(self, exchange: str) -> Credentials | None:
        """Those of a venue, None where it asks for none.

        Raises SettingRefused in one sentence that names the variables.
        """
        fields = [f"{exchange}_api_{part}" for part in ("key", "secret", "passphrase")]
        if fields[0] not in Settings.model_fields:
            return None
        names = [str(Settings.model_fields[field].validation_alias) for field in fields]
        values = [getattr(self, field) for field in fields]
        unset = [name for name, value in zip(names, values, strict=True) if not value]
        if unset:
            detail = "" if len(unset) == len(names) else f" ({' and '.join(unset)} not set)"
            raise SettingRefused(
                f"{exchange} asks for credentials: "
                f"set {names[0]}, {names[1]} and {names[2]}{detail}"
            )
        key, secret, passphrase = found = [value.get_secret_value() for value in values]
        for name, text in zip(names, found, strict=True):
            if not (text.isascii() and text.isprintable()) or text != text.strip():
                # No header carries it, and the error of who tries would show it.
                raise SettingRefused(f"{name} is not the text the venue showed")
        try:
            base64.b64decode(secret, validate=True)
        except binascii.Error:
            raise SettingRefused(f"{names[1]} is not the base64 text the venue showed") from None
        return Credentials(key, secret, passphrase)


def described() -> list[tuple[str, str, str]]:
    """(environment name, meaning, default) of every setting, in the order of the class."""
    return [
        (str(field.validation_alias), field.description or "", _shown(field.default))
        for field in Settings.model_fields.values()
    ]


def as_environment(settings: Settings, exchange: str = "") -> dict[str, str]:
    """The environment in which another process loads the very same settings; of the credentials
    only those of ``exchange``."""
    values = {
        str(field.validation_alias): getattr(settings, name)
        for name, field in Settings.model_fields.items()
        if not isinstance(getattr(settings, name), SecretStr) or name.startswith(f"{exchange}_api_")
    }
    unset = dict.fromkeys(str(field.validation_alias) for field in Settings.model_fields.values())
    return {name: _shown(value) for name, value in (unset | values).items()}


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):  # for the environment of another process alone
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)


def load_settings(**given: Any) -> Settings:
    """The settings as they are now; ``given`` (by field name) wins over the environment.

    Raises SettingRefused for the first value that can't be used.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "a setting"
        found = "not shown here" if name in _secrets() else repr(str(first["input"]))
        raise SettingRefused(f"{name} is {found}: {_sentence(str(first['msg']))}") from None
    except UnicodeDecodeError:
        raise SettingRefused(f"{_FILE} is not UTF-8 text") from None


def _secrets() -> set[str]:
    """Names of settings whose values no text may show."""
    return {
        shown
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
        for shown in (name, str(field.validation_alias))
    }


def _sentence(message: str) -> str:
    return message[:1].lower() + message[1:]
