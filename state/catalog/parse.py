"""Reads a catalog from YAML text (``state/catalog/yaml_text.py``).

It reports every fault with its line, its field and a suggestion what to write instead.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, get_args

import msgspec
from pydantic import BaseModel, ValidationError

from state.catalog import yaml_text
from state.catalog.model import Catalog, Path, Step
from state.catalog.yaml_text import Location
from state.duration import MINUTE, SECOND, render
from state.event_contract import is_tenant_id
from state.quantity import count
from state.vocabulary import SURFACE, TRIGGERS

BUILT_IN_SLOTS: Final = frozenset({"step", "product"})
"""Slots that every template may use: the step's title and the product's name."""

_SLOT: Final = re.compile(r"\{([^{}]*)\}")
_SHOWN: Final = 60
_MOST_UNLEARNED: Final = 0.95
_MISSING: Final = "is missing; only a catalog with `observe: true` needs none"
_ONLY_TRACK: Final = "only track events have a name; test a field of {type} with where"


class Fault(msgspec.Struct, frozen=True):
    """One fault of a catalog. ``line`` counts from 1."""

    source: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}"
        return f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"


class CatalogError(Exception):
    """A catalog cannot be used, or several. ``faults`` holds all of their faults, in order of file and line."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = sorted(faults, key=lambda fault: (fault.source, fault.line, fault.field))
        super().__init__("\n".join(map(str, self.faults)))


def parse(text: str, source: str) -> Catalog:
    """Parse the catalog in ``text``. ``source`` names it in messages. Raises ``CatalogError``."""
    try:
        document = yaml_text.read(text)
    except yaml_text.YamlError as error:
        raise _not_valid(source, error) from None
    data, place = document.data, document.place
    if not isinstance(data, dict):
        raise CatalogError([Fault(source, 1, "", "a catalog is a YAML mapping with id, version, product, steps, paths and more")])
    if "version" in place.inside and (version := place.inside["version"][1].text):
        data["version"] = version  # keep the text: 1.10 is not the number 1.1
    faults = [Fault(source, line, field, "this key appears twice") for line, field in document.duplicates]
    try:
        catalog = Catalog.model_validate(data)
    except ValidationError as error:
        raise CatalogError(faults + [_fault(document, source, *each) for each in _model_faults(error)]) from None
    faults += [_fault(document, source, *each) for each in _inconsistencies(catalog)]
    if faults:
        raise CatalogError(faults)
    return catalog


def tenants_of(text: str, source: str) -> list[str]:
    """Return the tenants that the catalog in ``text`` names, none if it is for all others. What comes after ``tenants`` may be faulty.

    It takes a fraction of the time of ``parse``. Raises ``CatalogError`` where it cannot be known.
    """
    try:
        data = yaml_text.read_until(text, "tenants")
    except yaml_text.YamlError as error:
        raise _not_valid(source, error) from None
    if isinstance(data, dict):
        named = data.get("tenants")
        if "tenants" not in data:
            return []
        if isinstance(named, list) and named and all(isinstance(each, str) for each in named):
            return named
    return parse(text, source).tenants


def locate(text: str, source: str, found: Iterable[tuple[Location, str]]) -> list[Fault]:
    """Return each message as a fault of its field in the valid catalog ``text``. For checks that need more than the catalog."""
    document = yaml_text.read(text)
    return [_fault(document, source, *each) for each in found]


def _not_valid(source: str, error: yaml_text.YamlError) -> CatalogError:
    return CatalogError([Fault(source, error.line, "", f"not valid YAML: {error}")])


def _fault(document: yaml_text.Document, source: str, location: Location, message: str) -> Fault:
    return Fault(source, *document.find(location), message)


_BRANCHES: Final = {"str": "string_type", "int": "int_type", "float": "float_type", "bool": "bool_type"}


def _model_faults(error: ValidationError) -> Iterator[tuple[Location, str]]:
    """Every error of pydantic once, in plain words; the branches of a union are one error."""
    items = error.errors()
    branches: dict[Location, set[str]] = {}
    for item in items:
        *base, last = item["loc"]
        if item["type"] == _BRANCHES.get(str(last)) or (last == "int" and item["type"] == "int_from_float"):
            branches.setdefault(tuple(base), set()).add(str(last))
    reported: set[Location] = set()
    for item in items:
        location = item["loc"]
        kinds = branches.get(location[:-1], set())
        if location[-1:] and location[-1] in kinds:
            location = location[:-1]
            if location not in reported:
                reported.add(location)
                what = "text, a number, true or false" if "str" in kinds else "a number"
                yield location, _should_be(what, item["input"])
        elif location[-1:] == ("[key]",):
            yield location[:-1], _message_for(item)
        else:
            yield location, _message_for(item)


def _should_be(what: str, given: object) -> str:
    if given is None:
        return f"is empty; it should be {what}"
    if isinstance(given, str | int | float | bool):
        shown = str(given).lower() if isinstance(given, bool) else repr(given)
        return f"should be {what}, not {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '…'}"
    return f"should be {what}, not a {'list' if isinstance(given, list) else 'mapping'}"


_TYPES: Final = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "list_type": "a list: [a, b], or lines that begin with -",
    "dict_type": "a mapping (name: value)",
    "model_type": "a mapping (name: value)",
}


def _message_for(error: Any) -> str:
    kind, given, context = error["type"], error.get("input"), error.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return _no_such_field(error["loc"])
        case "missing":
            return "is missing"
        case "invalid_key":
            return "a field's name is text; put it in quotes"
        case "string_type" if isinstance(given, dict):
            return "should be text, not a mapping; text that begins with { or contains ': ' needs quotes"
        case "string_type" if isinstance(given, int | float):
            return _should_be("text", given) + "; put it in quotes"
        case "string_pattern_mismatch":
            return _should_be("lower-case letters, digits, _ and - (at most 64)", given)
        case "string_too_short":
            return "is empty"
        case "string_too_long":
            return f"is longer than {context['max_length']} characters"
        case "too_short":
            return f"needs at least {context['min_length']}"
        case "too_long":
            return f"has more than {context['max_length']}"
        case "literal_error":
            choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
            return _should_be(f"one of {', '.join(choices)}", given) + near(given, choices)
        case "greater_than" if isinstance(given, str):  # text that became a number is a duration
            return f"should be longer than 0, not {given!r}"
        case "less_than_equal" if isinstance(given, str):
            return f"should be at most {render(int(context['le']))}, not {given!r}"
        case "value_error" if given is None:
            return "is empty"
    if kind in _TYPES:
        return _should_be(_TYPES[kind], given)
    message = str(error["msg"]).removeprefix("Value error, ")
    if message.startswith("Input should be "):
        return _should_be(message.removeprefix("Input should be "), given)
    return message


def near(given: object, choices: Iterable[str]) -> str:
    """Suggest the one of ``choices`` that is most similar to ``given``; empty where none is similar."""
    close = difflib.get_close_matches(str(given).lower(), list(choices), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _no_such_field(location: Location) -> str:
    """Message for an unknown field: the most similar one, or all fields."""
    model: type[BaseModel] = Catalog
    for part in location[:-1]:
        named = {field.alias or name: field for name, field in model.model_fields.items()}
        if part in named:
            model = _model_in(named[str(part)].annotation) or model
    names = [field.alias or name for name, field in model.model_fields.items()]
    return "no such field here" + (near(location[-1], names) or f"; there are {', '.join(names)}")


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)


def _inconsistencies(catalog: Catalog) -> Iterator[tuple[Location, str]]:
    """Faults that involve several fields: missing references, cycles, gaps."""
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
