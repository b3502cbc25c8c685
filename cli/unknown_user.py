"""The sentence for a user whom the data does not have: where it was looked, and where else the user may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.demo_dir import demo_beside
from reports.safe_text import plain

if TYPE_CHECKING:
    from flows.settings import Settings


def unknown_user(settings: Settings, tenant: str, user: str) -> str:
    """Return the sentence. ``settings`` are those that the command read with."""
    where = str(settings.data_dir) if settings.clickhouse_url is None else "ClickHouse"
    demo = demo_beside(settings)
    hint = "" if demo is None else f"; the demo's users are in {demo}: name it with --data-dir"
    return f"no user {plain(user)} in {where}, tenant {plain(tenant)}{hint}."
