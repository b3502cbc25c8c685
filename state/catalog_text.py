"""Reads a catalog from YAML text and says, for every fault, on which line and in which field it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
import yaml
from pydantic import ValidationError

from state.catalog import Catalog, Path, Step
from state.vocabulary import SURFACE, TRIGGERS

Location = tuple[str | int, ...]

BUILT_IN_SLOTS: Final = frozenset({"step", "product"})
"""Slots that every template may use: the step's title and the product's name."""

_SLOT: Final = re.compile(r"\{([^{}]*)\}")


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a catalog. ``line`` counts from 1."""

    source: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}"
        return f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"


class CatalogError(Exception):
    """A catalog cannot be used. ``faults`` holds everything that is wrong with it, in order of line."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = sorted(faults, key=lambda fault: (fault.line, fault.field))
        super().__init__("\n".join(map(str, self.faults)))


def parse(text: str, source: str) -> Catalog:
    """Return the catalog in ``text``. ``source`` names it in messages. Raises ``CatalogError``."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text) if root is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CatalogError([Fault(source, line, "", f"not valid YAML: {error.problem}")]) from None
    except (yaml.YAMLError, ValueError) as error:
        raise CatalogError([Fault(source, 1, "", f"not valid YAML: {error}")]) from None
    if root is None or not isinstance(data, dict):
        raise CatalogError([Fault(source, 1, "", "a catalog is a YAML mapping with id, version, product, steps, paths and more")])

    def fault(location: Location, message: str) -> Fault:
        line, shown = _find(root, location)
        return Fault(source, line, shown, message)

    faults = [Fault(source, line, field, "this key stands twice") for line, field in _repeated_keys(root, "")]
    try:
        catalog = Catalog.model_validate(data)
    except ValidationError as error:
        raise CatalogError(faults + [fault(item["loc"], _friendly(item)) for item in error.errors()]) from None
    faults += [fault(location, message) for location, message in _inconsistencies(catalog)]
    if faults:
        raise CatalogError(faults)
    return catalog


def _friendly(error: Any) -> str:
    kind, message = error["type"], str(error["msg"])
    if kind == "extra_forbidden":
        return "no such field here"
    if kind == "missing":
        return "is missing"
    message = message.removeprefix("Value error, ").removeprefix("Input should be ")
    given = error.get("input")
    if kind.endswith(("_type", "_error", "_mismatch")) or kind == "literal_error":
        if isinstance(given, str | int | float | bool) and kind != "value_error":
            return f"should be {message}, not {given!r}"
        return f"should be {message}" if kind != "value_error" else message
    return f"should be {message}" if error["msg"].startswith("Input should be ") else message


def _find(root: yaml.Node, location: Location) -> tuple[int, str]:
    """Line and written name of the deepest node along ``location``; parts that pydantic made up (union branches) are passed over."""
    node, line, shown = root, root.start_mark.line + 1, ""
    for part in location:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    node, line = value, key.start_mark.line + 1
                    shown = f"{shown}.{part}" if shown else str(part)
                    break
            else:
                if part == location[-1]:  # missing, or unknown below this mapping: name it
                    shown = f"{shown}.{part}" if shown else str(part)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
            shown = f"{shown}[{part}]"
    return line, shown


