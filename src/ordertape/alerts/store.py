"""Where rules and alerts are kept: PostgreSQL, or memory on a server where nothing persists."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import psycopg
from psycopg.types.json import Jsonb

from ordertape import limits
from ordertape.alerts.fired import Alert
from ordertape.alerts.rules import Rule, RuleWish
from ordertape.database.address import Address
from ordertape.database.kept_connection import KeptConnection
from ordertape.errors import MarketBusy, SettingRefused
from ordertape.times import iso_from_ns

__all__ = ["AlertQuery", "AlertStore", "DatabaseStore", "MemoryStore"]


@dataclass(frozen=True, slots=True)
class AlertQuery:
    """Newest first; what is None does not matter.  ``before``: (ts, id) of the last one seen."""

    exchange: str | None = None
    symbol: str | None = None
    rule: int | None = None
    start: int | None = None
    end: int | None = None
    before: tuple[int, str] | None = None
    limit: int = limits.alerts_page_default


class AlertStore(Protocol):
    """Everything blocks and raises DatabaseError; any thread may use it."""

    kept: str
    """Where, in a word."""

    def rules(self) -> list[Rule]: ...
    def add(self, wish: RuleWish) -> Rule:
        """``wish`` names its market in our one form.  Raises MarketBusy where there is the same."""
        ...

    def remove(self, number: int) -> bool: ...
    def save(self, alerts: Sequence[Alert]) -> None:
        """What is there already stays as it is."""
        ...

    def alerts(self, query: AlertQuery) -> list[Alert]: ...
    def close(self) -> None: ...


def _there(number: int) -> MarketBusy:
    return MarketBusy(f"there is the same rule already: {number}")


def _refuse_more(rules: Sequence[Rule], market: tuple[str, str]) -> None:
    """Raises SettingRefused."""
    if len(rules) >= limits.alert_rules_max:
        raise SettingRefused(f"expected at most {limits.alert_rules_max} rules: delete one first")
    markets = {rule.market for rule in rules} | {market}
    if len(markets) > limits.alert_markets_max:
        most = limits.alert_markets_max
        raise SettingRefused(f"expected rules for at most {most} markets: delete others first")


class MemoryStore:
    kept = "memory"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: dict[int, Rule] = {}
        self._numbers = itertools.count(1)
        self._alerts: deque[Alert] = deque(maxlen=limits.alerts_remembered)

    def rules(self) -> list[Rule]:
        with self._lock:
            return list(self._rules.values())

    def add(self, wish: RuleWish) -> Rule:
        with self._lock:
            spec, market = wish.spec(), (wish.exchange, wish.symbol)
            for rule in self._rules.values():
                if (rule.market, rule.kind, rule.spec) == (market, wish.kind, spec):
                    raise _there(rule.number)
            _refuse_more(list(self._rules.values()), market)
            now = iso_from_ns(time.time_ns())
            rule = Rule(next(self._numbers), *market, wish.kind, spec, now)
            self._rules[rule.number] = rule
            return rule

    def remove(self, number: int) -> bool:
        with self._lock:
            return self._rules.pop(number, None) is not None

    def save(self, alerts: Sequence[Alert]) -> None:
        with self._lock:
            self._alerts.extend(alerts)

    def alerts(self, query: AlertQuery) -> list[Alert]:
        with self._lock:
            known = sorted(self._alerts, key=lambda alert: (alert.ts, alert.id), reverse=True)
        return [alert for alert in known if _passes(alert, query)][: query.limit]

    def close(self) -> None:
        pass


def _passes(alert: Alert, query: AlertQuery) -> bool:
    return (
        query.exchange in (None, alert.exchange)
        and query.symbol in (None, alert.symbol)
        and query.rule in (None, alert.rule)
        and (query.start is None or alert.ts >= query.start)
        and (query.end is None or alert.ts < query.end)
        and (query.before is None or (alert.ts, alert.id) < query.before)
    )


# PostgreSQL ---------------------------------------------------------------------------------------

_RULES: Final = """
    SELECT rule, exchange, symbol, kind, spec, ns(created_at) FROM alert_rules ORDER BY rule
