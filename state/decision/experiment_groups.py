"""Experiment groups: who is held out and gets no guidance, who is guided by rule, and for whom the bandit chooses."""

from __future__ import annotations

from state.catalog.plan import Plan
from state.ids import uniform
from state.person.person import Person


def experiment_group(plan: Plan, person: Person) -> str:
    """``holdout``, ``rules`` or ``adaptive``. It depends only on the id under which the person was first seen, so it never changes."""
    catalog = plan.catalog
    draw = person.draw if person.draw >= 0 else experiment_draw(person.tenant, person.user)
    if draw < catalog.holdout:
        return "holdout"
    return "rules" if draw < catalog.holdout + catalog.rules else "adaptive"


def experiment_draw(tenant: str, user: str) -> float:
    """The draw of an id, in [0, 1). It does not reveal the id, which may be deleted before the person is."""
    return uniform(b"holdout", tenant, user)
