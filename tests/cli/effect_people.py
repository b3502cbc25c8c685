"""Users in experiment groups, for reports on the effect of guidance."""

from __future__ import annotations

from typing import Any

import polars as pl

from reports.run_report import Learned
from state.duration import HOUR
from tests.evaluation.cases import START

_LISTS = pl.List(pl.Float64())
_STEPS = {"step_id": pl.String(), "horizon_ms": pl.Float64(), "curve_ms": _LISTS, "survival": _LISTS}
LEARNED = Learned(pl.DataFrame(schema={"context": pl.String()}), pl.DataFrame(), pl.DataFrame(schema=_STEPS), pl.DataFrame())


def people(groups: dict[str, int], under: str = "p@1", **fields: Any) -> list[dict[str, Any]]:
    """Return users who entered by the shares of the catalog ``under``; every other one of a group activated."""
    return [
        {
            "user_id": f"{under}-{group}-{number}-{sorted(fields)}",
            "experiment_group": group,
            "path_id": "p",
            "segment": "*",
            "first_seen_at": START + number,
            "signup_at": START + number,
            "activated_at": START + HOUR if number % 2 else 0,
            "entered_under": under,
            **fields,
        }
        for group, size in groups.items()
        for number in range(size)
    ]


BOTH = {"holdout": 20, "adaptive": 20}
