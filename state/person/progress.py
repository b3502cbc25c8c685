"""Progress: derived from evidence and never stored, so it cannot contradict the evidence.

A step is completed once it has evidence and every step that it requires is completed, at the later of these times. Evidence is collected
for all steps of the catalog, whatever the path, so neither the order of events nor a path that becomes known late changes the result.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Mapping

from state.catalog.plan import Plan, Rule
from state.event import Event
from state.person.person import Person, StepState


def completed(plan: Plan, path: str, steps: Mapping[str, StepState]) -> dict[str, int]:
    """Completed steps of ``path`` in its order, with the time of completion in milliseconds."""
    done: dict[str, int] = {}
    for step_id, required in plan.routes.get(path, ()):
        state = steps.get(step_id)
        if state is None or not state.evidence:
            continue
        at = state.evidence
        for each in required:
            if each not in done:
                break
            at = max(at, done[each])
        else:
            done[step_id] = at
    return done


def completed_at(plan: Plan, step: str, steps: Mapping[str, StepState]) -> int:
    """When ``step`` and all that it requires were done, whatever the path; 0 while something is missing, or the plan has no such step."""
    state = steps.get(step)
    if step not in plan.steps or state is None or not state.evidence:
        return 0
    times = [state.evidence, *(completed_at(plan, each, steps) for each in plan.steps[step].requires)]
    return max(times) if all(times) else 0


def current_step(plan: Plan, path: str, done: Mapping[str, int]) -> str:
    """First step of the path that is not completed, whose required steps are, and that need not be skipped; empty where there is none.

    An optional step is skipped once a later one is completed, and one of a group once another of the group is.
    """
    for step_id, required in plan.routes.get(path, ()):
        if step_id in done or (required and not all(each in done for each in required)):
            continue
        if step_id in plan.optional and any(each in done for each in plan.paths[path].steps[plan.paths[path].steps.index(step_id) + 1 :]):
            continue
        if any(each in done for each in plan.alternatives.get((path, step_id), ())):
            continue
        return step_id
    return ""


def activated_at(plan: Plan, path: str, done: Mapping[str, int]) -> int:
    """When the last step that activation needs was completed; 0 while one is missing."""
    needed = plan.needed.get(path)
    if not needed:
        return 0
    at = 0
    for group in needed:
        times = [done[step] for step in group if step in done]
        if not times:
            return 0
        at = max(at, min(times))
    return at


def last_progress(person: Person, done: Mapping[str, int]) -> int:
    """When the person last progressed: the last completion, or the sign-up."""
    return max([person.signup_at or person.first_seen, *done.values()])


def beginnings(plan: Plan, path: str, done: Mapping[str, int], start: int) -> dict[str, int]:
    """When each step of ``path`` first became the current one, for somebody who began at ``start`` and completed steps as ``done`` says.

    A step that was completed before its turn, or at the very time at which it would have become current, is not in it.
    """
    begun: dict[str, int] = {}
    for at in sorted({start, *(each for each in done.values() if each > start)}):
        step = current_step(plan, path, {other: each for other, each in done.items() if each <= at})
        if step:
            begun.setdefault(step, at)
    return begun


def begin_as_the_visitor(
    person: Person, done: Mapping[str, int], changed: Collection[str], begun: Mapping[str, int], *, unknown: int = -1
) -> list[str]:
    """A visitor did the ``changed`` steps before the merge: each began when it became current, by ``begun`` of all that is done now.

    So did a step whose beginning is not known, or is after its completion. What was observed of the person stays for the others, and for
    those that began at ``unknown``: the visitor may have come earlier. Return the steps that changed, in the order of ``done``.
    """
    found = []
    for step, at in done.items():
        before, since = person.since.get(step, 0), begun.get(step, 0)
        if since != unknown and (step in changed or not 0 < before <= at):
            if since:
                person.since[step] = since
            else:
                person.since.pop(step, None)
        if step in changed or person.since.get(step, 0) != before:
            found.append(step)
    return found


def record_evidence(person: Person, event: Event, rules: tuple[Rule, ...]) -> tuple[bool, list[str]]:
    """Add the evidence of ``event`` to the steps of ``rules``, which it fulfils.

    Return whether the evidence of a step changed, and the steps of which this is the earliest event so far.
    """
    changed, touched = False, []
    steps, at = person.steps, event.timestamp
    for rule in rules:
        state = steps.get(rule.step)
        if state is None:
            state = steps[rule.step] = StepState(counted=False)
        if not state.first or at < state.first:
            touched.append(rule.step)
            state.first = at
        state.last = max(state.last, at)
        if rule.completes:
            changed |= _complete(state, rule, at)
        elif event.type == "error":
            state.errors += 1
        else:
            state.attempts += 1
    return changed, touched


def _complete(state: StepState, rule: Rule, at: int) -> bool:
    if rule.times > 1:
        if state.times is None:
            state.times = {}
        times = state.times.setdefault(rule.completion, [])
        insort(times, at)
        del times[rule.times :]
        if len(times) < rule.times:
            return False
        at = times[-1]
    if state.evidence and state.evidence <= at:
        return False
    counted_in, state.evidence = state.counted_in, at
    if state.counted == "":  # it stays counted there until it is moved
        state.counted_in = counted_in
    return True
