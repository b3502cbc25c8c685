"""The sentence for a user whom the data does not have: where it was looked, and where else the user may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.demo_dir import demo_beside, is_demo
from cli.up import LIVE
from local.data_dir import DataDir
from reports.safe_text import plain

if TYPE_CHECKING:
    from pathlib import Path

    from flows.settings import Settings


def unknown_user(settings: Settings, tenant: str, user: str) -> str:
    """Return the sentence. ``settings`` are those that the command read with."""
    where = str(settings.data_dir) if settings.clickhouse_url is None else "ClickHouse"
    demo, live = demo_beside(settings), _live_beside(settings)
    others = [f"the demo's users are in {demo}"] if demo is not None else []
    others += [f"those of `onramp up` are in {live}"] if live is not None else []
    hint = f"; {' and '.join(others)}: name it with --data-dir" if others else ""
    return f"no user {plain(user)} in {where}, tenant {plain(tenant)}{hint}."


def _live_beside(settings: Settings) -> Path | None:
    """The directory of the job of ``onramp up`` in the data directory, or beside the demo; None where there is none."""
    around = settings.data_dir.parent if is_demo(settings.data_dir) else settings.data_dir
    return around / LIVE if DataDir(around / LIVE).state.exists() else None
