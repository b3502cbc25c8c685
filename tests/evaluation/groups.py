"""Rows of the tables about users in the groups of an experiment: who they are, what was decided about them, what the catalog promised."""

from __future__ import annotations

from typing import Any

from evaluation.effect import Lift, effect
from evaluation.evidence import Evidence
from state.duration import DAY
from tests.evaluation.cases import START


def member(user: str, group: str, *, signup: int = START, activated: int | None = None) -> dict[str, Any]:
    """Return a user of ``group``. ``activated``: so many ms after the sign-up; None: never."""
    return {
        "user_id": user,
        "experiment_group": group,
        "path_id": "p",
        "segment": "*",
        "signup_at": signup,
        "activated_at": 0 if activated is None else signup + activated,
    }


def catalog(version: str, holdout: float, rules: float = 0.0) -> dict[str, Any]:
    """Return what a version of the catalog promised."""
    return {
        "catalog_version": version,
        "holdout": holdout,
        "rules": rules,
        "exploration_floor": 0.0,
        "attribution_window_ms": DAY,
        "template_share": -1.0,
    }


def considered(person: dict[str, Any], at: int, trigger: str = "stuck:errors", *, user: str = "", version: str = "p@1") -> dict[str, Any]:
    """Return a decision about a member, or about the visitor ``user`` that they were, as it follows from their group."""
    group = person["experiment_group"]
    user = user or person["user_id"]
    return {
        "decision_id": f"{user} {at}",
        "user_id": user,
        "experiment_group": group,
        "trigger": trigger,
        "path_id": "p",
        "step_id": "s",
        "segment": "*",
        "outcome": "declined" if group == "holdout" else "decided",
        "reason": "holdout" if group == "holdout" else "",
        "arm": "",
        "propensity": 0.0,
        "arms": [],
        "propensities": [],
        "decided_at": at,
        "catalog_version": version,
    }


def primary(evidence: Evidence) -> Lift:
    """Return the comparison of adaptive with holdout, which must be there."""
    found = effect(evidence).lift_of("adaptive", "holdout")
    assert found is not None
    return found
