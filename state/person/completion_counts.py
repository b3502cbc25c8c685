"""Counts each completed step of a person once, on the path on which it was completed, and takes a visitor's back where a user counts it."""

from __future__ import annotations

from collections.abc import Mapping

from state import counters
from state.catalog.plan import Plan
from state.duration import MINUTE
from state.person.collector import Collector
from state.person.person import COUNTED_BEFORE, Person
from state.person.progress import completed, completed_at
from state.records.fact_builders import completion_metric


def count_completions(
    plan: Plan,
    person: Person,
    path: str,
    before: Mapping[str, int],
    done: Mapping[str, int],
    out: Collector,
    *,
    moved: bool = False,
    of_visitor: bool = False,
) -> None:
    """Count each step of ``done`` once, when it was completed: not again where another path or catalog had left it out in between.

    ``before`` and ``done`` map completed steps to times, before and after an event. ``moved``: ``before`` may be of another path or
    catalog. ``of_visitor``: the job counted the visitor when they did it.
    """
    for step, at in before.items():
        state = person.steps[step]
        if state.counted is None:
            state.counted = COUNTED_BEFORE if moved else True
        now = done.get(step, at)
        if now // MINUTE != at // MINUTE and state.counted and state.counted != COUNTED_BEFORE:
            counted_on = person.path if state.counted is True else state.counted
            out.rows.append(completion_metric(person, counted_on, step, at, by=-1))
            out.rows.append(completion_metric(person, counted_on, step, now))
    for step, at in done.items():
        state = person.steps[step]
        if not state.counted:
            state.counted = True if path == person.path else path
            if not of_visitor or (plan.path_for({}), step) not in plan.places:
                out.count(counters.STEPS_COMPLETED)
            out.rows.append(completion_metric(person, path, step, at))


def completed_beside_the_path(plan: Plan, person: Person) -> dict[str, int]:
    """Return what is completed beside the person's path, on that of somebody without traits: there a visitor was counted.

    Without what an earlier release knows: where that was counted is not known.
    """
    done = completed(plan, plan.path_for({}), person.steps)
    return {step: at for step, at in done.items() if (person.path, step) not in plan.places and person.steps[step].counted is not None}


def take_back_completions(plan: Plan, visitor: Person, out: Collector) -> None:
    """The user to whom the visitor's events go counts these completions now: those of steps that the catalog still has."""
    done = completed(plan, visitor.path, visitor.steps)
    for step, state in visitor.steps.items():
        if state.counted is None and step in done:  # by an earlier release
            state.counted = True
        if state.counted and state.counted != COUNTED_BEFORE and step in plan.steps:
            path = visitor.path if state.counted is True else state.counted
            at = completed_at(plan, step, visitor.steps) or state.evidence
            out.rows.append(completion_metric(visitor, path, step, at, by=-1))
