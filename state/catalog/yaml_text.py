"""Reads one YAML document into plain data and records the position of every value. Used for catalogs and prompts.

The rules of YAML 1.2, with fewer surprises: only ``true`` and ``false`` are booleans (``no`` is a word, and a locale), and a date,
``12:30`` and ``007`` are text. Tags (``!name``) are rejected. Anchors, aliases and merge keys (``<<``) work. Size and depth are bounded, so
a hostile text ends in an error, not in exhausted memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

T = TypeVar("T")

Location = tuple[str | int, ...]

MAX_CHARACTERS: Final = 1_000_000
MAX_DEPTH: Final = 30
MAX_NODES: Final = 100_000
"""Bounds of the text, of its nesting, and of its size with all aliases expanded."""

_CONSTANTS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_DECIMAL: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)")
_MOST_DIGITS: Final = 300
_MERGE: Final = "<<"


class YamlError(ValueError):
    """The text cannot be read. ``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


class Place(msgspec.Struct):
    """What is known of a value beside its data.

    ``inside`` holds the line and the place of each part of a mapping or list, ``text`` a scalar as written. ``size`` and ``height`` count
    its nodes and levels, aliases expanded.
    """

    inside: dict[str | int, tuple[int, Place]] = {}
    is_mapping: bool = False
    text: str = ""
    size: int = 1
    height: int = 1


class Document(NamedTuple):
    """A document: its data (``None`` where it is empty), the position of every value, and the line and field of each duplicate key."""

    data: Any
    line: int
    place: Place
    duplicates: list[tuple[int, str]]

    def find(self, location: Location) -> tuple[int, str]:
        """Line and written name of the deepest part along ``location``. The name includes a key that its mapping lacks."""
        line, place, shown = self.line, self.place, ""
        for part in location:
            key = str(part) if place.is_mapping else part
            if key in place.inside:
                line, place = place.inside[key]
            elif not (place.is_mapping and part == location[-1]):
                continue
            shown = _below(shown, key)
        return line, shown


def read(text: str) -> Document:
    """Read the one document in ``text``. Raises ``YamlError``."""
    return _checked(text, _Reader(text).document)


def _checked(text: str, read_it: Callable[[], T]) -> T:
    if len(text) > MAX_CHARACTERS:
        raise YamlError(1, f"the file is longer than {MAX_CHARACTERS:,} characters")
    try:
        return read_it()
    except MarkedYAMLError as error:
        raise YamlError(
            error.problem_mark.line + 1 if error.problem_mark else 1, _explained(error.problem or "it cannot be read")
        ) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(line, f"the character U+{error.character:04X} is not allowed in a file") from None


def read_until(text: str, key: str) -> Any:
    """Read the one document in ``text``; if it is a mapping that has ``key``, only up to its value. Raises ``YamlError`` for what it read.

    A file is read in the time that the part before the value takes: the whole of a long one takes a quarter of a second.
    """
    return _checked(text, lambda: _Reader(text, until=key).document().data)