"""
_ADD: Final = """
    INSERT INTO alert_rules (exchange, symbol, kind, spec) VALUES (%s, %s, %s, %s)
    RETURNING rule, exchange, symbol, kind, spec, ns(created_at)
"""
_SAVE: Final = """
    INSERT INTO alerts (alert, "timestamp", rule, kind, exchange, symbol, ts, subject, text, price,
        size, side, order_id, left_out)
    VALUES (%s, moment(%s), %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (alert) DO NOTHING
"""
_THIN: Final = """
    DELETE FROM alerts WHERE (ts, alert) <=
        (SELECT ts, alert FROM alerts ORDER BY ts DESC, alert DESC OFFSET %s LIMIT 1)
"""
_FIND: Final = """
    SELECT rule, kind, exchange, symbol, ts, subject, text, price, size, side, order_id, left_out
    FROM alerts
    WHERE (%(exchange)s::text IS NULL OR exchange = %(exchange)s)
      AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
      AND (%(rule)s::bigint IS NULL OR rule = %(rule)s)
      AND ts >= %(start)s AND ts < %(end)s AND (ts, alert) < (%(ts)s, %(alert)s)
    ORDER BY ts DESC, alert DESC LIMIT %(limit)s
"""
_LAST: Final = 2**63 - 1
_THIN_EVERY: Final = 1_000


class DatabaseStore:
    kept = "database"

    def __init__(self, address: Address) -> None:
        self._connection = KeptConnection(address, "ordertape alerts", changes=True)
        self._saved = 0

    def close(self) -> None:
        self._connection.close()

    def rules(self) -> list[Rule]:
        with self._connection.use() as connection:
            return _rules(connection)

    def add(self, wish: RuleWish) -> Rule:
        spec, market = wish.spec(), (wish.exchange, wish.symbol)
        with self._connection.use() as connection, connection.transaction():
            connection.execute("LOCK TABLE alert_rules IN SHARE ROW EXCLUSIVE MODE")
            rules = _rules(connection)
            for rule in rules:
                if (rule.market, rule.kind, rule.spec) == (market, wish.kind, spec):
                    raise _there(rule.number)
            _refuse_more(rules, market)
            made = connection.execute(
                _ADD,
                (*market, wish.kind, Jsonb(spec)),
            ).fetchone()
            assert made is not None
            return _rule(made)

    def remove(self, number: int) -> bool:
        with self._connection.use() as connection:
            return (
                connection.execute("DELETE FROM alert_rules WHERE rule = %s", (number,)).rowcount
                > 0
            )

    def save(self, alerts: Sequence[Alert]) -> None:
        rows = [
            (
                *(alert.id, alert.ts, alert.rule, alert.kind, alert.exchange, alert.symbol),
                *(alert.ts, alert.subject, alert.text, alert.price, alert.size, alert.side),
                *(alert.order_id, alert.left_out),
            )
            for alert in alerts
        ]
        with self._connection.use() as connection, connection.transaction():
            connection.cursor().executemany(_SAVE, rows)
            self._saved += len(rows)
            if self._saved >= _THIN_EVERY:
                self._saved = 0
                connection.execute(_THIN, (limits.alerts_kept,))

    def alerts(self, query: AlertQuery) -> list[Alert]:
        ts, alert = query.before if query.before is not None else (_LAST, "")
        parameters = {
            "exchange": query.exchange,
            "symbol": query.symbol,
            "rule": query.rule,
            "start": query.start or 0,
            "end": _LAST if query.end is None else query.end,
            "ts": ts,
            "alert": alert,
            "limit": query.limit,
        }
        with self._connection.use() as connection:
            return [Alert(*row) for row in connection.execute(_FIND, parameters)]


def _rules(connection: psycopg.Connection) -> list[Rule]:
    found = connection.execute(_RULES)
    return [_rule(row) for row in found]


def _rule(row: tuple[Any, ...]) -> Rule:
    rule, exchange, symbol, kind, spec, created = row
    return Rule(rule, exchange, symbol, kind, spec, iso_from_ns(created))
