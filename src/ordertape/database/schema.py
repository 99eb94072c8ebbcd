"""The tables: made and checked.  What is not ours is named and left alone."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import psycopg
from psycopg import sql

from ordertape.database.changes import HELD, changing, take_turn
from ordertape.database.rows import Generation, generations_of, orders_view
from ordertape.errors import SchemaRefused

__all__ = [
    "check",
    "create",
    "functions_there",
    "is_current",
    "refuse_foreign",
    "relations_there",
    "renew_view",
    "require",
]

OURS: Final = "ordertape:"
"""How the comment of every relation of ours begins."""

RELATIONS: Final[dict[str, tuple[str, ...]]] = {
    "ordertape_schema": ("version", "name", "applied_at"),
    "markets": ("market", "exchange", "symbol", "origin", "keep", "simulated", "created_at"),
    "generations": (
        "generation",
        "market",
        "from_seq",
        "price_scale",
        "size_scale",
        "order_form",
        "trade_form",
        "created_at",
    ),
    "cursors": ("market", "seq", "ts_recv", "era", "updated_at"),
    "level3_orders": (
        "exchange",
        "symbol",
        "order_id",
        "sequence",
        "side",
        "price",
        "size",
        "event_type",
        "timestamp",
        "metadata",
        "created_at",
        "ts_recv",
    ),
    "level3_snapshots": (
        "market",
        "exchange",
        "symbol",
        "sequence",
        "timestamp",
        "bids",
        "asks",
        "total_bid_orders",
        "total_ask_orders",
        "total_bid_volume",
        "total_ask_volume",
        "best_bid",
        "best_ask",
        "era",
        "ts_recv",
        "created_at",
    ),
    "level3_gaps": (
        "market",
        "exchange",
        "symbol",
        "from_ns",
        "to_ns",
        "gap_from",
        "gap_to",
        "reason",
        "healed_by",
        "era",
        "missing_from",
        "missing_to",
        "created_at",
    ),
    "lifecycle_rows": (
        "market",
        "told_seq",
        "nth",
        "told",
        "opened",
        "ended",
        "order_id",
    ),
    "lifecycle_cursors": ("market", "told_seq", "nth", "updated_at"),
    "lifecycles": (
        "exchange",
        "symbol",
        "order_id",
        "side",
        "opened",
        "ended",
        "ending",
        "reason",
        "price_first",
        "distance_first",
        "size_first",
        "filled",
        "told_sequence",
    ),
    "findings": (
        "market",
        "finding",
        "revision",
        "kind",
        "side",
        "phase",
        "found",
        "told",
        "price_low",
        "price_high",
        "size",
        "filled",
        "score",
        "evidence",
        "against",
        "order_ids",
        "phases",
    ),
    "finding_cursors": ("market", "seq", "updated_at"),
    "alert_rules": ("rule", "exchange", "symbol", "kind", "spec", "created_at"),
    "alerts": (
        "alert",
        "rule",
        "kind",
        "exchange",
        "symbol",
        "timestamp",
        "ts",
        "subject",
        "text",
        "price",
        "size",
        "side",
        "order_id",
        "left_out",
        "created_at",
    ),
}
FUNCTIONS: Final = ("moment", "ns", "order_history", "seq_from")

_RELATIONS_THERE = """
    SELECT c.relname, c.relkind::text, coalesce(obj_description(c.oid, 'pg_class'), '')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    ORDER BY c.relname
"""
_FUNCTIONS_THERE = """
    SELECT p.oid::regprocedure::text, p.proname, coalesce(obj_description(p.oid, 'pg_proc'), '')
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = %s ORDER BY 1
"""
_COLUMNS_THERE = """
    SELECT c.relname, a.attname
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND a.attnum > 0 AND NOT a.attisdropped
"""


def migrations() -> list[tuple[int, str, str]]:
    """(number, name, SQL) of every migration, in order."""
    found = []
    for file in files("ordertape.database").joinpath("migrations").iterdir():
        if file.name.endswith(".sql"):
            number, _, name = file.name.removesuffix(".sql").partition("_")
            found.append((int(number), name, file.read_text("utf-8")))
    return sorted(found)


def relations_there(connection: psycopg.Connection, schema: str) -> list[tuple[str, str, str]]:
    """(name, kind as pg_class has it, comment) of everybody's relations, by name."""
    return list(connection.execute(_RELATIONS_THERE, (schema,)))


def functions_there(connection: psycopg.Connection, schema: str) -> list[tuple[str, str, str]]:
    """(signature, name, comment) of everybody's functions, by signature."""
    return list(connection.execute(_FUNCTIONS_THERE, (schema,)))


# Create -------------------------------------------------------------------------------------------