def _repeated_keys(node: yaml.Node, shown: str) -> Iterator[tuple[int, str]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = f"{shown}.{key.value}" if shown else str(key.value)
            if key.value in seen:
                yield key.start_mark.line + 1, name
            seen.add(key.value)
            yield from _repeated_keys(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _repeated_keys(value, f"{shown}[{index}]")


def _inconsistencies(catalog: Catalog) -> Iterator[tuple[Location, str]]:
    """What single fields cannot show: names that point nowhere, cycles, gaps."""
    steps = {step.id: step for step in catalog.steps}
    yield from _twice("steps", [step.id for step in catalog.steps])
    yield from _twice("paths", [path.id for path in catalog.paths])
    yield from _twice("arms", [arm.id for arm in catalog.arms])
    for index, step in enumerate(catalog.steps):
        yield from _step_faults(catalog, steps, index, step)
    for index, path in enumerate(catalog.paths):
        yield from _path_faults(catalog, steps, index, path)
    used = {step_id for path in catalog.paths for step_id in path.steps}
    for index, step in enumerate(catalog.steps):
        if step.id not in used:
            yield ("steps", index, "id"), f"step {step.id!r} is on no path"
    yield from _template_faults(catalog)
    if not any(SURFACE[arm.component] in catalog.delivers for arm in catalog.arms):
        yield ("arms",), f"no arm is on a surface that delivers ({', '.join(catalog.delivers) or 'none'})"
    if catalog.learning.exploration_floor * len(catalog.arms) >= 1:
        yield ("learning", "exploration_floor"), f"{len(catalog.arms)} arms at this floor need more than the whole probability"
    for name, value in (
        (("triggers", "stuck:inactive", "after"), catalog.triggers.inactive.after),
        (("triggers", "stuck:slow_step", "at_least"), catalog.triggers.slow_step.at_least),
        (("limits", "attribution_window"), catalog.limits.attribution_window),
        (("limits", "recommendation_ttl"), catalog.limits.recommendation_ttl),
    ):
        if value < 60_000:
            yield name, "timers are no finer than a minute: use 1m or more"


def _twice(section: str, ids: list[str]) -> Iterator[tuple[Location, str]]:
    counts = Counter(ids)
    for index, name in enumerate(ids):
        if counts[name] > 1 and name in ids[:index]:
            yield (section, index, "id"), f"{name!r} stands twice"


def _step_faults(catalog: Catalog, steps: dict[str, Step], index: int, step: Step) -> Iterator[tuple[Location, str]]:
    for at, needed in enumerate(step.requires):
        if needed not in steps:
            yield ("steps", index, "requires", at), f"no step is called {needed!r}"
    if _in_cycle(steps, step.id):
        yield ("steps", index, "requires"), f"step {step.id!r} requires itself, directly or through others"
    if not catalog.allows_link(step.link):
        yield ("steps", index, "link"), f"{step.link!r} is not among the allowed links"
    for section, matchers in (("complete", step.complete), ("activity", step.activity)):
        for at, matcher in enumerate(matchers):
            if matcher.type != "track" and matcher.name is not None:
                yield ("steps", index, section, at, "name"), f"only track events have a name; test a field of {matcher.type} with where"


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
            yield ("paths", index, "steps", at), f"step {step_id!r} stands twice on this path"
        else:
            for needed in steps[step_id].requires:
                if needed in steps and needed not in path.steps[:at]:
                    yield ("paths", index, "steps", at), f"step {step_id!r} requires {needed!r}, which does not come before it on this path"
    for at, step_id in enumerate(path.activated_by):
        if step_id not in path.steps:
            yield ("paths", index, "activated_by", at), f"step {step_id!r} is not on this path"
    for earlier in catalog.paths[:index]:
        if not earlier.match:
            yield ("paths", index), f"never reached: path {earlier.id!r} before it matches everyone"
            break


def _template_faults(catalog: Catalog) -> Iterator[tuple[Location, str]]:
    tones = {arm.tone for arm in catalog.arms}
    slots = BUILT_IN_SLOTS | set(catalog.slots)
    for name in catalog.slots:
        if name in BUILT_IN_SLOTS or not name.isidentifier():
            yield ("slots", name), "a slot's name is a word of its own, not step or product"
    for trigger in TRIGGERS:
        if not catalog.triggers.enabled(trigger):
            continue
        if trigger not in catalog.templates:
            yield ("templates", trigger), "is missing: every enabled trigger needs its words"
            continue
        for tone in sorted(tones - set(catalog.templates[trigger])):
            yield ("templates", trigger, tone), f"is missing: an arm speaks in the tone {tone}"
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
