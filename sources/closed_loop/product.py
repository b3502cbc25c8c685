"""Describes a catalog to a population: which events complete a step, which are work on it, and which traits lead to a path.

The population gets no templates, no thresholds and no learned parameters.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from sources.closed_loop.payload_examples import MISSING, payloads, values
from state.catalog.model import Catalog, Matcher, Path, Step
from state.catalog.plan import Plan
from state.event_fields import REQUIRED
from state.vocabulary import IDENTITY_MERGED, SURFACE, TRIGGERS, USER_DELETED

_ALTERNATIVES: Final = 4
_TRAIT_SETS: Final = 12
_VIEWS: Final = 2

_NEVER_SENT: Final = frozenset({USER_DELETED, IDENTITY_MERGED, "preferences_changed"})
"""Users do not send these events in order to complete a step."""

_ON_PURPOSE: Final = frozenset({"page_view", "button_click", "form_submit", "track"})
_ERRORS: Final = ("validation_failed", "timeout", "http_500", "permission_denied")

_Event = dict[str, Any]


def describe(catalog: Catalog) -> dict[str, Any]:
    """Return the ``product`` of the protocol's first line. Raises ``ValueError`` for a step that no event can complete."""
    plan = Plan(catalog)
    arms = [arm for arm in catalog.arms if SURFACE[arm.component] in catalog.delivers]
    return {
        "id": catalog.id,
        "segmentBy": list(catalog.segment_by),
        "attributionWindowMs": catalog.limits.attribution_window,
        "recommendationTtlMs": catalog.limits.recommendation_ttl,
        "arms": [arm.id for arm in arms],
        "newArms": {arm.id: arm.from_ for arm in arms if arm.from_},
        "triggers": [trigger for trigger in TRIGGERS if catalog.triggers.enabled(trigger)],
        "paths": [
            {
                "id": path.id,
                "steps": list(path.steps),
                "activatedBy": list(path.activated_by or path.steps),
                "traits": _traits(plan, path),
            }
            for path in catalog.paths
        ],
        "steps": [
            {
                "id": step.id,
                "requires": list(step.requires),
                "typicalMs": step.typical,
                "page": _page(step),
                "complete": _completions(step)[:_ALTERNATIVES],
                "activity": _activity(plan, step),
            }
            for step in catalog.steps
        ],
    }


def _traits(plan: Plan, path: Path) -> list[dict[str, Any]]:
    """Examples of traits that lead to ``path``. Paths before it in the catalog are matched first."""
    pools = {trait: values(condition) for trait, condition in path.match.items()}
    found: list[dict[str, Any]] = []
    for index in range(_TRAIT_SETS):
        drawn = {trait: pool[index * stride % len(pool)] for stride, (trait, pool) in enumerate(pools.items(), start=1) if pool}
        traits: dict[str, Any] = {trait: value for trait, value in drawn.items() if value is not MISSING}
        if plan.path_for(traits) == path.id and traits not in found:
            found.append(traits)
    return found


def _completions(step: Step) -> list[dict[str, Any]]:
    found = [
        {"events": [events[number % len(events)] for number in range(matcher.times)]}
        for matcher in step.complete
        if matcher.type not in _NEVER_SENT and (events := _satisfying(step, matcher))
    ]
    if not found:
        raise ValueError(f"the step {step.id!r} cannot be completed: no event satisfies any of its complete rules; correct them")
    return found


def _activity(plan: Plan, step: Step) -> list[_Event]:
    """Events of people who work on a step, errors included. None of them completes a step."""
    made = [event for matcher in step.activity for event in _satisfying(step, matcher)]
    views = [event for event in made if event["eventType"] == "page_view"]
    work = [event for event in made if event["eventType"] in _ON_PURPOSE]
    errors = [event for event in made if event["eventType"] == "error"]
    clicks = [_event("button_click", {"target": f"{step.id}-{part}", "label": part}) for part in ("open", "edit", "more")]
    usual_errors = [_event("error", {"code": code, "message": "It did not work.", "target": step.id}) for code in _ERRORS]
    first = _event("page_view", {"path": _page(step), "title": step.title})
    found: list[_Event] = []
    for event in (first, *views[:_VIEWS], *work, *clicks, *(errors or usual_errors)):
        completes = any(rule.completes for rule in plan.rules(event["eventType"], event.get("name", ""), event["payload"]))
        if not completes and event not in found:
            found.append(event)
    return found


def _satisfying(step: Step, matcher: Matcher) -> list[_Event]:
    """Some events that satisfy ``matcher``; none if its conditions contradict each other or the event contract."""
    name = (matcher.name or f"did {step.id}") if matcher.type == "track" else matcher.name
    defaults: dict[str, dict[str, Any]] = {
        "page_view": {"path": _page(step)},
        "button_click": {"target": f"{step.id}-done"},
        "form_submit": {"form": step.id},
        "error": {"code": "validation_failed"},
        "signup": {"traits": {}},
        "identify": {"traits": {}},
    }
    needed = REQUIRED.get(matcher.type)
    found = payloads(matcher.where, defaults.get(matcher.type, {}))
    return [_event(matcher.type, payload, name) for payload in found if needed is None or _is_text(payload.get(needed))]


def _event(kind: str, payload: dict[str, Any], name: str | None = None) -> _Event:
    event: _Event = {"eventType": kind, "payload": payload}
    return event if name is None else {**event, "name": name}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _page(step: Step) -> str:
    return urlsplit(step.link).path or "/"
