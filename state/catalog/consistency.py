"""Checks what no single field of a catalog can tell: missing references, cycles, gaps."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from state.catalog.model import Catalog, Path, Step
from state.catalog.yaml_text import Location
from state.duration import MINUTE, SECOND
from state.event_contract import is_tenant_id
from state.quantity import count
from state.vocabulary import SURFACE, TRIGGERS

BUILT_IN_SLOTS: Final = frozenset({"step", "product"})
"""Slots that every template may use: the step's title and the product's name."""
_SLOT: Final = re.compile(r"\{([^{}]*)\}")
_MOST_UNLEARNED: Final = 0.95
_MISSING: Final = "is missing; only a catalog with `observe: true` needs none"
_ONLY_TRACK: Final = "only track events have a name; test a field of {type} with where"
_SHOWN: Final = 60


def inconsistencies(catalog: Catalog) -> Iterator[tuple[Location, str]]:
    """Return the place and the message of each fault that involves several fields."""
    steps = {step.id: step for step in catalog.steps}
    duplicates = [
        fault for section in ("steps", "paths", "arms") for fault in _duplicates(section, [item.id for item in getattr(catalog, section)])
    ]
    if duplicates:
        yield from duplicates
        return  # the other checks need unique ids
    for index, step in enumerate(catalog.steps):
        yield from _step_faults(catalog, steps, index, step)
    for index, path in enumerate(catalog.paths):
        yield from _path_faults(catalog, steps, index, path)
    yield from _tenant_faults(catalog.tenants)
    for index, trait in enumerate(catalog.traits):
        if trait in catalog.traits[:index]:
            yield ("traits", index), f"{trait!r} appears twice"
    used = {step_id for path in catalog.paths for step_id in path.steps}
    for index, step in enumerate(catalog.steps):
        if step.id not in used:
            yield ("steps", index, "id"), f"step {step.id!r} is on no path"
    for at, matcher in enumerate(catalog.automatic):
        if matcher.type != "track" and matcher.name is not None:
            yield ("automatic", at, "name"), _ONLY_TRACK.format(type=matcher.type)
    yield from _wording_faults(catalog)
    yield from _template_faults(catalog)
    if not catalog.observing:
        for section in ("arms", "links"):
            if not getattr(catalog, section):
                yield (section,), _MISSING
    if not catalog.observing and catalog.arms and not any(SURFACE[arm.component] in catalog.delivers for arm in catalog.arms):
        yield ("arms",), f"no arm is on a surface that delivers ({', '.join(catalog.delivers) or 'none'})"
    if not catalog.observing and catalog.holdout + catalog.rules > _MOST_UNLEARNED + 1e-9:
        yield ("rules",), f"holdout and rules together leave too few users for the bandit; at most {_MOST_UNLEARNED}"
    if catalog.learning.exploration_floor * len(catalog.arms) >= 1:
        yield (
            ("learning", "exploration_floor"),
            f"{count(len(catalog.arms), 'arm needs', 'arms need')} at this floor more than the whole probability",
        )
    for name, value in (
        (("triggers", "stuck:inactive", "after"), catalog.triggers.inactive.after),
        (("limits", "attribution_window"), catalog.limits.attribution_window),
        (("limits", "recommendation_ttl"), catalog.limits.recommendation_ttl),
        *((("steps", index, "usual"), step.usual) for index, step in enumerate(catalog.steps)),
    ):
        if value is not None and value < (SECOND if "usual" in name else MINUTE):
            yield name, f"is too short: use {'1s' if 'usual' in name else '1m'} or more"


def _duplicates(section: str, ids: list[str]) -> Iterator[tuple[Location, str]]:
    counts = Counter(ids)
    for index, name in enumerate(ids):
        if counts[name] > 1 and name in ids[:index]:
            yield (section, index, "id"), f"{name!r} appears twice"


def _tenant_faults(tenants: list[str]) -> Iterator[tuple[Location, str]]:
    known = set[str]()
    for index, tenant in enumerate(tenants):
        if tenant in known:
            yield ("tenants", index), f"{tenant!r} appears twice"
        elif not is_tenant_id(tenant):
            yield ("tenants", index), f"no event can have the tenantId {tenant[:_SHOWN]!r} (docs/events.md says why)"
        known.add(tenant)


def _step_faults(catalog: Catalog, steps: dict[str, Step], index: int, step: Step) -> Iterator[tuple[Location, str]]:
    for at, needed in enumerate(step.requires):
        if needed not in steps:
            yield ("steps", index, "requires", at), f"no step is called {needed!r}"
        elif steps[needed].optional and not step.optional:
            yield ("steps", index, "requires", at), f"step {needed!r} is optional, so no step that is not can require it"
    if step.waiting is not None and step.usual is None:
        yield ("steps", index, "waiting"), "needs `usual`: the shares are those of users who do not complete the step within it"
    if step.measured is not None and step.usual is None:
        yield ("steps", index, "measured"), "needs `usual`: it is the number of completions from which `usual` comes"
    if _in_cycle(steps, step.id):
        yield ("steps", index, "requires"), f"step {step.id!r} requires itself, directly or through others"
    if not catalog.observing and catalog.links and not catalog.allows_link(step.link):
        yield ("steps", index, "link"), f"{step.link!r} is not among the allowed links"
    for section, matchers in (("complete", step.complete), ("activity", step.activity)):
        for at, matcher in enumerate(matchers):
            if matcher.type != "track" and matcher.name is not None:
                yield ("steps", index, section, at, "name"), _ONLY_TRACK.format(type=matcher.type)


def _in_cycle(steps: dict[str, Step], start: str) -> bool:
    todo, seen = list(steps[start].requires), set[str]()
    while todo:
        name = todo.pop()
        if name == start:
            return True
        if name in steps and name not in seen:
            seen.add(name)
            todo += steps[name].requires
    return False


def _path_faults(catalog: Catalog, steps: dict[str, Step], index: int, path: Path) -> Iterator[tuple[Location, str]]:
    for at, step_id in enumerate(path.steps):
        if step_id not in steps:
            yield ("paths", index, "steps", at), f"no step is called {step_id!r}"
        elif step_id in path.steps[:at]:
            yield ("paths", index, "steps", at), f"step {step_id!r} appears twice on this path"
        else:
            for needed in steps[step_id].requires:
                if needed in steps and needed != step_id and needed not in path.steps[:at]:
                    yield ("paths", index, "steps", at), f"step {step_id!r} requires {needed!r}, which does not come before it on this path"
    grouped = {step_id for group in path.any_of for step_id in group}
    for at, step_id in enumerate(path.steps):
        for needed in steps[step_id].requires if step_id in steps else ():
            if needed in grouped:
                yield ("paths", index, "steps", at), f"step {step_id!r} requires {needed!r}, which another of its group may replace"
    for at, step_id in enumerate(path.activated_by):
        if step_id not in path.steps:
            yield ("paths", index, "activated_by", at), f"step {step_id!r} is not on this path"
    for number, group in enumerate(path.any_of):
        for at, step_id in enumerate(group):
            place = ("paths", index, "any_of", number, at)
            if step_id not in path.steps:
                yield place, f"step {step_id!r} is not on this path"
            elif any(step_id in other for other in (*path.any_of[:number], group[:at])):
                yield place, f"step {step_id!r} appears twice"
    if path.steps and all(step_id in steps and steps[step_id].optional for step_id in path.steps) and not path.activated_by:
        yield ("paths", index, "steps"), "all steps are optional, so everybody would be activated at once; name `activated_by`"
    for earlier in catalog.paths[:index]:
        if not earlier.match:
            yield ("paths", index), f"never reached: path {earlier.id!r} before it matches everyone"
            break


def _wording_faults(catalog: Catalog) -> Iterator[tuple[Location, str]]:
    policy = catalog.wording
    if policy is None:
        return
    versions = [prompt.version for prompt in policy.prompts]
    for index, version in enumerate(versions):
        if version in versions[:index]:
            yield ("wording", "prompts", index, "version"), f"{version!r} appears twice; give it one share"
    reviewed = policy.review_languages or []
    for field, languages in (("languages", policy.languages), ("review_languages", reviewed)):
        for index, language in enumerate(languages):
            if language in languages[:index]:
                yield ("wording", field, index), f"{language!r} appears twice"
    for index, language in enumerate(reviewed):
        if language not in policy.languages:
            yield ("wording", "review_languages", index), f"{language!r} is not one of the languages ({', '.join(policy.languages)})"


def _template_faults(catalog: Catalog) -> Iterator[tuple[Location, str]]:
    tones = {arm.tone for arm in catalog.arms}
    slots = BUILT_IN_SLOTS | set(catalog.slots)
    for name in catalog.slots:
        if name in BUILT_IN_SLOTS or not name.isidentifier():
            yield ("slots", name), "a slot is named by one word, other than step and product"
    needed = [trigger for trigger in TRIGGERS if catalog.triggers.enabled(trigger) and not catalog.observing]
    if not catalog.templates and not catalog.observing:
        yield ("templates",), _MISSING + (f"; every enabled trigger needs a text: {', '.join(needed)}" if needed else "")
        needed = []
    for trigger in needed:
        if trigger not in catalog.templates:
            yield ("templates", trigger), "is missing: every enabled trigger needs a text"
            continue
        for tone in sorted(tones - set(catalog.templates[trigger])):
            yield ("templates", trigger, tone), f"is missing: an arm has the tone {tone}"
    sections: list[tuple[Location, Any]] = [(("templates",), catalog.templates)]
    sections += [(("steps", index, "templates"), step.templates) for index, step in enumerate(catalog.steps)]
    for prefix, templates in sections:
        for trigger, texts in templates.items():
            for tone, text in texts.items():
                for slot in _SLOT.findall(text):
                    if slot not in slots:
                        yield (*prefix, trigger, tone), f"no slot is called {slot!r}; there are {', '.join(sorted(slots))}"
                if "{" in _SLOT.sub("", text) or "}" in _SLOT.sub("", text):
                    yield (*prefix, trigger, tone), "has a brace without its partner"
