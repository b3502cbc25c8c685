"""The product as the ``begin`` line gives it, and what people can do at each of its steps.

Only examples are given, no rules, so a page that completes one step must not be visited by chance: pages below the first segment of
a completing page are left out of browsing.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

OTHER_PAGES: Final = ("/home", "/pricing", "/help", "/account", "/changelog", "/whats-new")
"""Pages that every product has and that belong to no step."""


class Example(msgspec.Struct, rename="camel", frozen=True):
    """An event that somebody may send."""

    event_type: str
    name: str | None = None
    payload: dict[str, Any] = {}


class Alternative(msgspec.Struct, frozen=True):
    """Sending all of these events completes the step."""

    events: list[Example]


class Step(msgspec.Struct, rename="camel", frozen=True):
    """A step. ``typical_ms``: what the product's makers believe that it takes."""

    id: str
    complete: list[Alternative]
    requires: list[str] = []
    typical_ms: int = 600_000
    page: str = "/home"
    activity: list[Example] = []


class Path(msgspec.Struct, rename="camel", frozen=True):
    """A path. ``traits``: examples of sign-up traits that lead onto it."""

    id: str
    steps: list[str]
    activated_by: list[str] = []
    traits: list[dict[str, Any]] = []


class Product(msgspec.Struct, rename="camel", frozen=True):
    """All that people know of the product, and the frame of the guidance. ``new_arms``: from when on an arm exists, Unix ms."""

    paths: list[Path]
    steps: list[Step]
    arms: list[str]
    triggers: list[str]
    segment_by: list[str] = []
    attribution_window_ms: int = 86_400_000
    recommendation_ttl_ms: int = 86_400_000
    new_arms: dict[str, int] = {}

    def check(self) -> None:
        """Raise ``ValueError`` with one sentence if the parts do not fit together."""
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
    """Something that an app reports: ``kind`` is what can be seen from outside (``KINDS``), ``text`` the event's own fields as JSON."""

    kind: str
    text: bytes


KINDS: Final = {
    "home": "the first page of a visit",
    "page": "the step's page",
    "work": "an activity of the step",
    "error": "an error",
    "click": "a button that belongs to no step",
    "other": "another page",
    "finish": "an event that completes",
    "signup": "the sign-up",
    "app": "what the app reports of guidance",
}


def act(kind: str, event_type: str, payload: dict[str, Any], name: str | None = None) -> Act:
    """Make an act once, so that sending it costs no encoding."""
    fields: dict[str, Any] = {"eventType": event_type}
    if name is not None:
        fields["name"] = name
    fields["payload"] = payload
    return Act(kind, msgspec.json.encode(fields)[1:-1])


class StepActions:
    """What can be done at a step: its page, its activities, what goes wrong there, where one clicks in vain, how it is finished."""

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
    """Return the first segments of pages whose visit completes something."""
    return {
        segment_of(str(event.payload.get("path")))
        for step in product.steps
        for alternative in step.complete
        for event in alternative.events
        if event.event_type == "page_view"
    }


def in_order(path: Path, steps: dict[str, Step]) -> tuple[str, ...]:
    """Return the path's steps in the order in which people take them: the path's, but nothing before what it requires."""
    left, done = list(dict.fromkeys(path.steps)), list[str]()
    while left:
        ready = next((s for s in left if all(need in done or need not in left for need in steps[s].requires)), left[0])
        left.remove(ready)
        done.append(ready)
    return tuple(done)
