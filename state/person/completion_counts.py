"""Counts each completed step of a person once, on the path on which it was completed, and takes a visitor's back where a user counts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from state import counters
from state.catalog.plan import Plan
from state.duration import MINUTE
from state.person.collector import Collector
from state.person.person import COUNTED_BEFORE, Person, StepState
from state.person.progress import completed, completed_at
from state.records.fact_builders import completion_metric

_MINUTE_KNOWN: Final = (None, False, "", COUNTED_BEFORE)
"""Values of ``StepState.counted`` without a minute that may be missing: not counted, under the person's path, or in no known minute."""


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

    A count follows the time of its completion, whatever moved that: an event that came late, also for a step beside the path, or a catalog.
    ``before`` and ``done`` map completed steps to times, before and after an event. ``moved``: ``before`` may be of another path or
    catalog. ``of_visitor``: the job counted the visitor when they did it.
    """
    for step, at in before.items():
        state = person.steps[step]
        if state.counted is None:
            state.counted = COUNTED_BEFORE if moved else True
        _note_minute(state, at)
    for step, state in person.steps.items():
        if step not in done and state.is_counted and state.counted_in != state.evidence // MINUTE:
            _move(person, step, completed_at(plan, step, person.steps), out)
    for step, at in done.items():
        state = person.steps[step]
        if state.is_counted:
            _move(person, step, at, out)
        else:
            state.counted, state.counted_in = "" if path == person.path else path, at // MINUTE
            if not of_visitor or (plan.path_for({}), step) not in plan.places:
                out.count(counters.STEPS_COMPLETED)
            out.rows.append(completion_metric(person, path, step, at))


def note_minutes(plan: Plan, person: Person, before: Mapping[str, int]) -> None:
    """To be called before an event that may be evidence: a release that did not note minutes counted each completion when it is so far.

    ``before`` as in ``count_completions``; a step beside the path may be counted too.
    """
    for step, state in person.steps.items():
        if state.counted not in _MINUTE_KNOWN:
            _note_minute(state, before.get(step) or completed_at(plan, step, person.steps))


def leave_path(person: Person, before: Mapping[str, int]) -> None:
    """The person leaves their path: what was counted there names it from now on. ``before`` as in ``count_completions``."""
    for step, state in person.steps.items():
        _note_minute(state, before.get(step, 0))
        if state.counted is True:
            state.counted = person.path
        elif state.counted == "":
            minute, state.counted = state.counted_in, person.path
            state.counted_in = minute


def _note_minute(state: StepState, at: int) -> None:
    """A release that did not note the minute counted a completion when it was, at ``at``; 0 where that is not known."""
    if at and state.is_counted and not state.counted_in and state.counted != COUNTED_BEFORE:
        state.counted = "" if state.counted is True else state.counted
        state.counted_in = at // MINUTE


def _move(person: Person, step: str, at: int, out: Collector) -> None:
    """Count a counted step at ``at`` instead of in another minute. 0: it does not count as completed now, and stays where it is."""
    state = person.steps[step]
    _note_minute(state, at)
    before = state.counted_in
    if not at or at // MINUTE == before or state.counted == COUNTED_BEFORE:
        return
    path = _path_of(person, state)
    out.rows.append(completion_metric(person, path, step, before * MINUTE, by=-1))
    out.rows.append(completion_metric(person, path, step, at))
    state.counted_in = at // MINUTE


def _path_of(person: Person, state: StepState) -> str:
    """The path under which the step is counted."""
    return state.counted if isinstance(state.counted, str) and state.counted else person.path


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
        if state.is_counted and state.counted != COUNTED_BEFORE and step in plan.steps:
            _note_minute(state, completed_at(plan, step, visitor.steps) or state.evidence)
            out.rows.append(completion_metric(visitor, _path_of(visitor, state), step, state.counted_in * MINUTE, by=-1))
