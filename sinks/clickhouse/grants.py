"""The statements that let a user of a ClickHouse server read one tenant and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence

from clickhouse_connect.driver.binding import format_str

from sinks.clickhouse.migrate import shipped
from state.records.facts import FACTS, DeadLetterFact


def rows_of(tenant: str) -> dict[str, str]:
    """Table → the condition of the rows of ``tenant``. A rejected message that names no tenant, or several, belongs to nobody."""
    return {
        kind.TABLE: f"tenant_ids = [{format_str(tenant)}]" if kind is DeadLetterFact else f"tenant_id = {format_str(tenant)}"
        for kind in FACTS
    }


def views() -> list[str]:
    """The names of all views."""
    return sorted({name for each in shipped() for name in re.findall(r"^CREATE OR REPLACE VIEW (\w+)", each.sql, re.MULTILINE)})


def tenant_grants(database: str, tenant: str, *, users: Sequence[str], see_all: Sequence[str]) -> list[str]:
    """The statements, in order, each without its semicolon. They can be repeated.

    ``users``, who must exist, get a role that reads ``tenant``. ``see_all`` are the users who still see every tenant: above all that of the
    job. What a later version adds is not granted until the statements are made and run again.
    """
    role = _quoted(f"onramp tenant {tenant}")
    statements = [f"CREATE ROLE IF NOT EXISTS {role}"]
    for table, condition in rows_of(tenant).items():
        # Those who see all come first: from the first policy of a table on, nobody without one sees a row of it. A policy for each, and no
        # role, because users that a file of the server defines can have no role.
        statements += [
            f"CREATE ROW POLICY IF NOT EXISTS {_quoted(f'onramp all tenants {user}')} ON {database}.{table} USING 1 TO {_quoted(user)}"
            for user in see_all
        ]
        statements.append(f"CREATE ROW POLICY OR REPLACE {role} ON {database}.{table} USING {condition} TO {role}")
    statements += [f"GRANT SELECT ON {database}.{name} TO {role}" for name in [*rows_of(tenant), *views()]]
    return [*statements, *(f"GRANT {role} TO {_quoted(user)}" for user in users)]


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"
