"""A role of PostgreSQL that may read our tables, those to come with them, and change nothing."""

from __future__ import annotations

import psycopg
from psycopg import sql

from ordertape import limits
from ordertape.database.changes import changing
from ordertape.database.schema import require
from ordertape.errors import SettingRefused

__all__ = ["grant_reading"]

_NAME_BYTES_MAX = 63
"""PostgreSQL cuts longer names off (its manual, 4.1.1), and would grant to another role."""
_MAY_CHANGE = """
    SELECT has_schema_privilege(%(name)s, %(schema)s, 'CREATE') OR EXISTS (
        SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'p', 'v')
        AND has_table_privilege(%(name)s, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
"""


def grant_reading(connection: psycopg.Connection, schema: str, name: str) -> bool:
    """Lets a role read the tables of the schema; True where the role is made for it.

    ``connection`` is of the account that makes the tables: those that it makes later are granted
    with these.  A new role may log in, has no password, finds our names without the schema, and
    its statements end after ``limits.database_statement_timeout_ms``.  Raises SchemaRefused where
    the tables are not ready, SettingRefused where the name is too long or its role may change them.
    """
    if len(name.encode()) > _NAME_BYTES_MAX:
        raise SettingRefused(f"NAME has more than the {_NAME_BYTES_MAX} bytes that a role's may")
    role, place = sql.Identifier(name), sql.Identifier(schema)
    require(connection, schema)
    with changing(connection, schema):
        found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
            timeout = sql.Literal(f"{limits.database_statement_timeout_ms}ms")
            for setting, value in (("search_path", place), ("statement_timeout", timeout)):
                connection.execute(
                    sql.SQL("ALTER ROLE {} SET {} TO {}").format(role, sql.SQL(setting), value)
                )
        for granted in (
            "GRANT USAGE ON SCHEMA {schema} TO {role}",
            "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}",
        ):
            connection.execute(sql.SQL(granted).format(schema=place, role=role))
        may_change = connection.execute(_MAY_CHANGE, {"name": name, "schema": schema}).fetchone()
        if may_change is None or may_change[0]:
            raise SettingRefused(
                f"the role {name} may change what is in schema {schema}: expected the name of a "
                "new role, or of one that may not; nothing was granted"
            )
    return found is None
