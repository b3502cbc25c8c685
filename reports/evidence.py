"""Reads the evidence of one tenant out of ClickHouse, in the columns that the statistics know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl

from evaluation.evidence import SCHEMAS, Evidence
from state.decision.experiment_groups import experiment_draw

if TYPE_CHECKING:
    Query = Callable[..., pl.DataFrame]

_TABLE = {
    "people": "people_final",
    "visitors": "merged_visitors",
    "decisions": "decisions_final",
    "outcomes": "outcomes_final",
    "signals": "stuck_signals_of_users",
    "progress": "step_progress_in_force",
    "scores": "stuck_scores_of_users",
    "recommendations": "recommendations_final",
    "llm_calls": "llm_calls_final",
    "catalogs": "catalogs_final",
    "statistics": "step_statistics_final",
}
_DRAW = ("visitors", "draw")
"""A column that is derived: as whom a group was drawn is known by its draw, which does not name the visitor."""


def load(query: Query, tenant: str, until: int | None = None) -> Evidence:
    """Return what the store holds of ``tenant``. ``query(sql, **parameters)`` reads, and may raise ``StoreError``.

    ``until`` (ms) is the log time that the evidence reaches; without it, that of the newest event. Where no event is stored any more, what
    is stored is old, and it is the present time of the store.
    """
    frames: dict[str, Any] = {}
    for name, columns in SCHEMAS.items():
        stored = {each: kind for each, kind in columns.items() if (name, each) != _DRAW}
        wanted = ", ".join(f"toString({each}) AS {each}" if str(kind) == "String" else each for each, kind in stored.items())
        # Names of columns and views only, all of them our own; what varies is a parameter.
        frames[name] = query(f"SELECT {wanted} FROM {_TABLE[name]} WHERE tenant_id = {{tenant:String}}", tenant=tenant)  # noqa: S608
    draws = [experiment_draw(tenant, visitor) for visitor in frames["visitors"]["visitor_id"]]
    frames["visitors"] = frames["visitors"].with_columns(pl.Series("draw", draws, dtype=pl.Float64))
    ends = (
        "SELECT toUnixTimestamp64Milli(min(log_time)) AS oldest,"
        " toUnixTimestamp64Milli(if(count() = 0, now64(3), max(log_time))) AS newest FROM events"
    )
    oldest, newest = query(f"{ends} WHERE tenant_id = {{tenant:String}}", tenant=tenant).row(0)
    evidence = Evidence.of(until=int(newest) if until is None else until, **frames)
    return replace(evidence, events_from=int(oldest))
