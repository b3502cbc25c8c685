"""Reads a catalog from YAML text and says, for every fault, on which line and in which field it is.

The YAML is read by the rules of YAML 1.2 where 1.1 surprises: only ``true`` and ``false`` are booleans (``no`` is a word, and a
locale), ``12:30`` is text, a date is text.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast, get_args

import msgspec
import yaml
from pydantic import BaseModel, ValidationError

from state.catalog.model import Catalog, Path, Step
from state.duration import render
from state.vocabulary import SURFACE, TRIGGERS

Location = tuple[str | int, ...]

BUILT_IN_SLOTS: Final = frozenset({"step", "product"})
"""Slots that every template may use: the step's title and the product's name."""

MAX_CHARACTERS: Final = 1_000_000
MAX_DEPTH: Final = 30
MAX_NODES: Final = 100_000
"""Bounds of a file, its nesting and its size once every alias is written out: a hostile file ends in one fault, soon."""

_SLOT: Final = re.compile(r"\{([^{}]*)\}")
_SHOWN: Final = 60
_MOST_UNLEARNED: Final = 0.95


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
        root, twice, data = _load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CatalogError([Fault(source, line, "", f"not valid YAML: {_explained(error)}")]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"not valid YAML: the character U+{_code_point(error.character):04X} may not stand in a file"
        raise CatalogError([Fault(source, line, "", message)]) from None
    except (yaml.YAMLError, ValueError) as error:
        raise CatalogError([Fault(source, 1, "", f"not valid YAML: {error}")]) from None
    if root is None or not isinstance(data, dict):
        raise CatalogError([Fault(source, 1, "", "a catalog is a YAML mapping with id, version, product, steps, paths and more")])

    def fault(location: Location, message: str) -> Fault:
        line, shown = _find(root, location)
        return Fault(source, line, shown, message)

    faults = [Fault(source, line, field, "this key stands twice") for line, field in twice]
    try:
        catalog = Catalog.model_validate(data)
    except ValidationError as error:
        raise CatalogError(faults + [fault(location, message) for location, message in _told(error)]) from None
    faults += [fault(location, message) for location, message in _inconsistencies(catalog)]
    if faults:
        raise CatalogError(faults)
    return catalog


def place(text: str, source: str, location: Location, message: str) -> Fault:
    """Return ``message`` as a fault of the field at ``location`` in the sound catalog ``text``, for what only others can judge."""
    root, _, _ = _load(text)
    assert root is not None, "it was read"
    line, shown = _find(root, location)
    return Fault(source, line, shown, message)


def _code_point(character: Any) -> int:
    return ord(character) if isinstance(character, str) else int(character)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the plain scalars of YAML 1.2 and a bound on nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = cast(Any, self).peek_event()
        if getattr(event, "tag", None) is not None:
            raise yaml.composer.ComposerError(None, None, "tags (!name) are not allowed; write plain values", event.start_mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.composer.ComposerError(None, None, f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)", "-+0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first])


def _load(text: str) -> tuple[yaml.Node | None, list[tuple[int, str]], Any]:
    """Return the nodes (which know their lines), keys that stand twice, and the plain data."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"the file is longer than {MAX_CHARACTERS:,} characters")
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None, [], None
        _measure(root, {})
        twice = list(_repeated_keys(root, ""))  # before construction, which writes merged keys into the nodes
        data = loader.construct_document(root)
        if isinstance(data, dict) and isinstance(root, yaml.MappingNode):
            for key, value in root.value:  # 1.10 is a version, not the number 1.1
                if key.value == "version" and isinstance(value, yaml.ScalarNode) and "version" in data and value.value:
                    data["version"] = value.value
        return root, twice, data
    finally:
        loader.dispose()


