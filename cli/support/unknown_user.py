"""The sentence for a user whom the data does not have: where it was looked, and where else the user may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.support.demo_dir import beside
from state.plain_text import plain

if TYPE_CHECKING:
    from flows.settings import Settings


def unknown_user(settings: Settings, tenant: str, user: str) -> str:
    """Return the sentence. ``settings`` are those that the command read with."""
    where = str(settings.data_dir) if settings.clickhouse_url is None else "ClickHouse"
    others = beside(settings)
    hint = f"; {' and '.join(others)}: name it with --data-dir" if others else ""
    return f"no user {plain(user)} in {where}, tenant {plain(tenant)}{hint}."
