"""Experiment groups: who is held out and gets no guidance, who is guided by rule, and for whom the bandit chooses."""

from __future__ import annotations

from state.catalog.plan import Plan
from state.ids import uniform
from state.person.person import Person


def experiment_group(plan: Plan, person: Person) -> str:
    """``holdout``, ``rules`` or ``adaptive``. It depends only on the id under which the person was first seen, so it never changes."""
    catalog = plan.catalog
    draw = uniform(b"holdout", person.tenant, person.origin or person.user)
    if draw < catalog.holdout:
        return "holdout"
    return "rules" if draw < catalog.holdout + catalog.rules else "adaptive"
