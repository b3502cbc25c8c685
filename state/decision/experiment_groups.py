"""Experiment groups: who is held out and gets no guidance, who is guided by rule, and for whom the bandit chooses.

The group is drawn from the id under which the person was first seen, with the shares of the catalog at that moment, and kept. Another
share, 0 too, applies to those who come later. Whoever moved would bring the outcomes of one treatment into the group of another.

So is kept that a person began the onboarding. A catalog with another ``starts`` guides them no more, but they stay counted: it meets only
those who return, so whoever left the figures then would make the others look worse, or better. The same holds where they themselves do
not match ``starts`` any more: what changed their traits may be an effect of guidance. Only until guidance is first considered for them,
which the groups have in common, may they still turn out not to begin.
"""

from __future__ import annotations

from typing import Final

from state.catalog.plan import Plan
from state.ids import uniform
from state.person.person import BEGUN, BEGUN_BEFORE, NOT_BEGUN, Person

EXISTING: Final = "existing"
_NAMES: Final = ("", "holdout", "rules", "adaptive")


def experiment_group(plan: Plan, person: Person) -> str:
    """``holdout``, ``rules`` or ``adaptive``; ``existing`` for a person who does not begin the onboarding and did not before."""
    group = _NAMES[person.drawn_group]
    if not counts(plan, person):
        return EXISTING
    if group:
        return group
    return "holdout" if plan.catalog.observing else _drawn(plan, person)


def begins(plan: Plan, person: Person) -> bool:
    """Whether the person begins the onboarding, by the ``starts`` of the catalog in force. Nobody else is guided."""
    return plan.everyone_starts or plan.starts(person.traits, first_seen=person.first_seen, signup_at=person.signup_at)


def counts(plan: Plan, person: Person) -> bool:
    """Whether the person counts in funnels and rates: they begin the onboarding, or began it under an earlier catalog or other traits."""
    return plan.everyone_starts or person.beginning == BEGUN_BEFORE or begins(plan, person)


def note_beginning(plan: Plan, person: Person) -> None:
    """Remember whether the person begins. To be called after a change of what ``starts`` depends on.

    Whoever had begun when guidance was considered stays counted.
    """
    if person.beginning != BEGUN_BEFORE:
        _note(plan, person, keep=person.considered)


def keep_beginning(plan: Plan, person: Person) -> None:
    """The person meets another catalog: who had begun stays counted."""
    _note(plan, person, keep=True)


def _note(plan: Plan, person: Person, *, keep: bool) -> None:
    """``keep``: who had begun stays counted. A person of an earlier release had where a step was current."""
    had_begun = person.beginning >= BEGUN or (not person.beginning and bool(person.since))
    if begins(plan, person):
        person.beginning = BEGUN
    else:
        person.beginning = BEGUN_BEFORE if keep and had_begun else NOT_BEGUN


def experiment_draw(tenant: str, user: str) -> float:
    """The draw of an id, in [0, 1). It does not reveal the id, which may be deleted before the person is."""
    return uniform(b"holdout", tenant, user)


def draw_of(person: Person) -> float:
    """The draw of the id under which the person was first seen."""
    return person.draw if person.draw is not None else experiment_draw(person.tenant, person.user)


def enter(plan: Plan, person: Person) -> None:
    """A person is new, or their first id became known: draw the group, and remember by whose shares."""
    person.entered_under = plan.version
    draw_group(plan, person)
    note_beginning(plan, person)


def draw_group(plan: Plan, person: Person) -> None:
    """Draw the group of a person who has none. A catalog that only observes draws none."""
    person.drawn_group = 0 if plan.catalog.observing else _NAMES.index(_drawn(plan, person))


def _drawn(plan: Plan, person: Person) -> str:
    catalog = plan.catalog
    draw = draw_of(person)
    if draw < catalog.holdout:
        return "holdout"
    return "rules" if draw < catalog.holdout + catalog.rules else "adaptive"
