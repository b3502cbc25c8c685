"""Eligibility of a person for a decision: the reasons against one, and how far the person has recovered from each arm."""

from __future__ import annotations

from typing import Final

from state.catalog.plan import Plan
from state.decision.experiment_groups import EXISTING
from state.decision.switches import OUTSIDE, PAUSED
from state.duration import DAY
from state.person.person import Person
from state.times import minute_of_day, within_hours
from state.vocabulary import SURFACE

BEFORE_THE_GROUP: Final = frozenset(
    {"no_path", "activated", "trigger_disabled", "no_alarms", "opted_out", "existing_person", "observing", PAUSED, OUTSIDE}
)
"""Reasons that come before the group: they say the same of people of every group, and none of them is guided."""


def is_stuck(trigger: str) -> bool:
    """Whether ``trigger`` is a stuck signal. Only earlier stuck decisions start its cooldown; decisions of other triggers do not."""
    return trigger.startswith("stuck:")


def reason_not_to_decide(plan: Plan, person: Person, group: str, trigger: str, step: str, at: int, switched_off: str) -> str:
    """The first reason code (``state/vocabulary.py``) against a decision at log time ``at``; empty where there is none.

    ``switched_off`` is that of a switch. It comes before the group, so that it says the same of people of every group.
    """
    limits = plan.limits
    if not person.path:
        return "no_path"
    if person.activated_at:
        return "activated"
    if not plan.enabled[trigger]:
        return "trigger_disabled"
    if step in plan.without_alarms and is_stuck(trigger):
        return "no_alarms"
    if not person.guidance or (person.refused and refuses_surface(plan, person, trigger, step, at)):
        return "opted_out"
    if group == EXISTING:
        return "existing_person"
    if plan.observing:
        return "observing"
    if switched_off:
        return switched_off
    if group == "holdout":
        return "holdout"
    if person.bot:
        return "suspected_bot"
    if not step:
        return "no_step"
    if person.quiet_from >= 0:
        minute = minute_of_day(at, str(person.traits.get("timezone", "UTC")))
        if within_hours(minute, person.quiet_from, person.quiet_to):
            return "quiet_hours"
    if len(person.decided) >= limits.daily_cap and sum(each > at - DAY for each in person.decided) >= limits.daily_cap:
        return "cap_reached"
    last = person.stuck_decided if is_stuck(trigger) else person.decided[-1] if person.decided else 0
    if last and at - last < limits.cooldown:
        return "cooldown"
    return ""


def refuses_surface(plan: Plan, person: Person, trigger: str, step: str, at: int) -> bool:
    """Whether the person wants no guidance on the surface on which it would be given."""
    arms = plan.arms(trigger, step, at) if person.refused else ()
    return bool(arms) and SURFACE[plan.component[arms[0]]] in person.refused


def arm_recovery(plan: Plan, person: Person, arms: tuple[str, ...], at: int) -> tuple[float, ...]:
    """How far the person has recovered from seeing each of ``arms``: 1 − 2^(−age / half-life); empty where none was seen."""
    if not person.arms_seen:
        return ()
    half_life = plan.policy.repeat_recovery
    return tuple(1.0 - 2.0 ** (-max(at - seen, 0) / half_life) if (seen := person.arms_seen.get(arm)) else 1.0 for arm in arms)
