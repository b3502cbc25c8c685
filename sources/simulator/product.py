"""A catalog made ready for people to live in: which acts they can do, and which steps each act serves.

Everything that needs a condition evaluated is evaluated here, once; a person's life only picks among finished acts.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from sources.simulator import habits
from sources.simulator.matching import MISSING, holds, matches, payloads, values
from sources.simulator.rhythm import around
from state.catalog.model import Catalog, Matcher, Path, Step
from state.vocabulary import EventType

NOT_ACTED_OUT: Final = frozenset({"user_deleted", "identity_merged", "preferences_changed"})
"""Nobody does these in order to complete a step."""

_NEEDED: Final = {"page_view": "path", "button_click": "target", "form_submit": "form", "error": "code"}
"""Payload fields without which the event contract refuses an event; each is a text."""

_WORK: Final = frozenset({"page_view", "button_click", "form_submit", "track"})
"""What people do on purpose while they work on a step."""

_PAGES: Final = ("/", "/dashboard", "/help", "/settings", "/settings/profile", "/docs", "/pricing", "/whats-new")
_ERRORS: Final = ("validation_failed", "timeout", "http_500", "permission_denied")


class Act(NamedTuple):
    """One event that a person can cause, with its payload already encoded, and the matchers (step, index) that it satisfies."""

    type: EventType
    name: str | None
    payload: msgspec.Raw
    serves: tuple[tuple[str, int], ...]


class Place(NamedTuple):
    """A step as the people meet it. ``finish``: per completion matcher that can be satisfied, its acts and how many it takes."""

    step: Step
    friction: float
    visit: list[Act]
    work: list[Act]
    errors: list[Act]
    dead_ends: list[Act]
    controls: list[Act]
    finish: list[tuple[list[Act], int]]


class Product:
    """The acts of a catalog. ``seed`` settles each step's friction. Raises ``ValueError`` for a step that nobody could complete."""

    def __init__(self, catalog: Catalog, seed: int) -> None:
        self.paths = {path.id: path for path in catalog.paths}
        self.trait_sets = [_trait_sets(path) for path in catalog.paths]
        self._completers: dict[str, list[tuple[str, int, Matcher]]] = {}
        for step in catalog.steps:
            for index, matcher in enumerate(step.complete):
                self._completers.setdefault(matcher.type, []).append((step.id, index, matcher))
        self.times = {(step.id, index): matcher.times for step in catalog.steps for index, matcher in enumerate(step.complete)}
        rng = Random(f"{seed}/product")  # noqa: S311 (no secret)
        self.places = {step.id: self._place(step, around(rng, 1.0, habits.FRICTION_SPREAD)) for step in catalog.steps}
        pages = [self.act("page_view", None, {"path": path}) for path in _PAGES]
        self.pages = quiet if len(quiet := idle(pages)) > habits.ROUND_PAGES[1] else pages
        self.shown, self.clicked, self.dismissed, self.closed = (
            self.act(kind, None, {})
            for kind in ("recommendation_shown", "recommendation_clicked", "recommendation_dismissed", "tooltip_dismiss")
        )
        self.opt_out = self.act("preferences_changed", None, {"guidance": False})

    def act(self, kind: EventType, name: str | None, payload: dict[str, Any]) -> Act:
        """Return the act that sends this event."""
        serves = [(step, index) for step, index, matcher in self._completers.get(kind, ()) if matches(matcher, kind, name, payload)]
        return Act(kind, name, msgspec.Raw(msgspec.json.encode(payload)), tuple(serves))

    def path_of(self, traits: dict[str, Any]) -> Path | None:
        """Return the first path whose rule matches ``traits``."""
        return next((path for path in self.paths.values() if _fits(path, traits)), None)

    def _place(self, step: Step, friction: float) -> Place:
        views = [act for matcher in step.activity if matcher.type == "page_view" for act in self._satisfying(step, matcher)]
        busy = [act for matcher in step.activity if matcher.type in _WORK for act in self._satisfying(step, matcher)]
        errors = [act for matcher in step.activity if matcher.type == "error" for act in self._satisfying(step, matcher)]
        usual_errors = [self.act("error", None, {"code": code, "message": "It did not work.", "target": step.id}) for code in _ERRORS]
        fiddle = [self.act("button_click", None, {"target": f"{step.id}-{part}", "label": part}) for part in ("open", "edit", "more")]
        finish = [(self._satisfying(step, matcher), matcher.times) for matcher in step.complete if matcher.type not in NOT_ACTED_OUT]
        finish = [(acts, times) for acts, times in finish if acts]
        if not finish:
            raise ValueError(f"nobody could complete the step {step.id!r}: no event satisfies any of its complete rules")
        return Place(
            step,
            friction,
            visit=[self.act("page_view", None, {"path": _path(step.link), "title": step.title}), *views[:2]],
            work=idle([*busy, *fiddle]),
            errors=idle(errors or usual_errors),
            dead_ends=idle([self.act("button_click", None, {"target": f"{step.id}-{part}"}) for part in ("next", "save")]),
            controls=idle(fiddle),
            finish=finish,
        )

    def _satisfying(self, step: Step, matcher: Matcher) -> list[Act]:
        name = (matcher.name or f"did {step.id}") if matcher.type == "track" else matcher.name
        defaults: dict[str, dict[str, Any]] = {
            "page_view": {"path": _path(step.link)},
            "button_click": {"target": f"{step.id}-done"},
            "form_submit": {"form": step.id},
            "error": {"code": "validation_failed"},
            "signup": {"traits": {}},
            "identify": {"traits": {}},
        }
        needed = _NEEDED.get(matcher.type)
        found = [
            payload
            for payload in payloads(matcher.where, defaults.get(matcher.type, {}))
            if needed is None or _is_text(payload.get(needed))
        ]
        return [self.act(matcher.type, name, payload) for payload in found if needed is None or _is_text(payload.get(needed))]


def idle(acts: list[Act]) -> list[Act]:
    """Return those of ``acts`` that complete nothing, or all of them where each completes something."""
    return [act for act in acts if not act.serves] or acts


def _fits(path: Path, traits: dict[str, Any]) -> bool:
    return all(holds(condition, traits.get(trait, MISSING)) for trait, condition in path.match.items())


def _trait_sets(path: Path) -> list[dict[str, Any]]:
    """Some sets of the traits that ``path`` asks for. Traits are flat: a dot in a name means nothing."""
    pools = {trait: values(condition) for trait, condition in path.match.items()}
    sets = [
        {trait: pool[index * stride % len(pool)] for stride, (trait, pool) in enumerate(pools.items(), start=1) if pool}
        for index in range(12)
    ]
    return [traits for traits in sets if _fits(path, {trait: value for trait, value in traits.items() if value is not MISSING})]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _path(link: str) -> str:
    return urlsplit(link).path or "/"
