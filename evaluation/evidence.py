"""The evidence of one tenant: the engine's ClickHouse tables as frames.

Times are integers, milliseconds since the Unix epoch, UTC; 0 means "has not happened", as in the tables. ``Evidence.of`` also
accepts frames of the ``*_final`` views, which hold NULL for a time that has not happened and DateTime64 otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import polars as pl

ADAPTIVE: Final = "adaptive"
HOLDOUT: Final = "holdout"
RULES: Final = "rules"
GROUPS: Final = (HOLDOUT, RULES, ADAPTIVE)

_TEXT: Final = pl.String()
_MS: Final = pl.Int64()
_REAL: Final = pl.Float64()

SCHEMAS: Final[dict[str, dict[str, pl.DataType]]] = {
    "people": {
        "user_id": _TEXT,
        "experiment_group": _TEXT,
        "path_id": _TEXT,
        "segment": _TEXT,
        "first_seen_at": _MS,
        "signup_at": _MS,
        "activated_at": _MS,
        "guidance_at_signup": _TEXT,
        "entered_under": _TEXT,
        "visitor_draw": _REAL,
    },
    "visitors": {
        "user_id": _TEXT,
        "visitor_id": _TEXT,
        "merged_at": _MS,
        "draw": _REAL,
    },
    "decisions": {
        "decision_id": _TEXT,
        "user_id": _TEXT,
        "experiment_group": _TEXT,
        "trigger": _TEXT,
        "path_id": _TEXT,
        "step_id": _TEXT,
        "segment": _TEXT,
        "outcome": _TEXT,
        "reason": _TEXT,
        "arm": _TEXT,
        "propensity": _REAL,
        "arms": pl.List(_TEXT),
        "propensities": pl.List(_REAL),
        "decided_at": _MS,
        "catalog_version": _TEXT,
        "learner_version": pl.Int64(),
    },
    "outcomes": {
        "decision_id": _TEXT,
        "user_id": _TEXT,
        "kind": _TEXT,
        "trigger": _TEXT,
        "step_id": _TEXT,
        "segment": _TEXT,
        "arm": _TEXT,
        "occurred_at": _MS,
    },
    "signals": {
        "user_id": _TEXT,
        "trigger": _TEXT,
        "step_id": _TEXT,
        "detected_at": _MS,
        "score": _REAL,
        "evidence": _TEXT,
    },
    "progress": {
        "user_id": _TEXT,
        "path_id": _TEXT,
        "step_id": _TEXT,
        "position": pl.Int64(),
        "current_since_at": _MS,
        "completed_at": _MS,
    },
    "scores": {
        "user_id": _TEXT,
        "step_id": _TEXT,
        "share": _REAL,
        "score": _REAL,
        "time_alone": _REAL,
        "horizon_ms": _REAL,
        "judged_at": _MS,
    },
    "statistics": {
        "step_id": _TEXT,
        "horizon_ms": _REAL,
        "learned_at": _MS,
    },
    "recommendations": {
        "decision_id": _TEXT,
        "user_id": _TEXT,
        "arm": _TEXT,
        "ui_component": _TEXT,
    },
    "llm_calls": {
        "decision_id": _TEXT,
        "user_id": _TEXT,
        "status": _TEXT,
        "experiment": _TEXT,
        "cost_micros": pl.Int64(),
        "asked_at": _MS,
    },
    "catalogs": {
        "catalog_version": _TEXT,
        "holdout": _REAL,
        "rules": _REAL,
        "exploration_floor": _REAL,
        "attribution_window_ms": pl.Int64(),
        "template_share": _REAL,
        "strict_paths": pl.List(_TEXT),
        "steps_without_alarms": pl.List(_TEXT),
    },
}
"""Table -> columns that the statistics read. Frames may hold more columns."""

_OPTIONAL: Final = {
    ("people", "first_seen_at"),
    ("people", "guidance_at_signup"),
    ("people", "entered_under"),
    ("people", "visitor_draw"),
    ("visitors", "draw"),
    ("decisions", "catalog_version"),
    ("decisions", "learner_version"),
    ("signals", "score"),
    ("signals", "evidence"),
    ("progress", "position"),
    ("recommendations", "ui_component"),
    ("catalogs", "strict_paths"),
    ("catalogs", "steps_without_alarms"),
}

Rows = pl.DataFrame | Sequence[Mapping[str, Any]]


class EvidenceError(ValueError):
    """A frame lacks a required column. Not retryable: the loader and this package disagree about the schema."""


def conform(table: str, rows: Rows) -> pl.DataFrame:
    """Return ``rows`` with the columns of ``SCHEMAS[table]`` in their types. Raises ``EvidenceError`` for a missing column."""
    schema = SCHEMAS[table]
    if not isinstance(rows, pl.DataFrame):
        rows = pl.DataFrame(list(rows), infer_schema_length=None) if rows else pl.DataFrame(schema=schema)
    missing = [name for name in schema if name not in rows.columns and (table, name) not in _OPTIONAL]
    if missing:
        raise EvidenceError(f"the frame of {table} lacks {', '.join(missing)}")
    columns: list[pl.Expr] = []
    for name, kind in schema.items():
        if name not in rows.columns:
            columns.append(pl.lit(None, dtype=kind).alias(name))
        elif kind == _MS:
            column = pl.col(name)
            if isinstance(rows.schema[name], pl.Datetime):
                column = column.dt.timestamp("ms")
            columns.append(column.cast(_MS).fill_null(0).alias(name))
        else:
            columns.append(pl.col(name).cast(kind))
    return rows.with_columns(columns)


def _nothing(table: str) -> pl.DataFrame:
    return pl.DataFrame(schema=SCHEMAS[table])


@dataclass(frozen=True, slots=True)
class Evidence:
    """One tenant's tables at one moment. ``until`` (ms) is the newest log time; later events are not included.

    Where no event is stored any more it is the present time.

    ``events_from`` (ms) is the log time of the oldest event that is stored, 0 where it is not known.
    """

    people: pl.DataFrame
    decisions: pl.DataFrame
    outcomes: pl.DataFrame
    signals: pl.DataFrame
    progress: pl.DataFrame
    until: int
    scores: pl.DataFrame = field(default_factory=partial(_nothing, "scores"))
    recommendations: pl.DataFrame = field(default_factory=partial(_nothing, "recommendations"))
    llm_calls: pl.DataFrame = field(default_factory=partial(_nothing, "llm_calls"))
    catalogs: pl.DataFrame = field(default_factory=partial(_nothing, "catalogs"))
    statistics: pl.DataFrame = field(default_factory=partial(_nothing, "statistics"))
    visitors: pl.DataFrame = field(default_factory=partial(_nothing, "visitors"))
    events_from: int = 0

    @classmethod
    def of(
        cls,
        *,
        until: int,
        people: Rows = (),
        decisions: Rows = (),
        outcomes: Rows = (),
        signals: Rows = (),
        progress: Rows = (),
        scores: Rows = (),
        recommendations: Rows = (),
        llm_calls: Rows = (),
        catalogs: Rows = (),
        statistics: Rows = (),
        visitors: Rows = (),
    ) -> Evidence:
        """Build evidence from frames or dictionaries and convert the types. Raises ``EvidenceError``."""
        return cls(
            people=conform("people", people),
            decisions=conform("decisions", decisions),
            outcomes=conform("outcomes", outcomes),
            signals=conform("signals", signals),
            progress=conform("progress", progress),
            until=until,
            scores=conform("scores", scores),
            recommendations=conform("recommendations", recommendations),
            llm_calls=conform("llm_calls", llm_calls),
            catalogs=conform("catalogs", catalogs),
            statistics=conform("statistics", statistics),
            visitors=conform("visitors", visitors),
        )

    def assigned(self) -> pl.DataFrame:
        """Return ``people`` with the probability of each group by the catalog that drew theirs: ``GROUPS`` as columns, null where unknown.

        It is the catalog under which they entered; for people from before that was recorded, the catalog of their first decision.
        """
        shares = self.catalogs.select(
            pl.col("catalog_version").alias("entered_under"), HOLDOUT, RULES, (1.0 - pl.col(HOLDOUT) - pl.col(RULES)).alias(ADAPTIVE)
        )
        first = self.decisions.sort("decided_at", "decision_id").unique("user_id", keep="first", maintain_order=True)
        return (
            self.people.join(first.select("user_id", "catalog_version"), on="user_id", how="left", maintain_order="left")
            .with_columns(entered_under=pl.coalesce(pl.col("entered_under").replace("", None), "catalog_version"))
            .drop("catalog_version")
            .join(shares, on="entered_under", how="left", maintain_order="left")
        )

    def promised(self, column: str, default: float) -> pl.DataFrame:
        """Return ``decision_id`` and ``promised``: what the catalog that each decision bears promised; ``default`` where it is unknown."""
        promises = self.catalogs.select("catalog_version", promised=pl.col(column))
        made = self.decisions.select("decision_id", "catalog_version").join(promises, on="catalog_version", how="left")
        return made.select("decision_id", pl.col("promised").fill_null(default))

    def in_force(self) -> dict[str, Any]:
        """Return the row of the catalog that made the newest decision; empty where it is not known."""
        newest = self.decisions.sort("decided_at", "decision_id").tail(1)
        known = self.catalogs.join(newest, on="catalog_version", how="semi")
        return known.row(0, named=True) if known.height else {}


def ends(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Return one row per decision whose attribution window has closed: ``decision_id``, ``reward`` (1 success, 0 failure).

    A decision with both outcomes counts as a success; a healthy run has none (``integrity.py``).
    """
    closed = outcomes.filter(pl.col("kind").is_in(["success", "failure"]))
    return closed.group_by("decision_id", maintain_order=True).agg((pl.col("kind") == "success").any().cast(pl.Float64).alias("reward"))
