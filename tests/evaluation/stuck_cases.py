"""Rows of users who are stuck at a step or not, as evidence for the statistics, and of decisions."""

from __future__ import annotations

from typing import Any

from evaluation.evidence import Evidence
from state.duration import DAY, HOUR
from tests.evaluation.cases import START

H = 10 * HOUR
LATER = START + 30 * DAY


def request(at: int, reason: str = "", outcome: str = "none") -> dict[str, Any]:
    """Return a decision, or the reason why there was none."""
    text = dict.fromkeys(("decision_id", "user_id", "experiment_group", "trigger", "path_id", "step_id", "segment", "arm"), "")
    return text | {"outcome": outcome, "reason": reason, "propensity": 0.0, "arms": [], "propensities": [], "decided_at": START + at}


def progress(user: str, step: str, position: int, since: int | None, done: int | None) -> dict[str, Any]:
    """Return a row of progress; ``since`` and ``done`` in ms after the start."""
    return {
        "user_id": user,
        "path_id": "p",
        "step_id": step,
        "position": position,
        "current_since_at": 0 if since is None else START + since,
        "completed_at": 0 if done is None else START + done,
    }


def said(user: str, share: float, score: float, *, time: float = 0.5, step: str = "connect", since: int = 0) -> dict[str, Any]:
    """Return a score at ``share`` of ``H``."""
    at = START + since + round(share * H)
    return {"user_id": user, "step_id": step, "share": share, "score": score, "time_alone": time, "horizon_ms": float(H), "judged_at": at}


def statistic(horizon: int, *, at: int = -DAY, step: str = "connect") -> dict[str, Any]:
    """Return the statistics of a step, learned ``at`` ms after the start."""
    return {"step_id": step, "horizon_ms": float(horizon), "learned_at": START + at}


def evidence(
    rows: list[dict[str, Any]],
    scores: list[dict[str, Any]] = [],  # noqa: B006 -- never changed
    signals: list[dict[str, Any]] = [],  # noqa: B006
    *,
    until: int = LATER,
    activated: dict[str, int] | None = None,
    guided: tuple[str, ...] = (),
    decisions: list[dict[str, Any]] = [],  # noqa: B006
    statistics: list[dict[str, Any]] = [],  # noqa: B006
    catalogs: list[dict[str, Any]] = [],  # noqa: B006
) -> Evidence:
    """Return the evidence of held-out people, but those ``guided``."""
    people = [
        {
            "user_id": user,
            "experiment_group": "adaptive" if user in guided else "holdout",
            "path_id": "p",
            "segment": "*",
            "signup_at": START,
            "activated_at": START + activated[user] if activated and user in activated else 0,
        }
        for user in sorted({row["user_id"] for row in rows})
    ]
    return Evidence.of(
        until=until,
        people=people,
        progress=rows,
        scores=scores,
        signals=signals,
        decisions=decisions,
        statistics=statistics,
        catalogs=catalogs,
    )


def crowd(count: int = 100) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every other one of ``count`` people is stuck; all others finish shortly before the end of H."""
    rows = [progress(f"u{n}", "connect", 1, 0, None if n % 2 else H - 1) for n in range(count)]
    scores = [said(f"u{n}", share, 0.9 if n % 2 else 0.1) for n in range(count) for share in (0.1, 0.5)]
    return rows, scores
