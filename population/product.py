"""The product of the ``begin`` line, and the actions of each of its steps.

The line has examples, not rules. A page view that completes a step must not happen by accident, so pages with the same first path segment
as a completing page are excluded from browsing.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

OTHER_PAGES: Final = ("/home", "/pricing", "/help", "/account", "/changelog", "/whats-new")
"""Pages that belong to no step."""


class Example(msgspec.Struct, rename="camel", frozen=True):
    """An example event."""

    event_type: str
    name: str | None = None
    payload: dict[str, Any] = {}


class Alternative(msgspec.Struct, frozen=True):
    """Sending all of these events completes the step."""

    events: list[Example]


class Step(msgspec.Struct, rename="camel", frozen=True):
    """A step. ``typical_ms``: the duration that the catalog expects."""

    id: str
    complete: list[Alternative]
    requires: list[str] = []
    typical_ms: int = 600_000
    page: str = "/home"
    activity: list[Example] = []


class Path(msgspec.Struct, rename="camel", frozen=True):
    """A path. ``traits``: examples of sign-up traits that match it."""

    id: str
    steps: list[str]
    activated_by: list[str] = []
    traits: list[dict[str, Any]] = []


class Product(msgspec.Struct, rename="camel", frozen=True):
    """The product and the settings of its guidance. ``new_arms``: arm -> time from which it exists, Unix ms."""

    paths: list[Path]
    steps: list[Step]
    arms: list[str]
    triggers: list[str]
    segment_by: list[str] = []
    attribution_window_ms: int = 86_400_000
    new_arms: dict[str, int] = {}

    def check(self) -> None:
        """Raise ``ValueError`` with one sentence if the parts are inconsistent."""
        known = {step.id for step in self.steps}
        for step in self.steps:
            if not step.complete or not all(alternative.events for alternative in step.complete):
                raise ValueError(f"step {step.id} has no events that complete it")
        for path in self.paths:
            for named in (*path.steps, *path.activated_by):
                if named not in known:
                    raise ValueError(f"path {path.id} names the unknown step {named}")
            if not path.steps:
                raise ValueError(f"path {path.id} has no steps")
        if not self.paths or not self.arms:
            raise ValueError("the product has no paths or no arms")
        if unknown := set(self.new_arms) - set(self.arms):
            raise ValueError(f"new arm {min(unknown)} is not among the arms")


class Act(msgspec.Struct, frozen=True):
    """An event that an app reports. ``text``: its own fields as JSON.

    ``kind`` is its role: ``home``, ``page``, ``work``, ``error``, ``click``, ``other``, ``finish``, ``signup``, ``app``.
    """

    kind: str
    text: bytes


def act(kind: str, event_type: str, payload: dict[str, Any], name: str | None = None) -> Act:
    """Encode an act once, so that sending it is cheap."""
    fields: dict[str, Any] = {"eventType": event_type}
    if name is not None:
        fields["name"] = name
    fields["payload"] = payload
    return Act(kind, msgspec.json.encode(fields)[1:-1])


class StepActions:
    """The actions of a step: its page, its activities, its errors, its controls, and the events that complete it."""

    __slots__ = ("controls", "errors", "finishes", "page", "step", "work")

    def __init__(self, step: Step, completing: set[str]) -> None:
        self.step = step
        pages = [step.page] + [str(a.payload.get("path")) for a in step.activity if a.event_type == "page_view"]
        safe = [page for page in pages if segment_of(page) not in completing]
        self.page = act("page" if safe else "home", "page_view", {"path": safe[0] if safe else "/home"})
        done = [(e.event_type, e.name, e.payload) for alternative in step.complete for e in alternative.events]
        useful = [
            a
            for a in step.activity
            if a.event_type in ("button_click", "form_submit", "track", "page_view")
            and (a.event_type, a.name, a.payload) not in done
            and not (a.event_type == "page_view" and segment_of(str(a.payload.get("path"))) in completing)
        ]
        self.work = [act("work", a.event_type, a.payload, a.name) for a in useful] or [self.page]
        errors = [a for a in step.activity if a.event_type == "error"]
        self.errors = [act("error", "error", {**a.payload, "code": a.payload.get("code") or f"{step.id}_failed"}) for a in errors] or [
            act("error", "error", {"code": f"{step.id}_failed", "message": "that did not work", "target": step.id})
        ]
        clicks = [a for a in useful if a.event_type == "button_click"]
        self.controls = [act("work", "button_click", a.payload) for a in clicks] + [
            act("click", "button_click", {"target": f"{step.id}_continue"})
        ]
        self.finishes = [[act("finish", e.event_type, e.payload, e.name) for e in alternative.events] for alternative in step.complete]


def segment_of(page: str) -> str:
    """Return the first segment of a page's path."""
    return page.lstrip("/").split("/", 1)[0]


def completing_segments(product: Product) -> set[str]:
    """Return the first path segments of pages whose view completes a step."""
    return {
        segment_of(str(event.payload.get("path")))
        for step in product.steps
        for alternative in step.complete
        for event in alternative.events
        if event.event_type == "page_view"
    }


def in_order(path: Path, steps: dict[str, Step]) -> tuple[str, ...]:
    """Return the path's steps in the order in which people take them: the path's order, with required steps first."""
    left, done = list(dict.fromkeys(path.steps)), list[str]()
    while left:
        ready = next((s for s in left if all(need in done or need not in left for need in steps[s].requires)), left[0])
        left.remove(ready)
        done.append(ready)
    return tuple(done)
