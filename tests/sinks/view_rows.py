"""Rows that the tests of the views write, and how they read a view."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from reports.facts import Facts
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.columns import to_frame
from sinks.clickhouse.inserter import ClickHouseInserter
from sinks.clickhouse.read_only_query import query
from state.records.facts import (
    Fact,
    PersonFact,
    ProgressFact,
)
from tests.support.facts import make

STORES = ["embedded", pytest.param("server", marks=pytest.mark.slow)]
"""Statements are the same on both."""

HOUR = 3_600_000
MONDAY = 1_767_571_200_000  # 2026-01-05T00:00:00Z


def insert(store: ClickHouse, *rows: Fact) -> None:
    inserter = ClickHouseInserter(store)
    for row in rows:
        inserter.insert(row.TABLE, to_frame(type(row), [row]))


def rows(store: ClickHouse, view: str, columns: str) -> list[tuple[Any, ...]]:
    """The columns of a view, rates and hours rounded, in the view's own order."""
    found = query(store, f"SELECT {columns} FROM {view}").rows()
    return [tuple(round(value, 4) if isinstance(value, float) else value for value in row) for row in found]


def printed(show: Callable[[Console, Facts, str], None], store: ClickHouse) -> str:
    """A section of the report of tenant ``t``."""
    file = io.StringIO()
    show(Console(file=file, width=100), Facts(store), "t")
    return file.getvalue()


def progress(user: str, step: str, position: int, status: str, *, since: int = 0, done: int = 0, path: str = "p") -> ProgressFact:
    return make(
        ProgressFact, user_id=user, path_id=path, step_id=step, position=position, status=status,
        first_seen_at=since, current_since_at=since, completed_at=done,
    )  # fmt: skip


def people(store: ClickHouse) -> None:
    """Four people on one path of two steps: a and b activated after 2 and 6 hours, c reached the second step, d did nothing."""
    insert(
        store,
        make(PersonFact, user_id="a", path_id="p", user_persona="dev", experiment_group="adaptive", signup_at=MONDAY, first_seen_at=MONDAY,
             activated_at=MONDAY + 2 * HOUR),
        make(PersonFact, user_id="b", path_id="p", user_persona="dev", experiment_group="adaptive", first_seen_at=MONDAY,
             activated_at=MONDAY + 6 * HOUR),
        make(PersonFact, user_id="c", path_id="p", user_persona="ops", experiment_group="holdout", signup_at=MONDAY + 8 * 24 * HOUR),
        make(PersonFact, user_id="d", path_id="p", user_persona="dev", experiment_group="adaptive", signup_at=MONDAY + HOUR),
        progress("a", "one", 1, "completed", since=MONDAY, done=MONDAY + HOUR),
        progress("a", "two", 2, "completed", since=MONDAY + HOUR, done=MONDAY + 2 * HOUR),
        progress("b", "one", 1, "completed", since=MONDAY, done=MONDAY + 3 * HOUR),
        progress("b", "two", 2, "completed", done=MONDAY + 6 * HOUR),
        progress("c", "one", 1, "completed", since=MONDAY, done=MONDAY + 5 * HOUR),
        progress("c", "two", 2, "current", since=MONDAY + 5 * HOUR),
        progress("d", "one", 1, "current"),
        progress("d", "two", 2, "locked"),
        progress("d", "old", 1, "current", path="left behind"),
    )  # fmt: skip