def _measure(node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Height and number of nodes below ``node``, aliases written out. Raises when either is absurd."""
    if id(node) in known:
        measured = known[id(node)]
        if measured is None:
            raise yaml.composer.ComposerError(None, None, "an alias contains itself", node.start_mark)
        return measured
    known[id(node)] = None
    height, count = 1, 1
    children = node.value if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    for child in children:
        below, inside = _measure(child, known)
        height, count = max(height, below + 1), count + inside
    if count > MAX_NODES or height > MAX_DEPTH:
        raise yaml.composer.ComposerError(None, None, "its aliases (*name) unfold into far too much", node.start_mark)
    known[id(node)] = height, count
    return height, count


_EXPLAINED: Final = (
    (r"'\\t' that cannot start", "a tab cannot indent; use spaces"),
    (
        r"mapping values are not allowed",
        "an unexpected ': '; put text that contains ': ' in quotes, and check the indentation",
    ),
    (r"found another document|single document", "a catalog is one document; '---' may only stand at the top"),
    (r"expected the node content", "a bracket or brace is not closed, or a value is missing"),
    (r"unhashable key", "a key is a plain word; text that begins with { or [ needs quotes"),
    (r"character '([@`%])'", r"text that begins with \1 needs quotes"),
    (r"undefined alias|expected alphabetic", "text that begins with * or & needs quotes"),
    (
        r"expected <block end>, but found '<(?:scalar|block mapping start|block sequence start)>'",
        "check the indentation; and text that begins with { or a quote needs quotes as a whole",
    ),
    (r"expected <block end>, but found '-'", "this '-' is not in line with the list's other items"),
    (
        r"expected <block end>",
        "text that begins with {, [ or a quote needs quotes as a whole; or the indentation is wrong",
    ),
    (r"expected ',' or '[\]}]'", "a bracket or brace is not closed, or text with a brace needs quotes"),
    (r"could not find expected ':'", "a key without ': ' after it, or quotes or indentation are missing on the line before"),
    (r"unexpected end of stream", "a quote is not closed"),
)


def _explained(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "it cannot be read"
    for pattern, words in _EXPLAINED:
        if match := re.search(pattern, problem):
            return match.expand(words)
    return problem


_BRANCHES: Final = {"str": "string_type", "int": "int_type", "float": "float_type", "bool": "bool_type"}


def _told(error: ValidationError) -> Iterator[tuple[Location, str]]:
    """Every complaint of pydantic once, in words; the branches of a union are one complaint."""
    items = error.errors()
    branches: dict[Location, set[str]] = {}
    for item in items:
        *base, last = item["loc"]
        if item["type"] == _BRANCHES.get(str(last)) or (last == "int" and item["type"] == "int_from_float"):
            branches.setdefault(tuple(base), set()).add(str(last))
    told: set[Location] = set()
    for item in items:
        location = item["loc"]
        kinds = branches.get(location[:-1], set())
        if location[-1:] and location[-1] in kinds:
            location = location[:-1]
            if location not in told:
                told.add(location)
                what = "text, a number, true or false" if "str" in kinds else "a number"
                yield location, _should_be(what, item["input"])
        elif location[-1:] == ("[key]",):
            yield location[:-1], _friendly(item)
        else:
            yield location, _friendly(item)


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


def _friendly(error: Any) -> str:
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
    """Ask whether the one of ``choices`` that is most like ``given`` was meant; empty where none is like it."""
    close = difflib.get_close_matches(str(given).lower(), list(choices), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _no_such_field(location: Location) -> str:
    """Name the field that was probably meant, or all that there are."""
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


def _find(root: yaml.Node, location: Location) -> tuple[int, str]:
    """Line and written name of the deepest node along ``location``; parts that pydantic made up (union branches) are passed over."""
    node, line, shown = root, root.start_mark.line + 1, ""
    for part in location:
        if isinstance(node, yaml.MappingNode):
            for key, value in reversed(node.value):  # of keys that stand twice, or were merged in, the last one counts
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
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.composer.ComposerError(None, None, "unhashable key", key.start_mark)
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
    twice = [fault for section in ("steps", "paths", "arms") for fault in _twice(section, [item.id for item in getattr(catalog, section)])]
    if twice:
        yield from twice
        return  # what follows would only confuse: a name means one thing
    for index, step in enumerate(catalog.steps):
        yield from _step_faults(catalog, steps, index, step)
    for index, path in enumerate(catalog.paths):
        yield from _path_faults(catalog, steps, index, path)
    used = {step_id for path in catalog.paths for step_id in path.steps}
    for index, step in enumerate(catalog.steps):
        if step.id not in used:
            yield ("steps", index, "id"), f"step {step.id!r} is on no path"
    yield from _template_faults(catalog)
    yield from _wording_faults(catalog)
    if not any(SURFACE[arm.component] in catalog.delivers for arm in catalog.arms):
        yield ("arms",), f"no arm is on a surface that delivers ({', '.join(catalog.delivers) or 'none'})"
    if catalog.holdout + catalog.rules > _MOST_UNLEARNED + 1e-9:
        yield ("rules",), f"holdout and rules together leave nobody to guide adaptively; at most {_MOST_UNLEARNED}"
    if catalog.learning.exploration_floor * len(catalog.arms) >= 1:
        yield ("learning", "exploration_floor"), f"{len(catalog.arms)} arms at this floor need more than the whole probability"
    for name, value in (
        (("triggers", "stuck:inactive", "after"), catalog.triggers.inactive.after),
        (("limits", "attribution_window"), catalog.limits.attribution_window),
        (("limits", "recommendation_ttl"), catalog.limits.recommendation_ttl),
        *((("steps", index, "usual"), step.usual) for index, step in enumerate(catalog.steps)),
    ):
        if value is not None and value < 60_000:
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
                if needed in steps and needed != step_id and needed not in path.steps[:at]:
                    yield ("paths", index, "steps", at), f"step {step_id!r} requires {needed!r}, which does not come before it on this path"
    for at, step_id in enumerate(path.activated_by):
        if step_id not in path.steps:
            yield ("paths", index, "activated_by", at), f"step {step_id!r} is not on this path"
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
            yield ("wording", "prompts", index, "version"), f"{version!r} stands twice; give it one share"
    for index, language in enumerate(policy.languages):
        if language in policy.languages[:index]:
            yield ("wording", "languages", index), f"{language!r} stands twice"


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