class _Reader:
    """Builds data and places from the parser's events in one pass. An alias shares the data of its anchor.

    ``until`` is a key of the document, after whose value the document counts as ended.
    """

    def __init__(self, text: str, until: str | None = None) -> None:
        self._events: Iterator[Any] = YAML(typ="safe", pure=True).parse(text)
        self._until: Final = until
        self._named: Final[dict[str, tuple[Any, Place] | None]] = {}
        self._duplicates: Final[list[tuple[int, str]]] = []

    def document(self) -> Document:
        next(self._events)  # the stream starts
        if isinstance(next(self._events), StreamEndEvent):
            return Document(None, 1, Place(), [])
        event = next(self._events)
        data, place = self._value(event, "", 1)
        while isinstance(after := next(self._events), DocumentEndEvent):
            pass
        if not isinstance(after, StreamEndEvent):
            raise YamlError(_line(after), "a file is one document; '---' is only allowed at the top")
        return Document(data, _line(event), place, self._duplicates)

    def _value(self, event: Any, shown: str, depth: int) -> tuple[Any, Place]:
        if isinstance(event, AliasEvent):
            return self._aliased(event)
        if event.ctag is not None:
            raise YamlError(_line(event), "tags (!name) are not allowed; write plain values")
        if depth > MAX_DEPTH:
            raise YamlError(_line(event), f"nested deeper than {MAX_DEPTH} levels")
        if event.anchor:
            self._named[event.anchor] = None
        if isinstance(event, ScalarEvent):
            data, place = _scalar(event), Place(text=event.value)
        elif isinstance(event, SequenceStartEvent):
            data, place = self._list(shown, depth)
        else:
            data, place = self._mapping(shown, depth)
        if place.size > MAX_NODES or place.height > MAX_DEPTH:
            raise YamlError(_line(event), "its aliases (*name) unfold into far too much")
        if event.anchor:
            self._named[event.anchor] = data, place
        return data, place

    def _aliased(self, event: Any) -> tuple[Any, Place]:
        if event.anchor not in self._named:
            raise YamlError(_line(event), "text that begins with * or & needs quotes")
        found = self._named[event.anchor]
        if found is None:
            raise YamlError(_line(event), "an alias contains itself")
        return found

    def _list(self, shown: str, depth: int) -> tuple[list[Any], Place]:
        data, place = list[Any](), Place()
        while not isinstance(event := next(self._events), SequenceEndEvent):
            item, inside = self._value(event, f"{shown}[{len(data)}]", depth + 1)
            place.inside[len(data)] = _line(event), inside
            data.append(item)
            _grow(place, inside)
        return data, place

    def _mapping(self, shown: str, depth: int) -> tuple[dict[Any, Any], Place]:
        data, place = dict[Any, Any](), Place(is_mapping=True)
        merged = list[tuple[dict[Any, Any], Place]]()
        while not isinstance(event := next(self._events), MappingEndEvent):
            if isinstance(event, SequenceStartEvent | MappingStartEvent | AliasEvent):
                raise YamlError(_line(event), "a key is a plain word; text that begins with {, [ or * needs quotes")
            key, key_place = self._value(event, shown, depth)
            name = _below(shown, key_place.text)
            value, inside = self._value(next(self._events), name, depth + 1)
            _grow(place, inside)
            if key == _MERGE and event.implicit[0]:
                merged += _mappings(value, inside, _line(event))
                continue
            if key_place.text in place.inside:
                self._duplicates.append((_line(event), name))
            data[key] = value
            place.inside[key_place.text] = _line(event), inside
            if depth == 1 and key == self._until:
                self._events = iter((DocumentEndEvent(), StreamEndEvent()))
                break
        for other, other_place in merged:  # a mapping's own keys win, then those of the first merged one
            data = {**other, **data}
            place.inside = {**other_place.inside, **place.inside}
        return data, place


def _mappings(value: Any, place: Place, line: int) -> list[tuple[dict[Any, Any], Place]]:
    """The mappings of a merge key: one, or a list of them."""
    given = [(value, place)] if not isinstance(value, list) else list(zip(value, (each for _, each in place.inside.values()), strict=True))
    if not all(isinstance(each, dict) for each, _ in given):
        raise YamlError(line, "<< takes a mapping, like <<: *name, or a list of mappings")
    return given


def _grow(place: Place, inside: Place) -> None:
    place.size += inside.size
    place.height = max(place.height, inside.height + 1)


def _scalar(event: ScalarEvent) -> Any:
    text: str = event.value
    if not event.implicit[0]:  # in quotes, or a block of text
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        if len(text) > _MOST_DIGITS:
            raise YamlError(_line(event), f"a number has at most {_MOST_DIGITS} digits; longer text needs quotes")
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _below(shown: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{shown}[{key}]"
    if not key.strip():
        key = repr(key)  # a name that could be seen nowhere
    return f"{shown}.{key}" if shown else key


_EXPLAINED: Final = (
    (r"'\\t' that cannot start", "a tab cannot indent; use spaces"),
    (r"mapping values are not allowed", "an unexpected ': '; put text that contains ': ' in quotes, and check the indentation"),
    (r"expected the node content", "a bracket or brace is not closed, or a value is missing"),
    (r"character '([@`%])'", r"text that begins with \1 needs quotes"),
    (r"expected alphabetic", "text that begins with * or & needs quotes"),
    (
        r"expected <block end>, but found '<(?:scalar|block mapping start|block sequence start)>'",
        "check the indentation; and text that begins with { or a quote needs quotes as a whole",
    ),
    (r"expected <block end>, but found '-'", "this '-' is not in line with the list's other items"),
    (r"expected <block end>", "text that begins with {, [ or a quote needs quotes as a whole; or the indentation is wrong"),
    (r"expected ',' or '[\]}]'", "a bracket or brace is not closed, or text with a brace needs quotes"),
    (r"could not find expected ':'", "a key without ': ' after it, or quotes or indentation are missing on the line before"),
    (r"unexpected end of stream", "a quote is not closed"),
    (r"unknown escape character '(.)'", r"in double quotes \\\1 means nothing; use single quotes, or write \\\\"),
)
"""Pattern of the parser's message → message for the author."""


def _explained(problem: str) -> str:
    for pattern, words in _EXPLAINED:
        if match := re.search(pattern, problem):
            return match.expand(words)
    return problem