def create(connection: psycopg.Connection, schema: str) -> list[str]:
    """Brings the tables up to this version, all or nothing; the migrations applied.

    Raises SchemaRefused where relations of those names are not ours, or are of a newer version.
    """
    applied = []
    with connection.transaction():
        take_turn(connection, schema)
        refuse_foreign(connection, schema)
        if not _schema_exists(connection, schema):
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        version = _version(connection, schema)
        newest = migrations()[-1][0]
        if version > newest:
            raise SchemaRefused(
                f"schema {schema} is of version {version}, this ordertape knows {newest}: update it"
            )
        for number, name, text in migrations():
            if number <= version:
                continue
            connection.execute(text.encode())
            connection.execute(
                "INSERT INTO ordertape_schema (version, name) VALUES (%s, %s)", (number, name)
            )
            applied.append(f"{number:04d} {name}")
        _renew_view(connection)
    return applied


def refuse_foreign(connection: psycopg.Connection, schema: str) -> None:
    """Raises SchemaRefused where relations or functions of our names are not ours."""
    if foreign := _foreign(connection, schema):
        raise SchemaRefused(
            f"schema {schema} holds {', '.join(foreign)} that ordertape did not make: nothing was "
            "changed; set OTC_SCHEMA to another schema"
        )


def _foreign(connection: psycopg.Connection, schema: str) -> list[str]:
    """Relations and functions under our names that are not ours."""
    found = [
        name
        for name, _, comment in relations_there(connection, schema)
        if name in RELATIONS and not comment.startswith(OURS)
    ]
    found += [
        f"{name}()"
        for _, name, comment in functions_there(connection, schema)
        if name in FUNCTIONS and not comment.startswith(OURS)
    ]
    return found


def _schema_exists(connection: psycopg.Connection, schema: str) -> bool:
    found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,))
    return found.fetchone() is not None


def _version(connection: psycopg.Connection, schema: str) -> int:
    """Of the newest migration applied, 0 where there are no tables of ours."""
    there = {name for name, _, _ in relations_there(connection, schema)}
    if "ordertape_schema" not in there:
        return 0
    found = connection.execute("SELECT max(version) FROM ordertape_schema").fetchone()
    return int(found[0] or 0) if found is not None else 0


# Check --------------------------------------------------------------------------------------------


def check(connection: psycopg.Connection, schema: str) -> list[str]:
    """What is missing or wrong, one line each; empty where everything is there."""
    if not _schema_exists(connection, schema):
        return [f"schema {schema} is missing"]
    found = [f"{name} is not ordertape's" for name in _foreign(connection, schema)]
    if found:
        return found
    relations = {name for name, _, _ in relations_there(connection, schema)}
    columns = set(connection.execute(_COLUMNS_THERE, (schema,)))
    for name, wanted in RELATIONS.items():
        if name not in relations:
            found.append(f"{name} is missing")
            continue
        found += [
            f"{name}.{column} is missing" for column in wanted if (name, column) not in columns
        ]
    functions = {name for _, name, _ in functions_there(connection, schema)}
    found += [f"{name}() is missing" for name in FUNCTIONS if name not in functions]
    if "ordertape_schema" in relations and "ordertape_schema.version is missing" not in found:
        version, newest = _version(connection, schema), migrations()[-1][0]
        if version != newest:
            found.append(f"the tables are of version {version}, expected {newest}")
    if not found:
        found += [
            f"{generation.table} is missing"
            for generation in generations_of(connection)
            if generation.table not in relations
        ]
    if not found and not _view_is_current(connection):
        found.append("level3_orders does not show every generation")
    return found


def is_current(connection: psycopg.Connection, schema: str) -> bool:
    """Whether the tables are ours and of this version, by one quick query."""
    there = connection.execute("SELECT to_regclass(%s)", (f"{schema}.ordertape_schema",)).fetchone()
    if there is None or there[0] is None:
        return False
    return _version(connection, schema) == migrations()[-1][0]


def require(connection: psycopg.Connection, schema: str) -> None:
    """Raises SchemaRefused where the tables are not there as this version knows them."""
    if not is_current(connection, schema):
        problems = check(connection, schema)
        raise SchemaRefused(
            f"the tables in schema {schema} are not ready ({'; '.join(problems[:3])}): "
            "run `ordertape db create`"
        )


# The view -----------------------------------------------------------------------------------------


def renew_view(connection: psycopg.Connection) -> bool:
    """Makes ``level3_orders`` show every generation; False where readers did not let go in time."""
    if _view_is_current(connection):
        return True
    try:
        with changing(connection):
            if not _view_is_current(connection):
                _renew_view(connection)
    except HELD:
        return False
    return True


def _view_is_current(connection: psycopg.Connection) -> bool:
    found = connection.execute("SELECT obj_description('level3_orders'::regclass)").fetchone()
    return found is not None and found[0] == _view_comment(generations_of(connection))


def _renew_view(connection: psycopg.Connection) -> None:
    shown = generations_of(connection)
    query = orders_view(shown)
    connection.execute(sql.SQL("CREATE OR REPLACE VIEW level3_orders AS {}").format(query))
    comment = sql.Literal(_view_comment(shown))
    connection.execute(sql.SQL("COMMENT ON VIEW level3_orders IS {}").format(comment))


def _view_comment(shown: list[Generation]) -> str:
    numbers = ", ".join(str(generation.number) for generation in shown)
    return f"{OURS} every event, of the generations {numbers or 'that are to come'}"
