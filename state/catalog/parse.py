"""Reads a catalog from YAML text (``state/catalog/yaml_text.py``).

It reports every fault with its line, its field and a suggestion what to write instead. What involves several fields is checked in
``state/catalog/consistency.py``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, get_args

import msgspec
from pydantic import BaseModel, ValidationError

from state.catalog import yaml_text
from state.catalog.consistency import inconsistencies
from state.catalog.model import Catalog
from state.catalog.yaml_text import Location
from state.duration import render

_SHOWN: Final = 60


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
    faults += [_fault(document, source, *each) for each in inconsistencies(catalog)]
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
