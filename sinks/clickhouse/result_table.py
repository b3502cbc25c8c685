"""The rows of a query as Python values, for every type of ClickHouse: read from the engine's own JSON, with the types that it names.

Arrow, in which reports read columns, has no times of a second, no UUID, no Int128 and no addresses: it turns them into numbers and bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

FORMAT: Final = "JSONCompactEachRowWithNamesAndTypes"
SETTINGS: Final[dict[str, str | int]] = {
    "date_time_output_format": "iso",
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_decimals": 1,
    "output_format_json_quote_denormals": 1,
    "output_format_decimal_trailing_zeros": 1,
    "output_format_json_named_tuples_as_objects": 1,
    "output_format_json_validate_utf8": 0,
    "output_format_json_escape_forward_slashes": 0,
}
"""What a client must set so that ``parse`` understands the answer."""

_NUMBERS: Final = ("Int", "UInt", "Float", "BFloat", "Decimal")
_TIMES: Final = frozenset({"DateTime", "DateTime32", "DateTime64"})
_FLOATS: Final = frozenset({"Float32", "Float64", "BFloat16"})

Convert = Callable[[Any], Any]


class Moment(str):
    """A time: RFC 3339 in UTC with at least milliseconds."""

    __slots__ = ()

    @property
    def shown(self) -> str:
        """For people: a fraction only where there is one."""
        return self.replace("T", " ").removesuffix("Z").removesuffix(".000")


@dataclass(frozen=True, slots=True)
class ResultTable:
    """Names and types of the columns, and the rows. Texts that are not UTF-8 have codes in place of the bytes in question."""

    names: list[str]
    types: list[str]
    rows: list[list[Any]]

    def is_number(self, column: int) -> bool:
        """Whether the values of a column are numbers."""
        name, arguments = _parts(self.types[column])
        while name in {"Nullable", "LowCardinality"}:
            name, arguments = _parts(arguments[0])
        return name.startswith(_NUMBERS)

    @property
    def distinct_names(self) -> list[str]:
        """The names of the columns. One that occurs again has its number behind it: ``n``, ``n_2``."""
        names: list[str] = []
        for name in self.names:
            again, number = name, 1
            while again in names:
                number += 1
                again = f"{name}_{number}"
            names.append(again)
        return names

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as objects."""
        names = self.distinct_names
        return [dict(zip(names, row, strict=True)) for row in self.rows]


def parse(data: bytes) -> ResultTable:
    """Read an answer in ``FORMAT``. Raises ``ValueError`` for one that is not complete."""
    try:
        lines = [json.loads(line) for line in data.decode().split("\n") if line]
    except UnicodeDecodeError:
        lines = [_with_codes(json.loads(line)) for line in data.decode(errors="surrogateescape").split("\n") if line]
    if len(lines) < 2:
        raise ValueError("the answer has no columns")
    names, types, *rows = lines
    converts = [_converter(each) for each in types]
    for row in rows:
        for column, convert in enumerate(converts):
            if convert is not None and row[column] is not None:
                row[column] = convert(row[column])
    return ResultTable(names, types, rows)


def _with_codes(value: Any) -> Any:
    """Replace each byte that is not UTF-8 by its code."""
    if isinstance(value, str):
        return value.encode(errors="surrogateescape").decode(errors="backslashreplace")
    if isinstance(value, list):
        return [_with_codes(each) for each in value]
    if isinstance(value, dict):
        return {_with_codes(name): _with_codes(each) for name, each in value.items()}
    return value


def _converter(type_name: str) -> Convert | None:
    """Return what turns the JSON of a type into its value; None where it is one already."""
    name, arguments = _parts(type_name)
    if name in {"Nullable", "LowCardinality"}:
        return _converter(arguments[0])
    if name == "SimpleAggregateFunction":
        return _converter(arguments[1])
    if name in _TIMES:
        return _moment
    if name in _FLOATS:
        return _float
    if name == "FixedString":
        return _unpadded
    if name == "Array":
        return _each(_converter(arguments[0]), lambda convert, values: [convert(each) for each in values])
    if name == "Map":
        return _each(_converter(arguments[1]), lambda convert, values: {key: convert(each) for key, each in values.items()})
    if name in {"Tuple", "Nested"}:
        parts = [_or_nothing(_converter(_without_name(each)) or _same) for each in arguments]
        if parts:
            return lambda values: _tuple(values, parts, nested=name == "Nested")
    return None


def _tuple(values: Any, parts: list[Convert], *, nested: bool) -> Any:
    if nested:
        return [_tuple(each, parts, nested=False) for each in values]
    if isinstance(values, dict):
        return {key: part(each) for (key, each), part in zip(values.items(), parts, strict=False)}
    return [part(each) for each, part in zip(values, parts, strict=False)]


def _same(value: Any) -> Any:
    return value


def _or_nothing(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _each(convert: Convert | None, over: Callable[[Convert, Any], Any]) -> Convert | None:
    return None if convert is None else lambda values: over(_or_nothing(convert), values)


def _moment(text: str) -> Moment:
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return Moment(f"{whole}.{fraction.ljust(3, '0')}Z")


def _float(value: Any) -> float:
    return math.nan if value in {"nan", "-nan"} else float(value)


def _unpadded(text: str) -> str:
    return text.rstrip("\0")


def _parts(type_name: str) -> tuple[str, list[str]]:
    """``Map(String, UInt8)`` → ``Map`` and its arguments as they are written."""
    name, bracket, rest = type_name.partition("(")
    if not bracket:
        return name.strip(), []
    arguments, depth, quote, start = [], 0, "", 0
    at = 0
    while at < len(rest) - 1:  # without the last bracket
        character = rest[at]
        if quote:
            if character == "\\":
                at += 1
            elif character == quote:
                quote = ""
        elif character in "'`\"":
            quote = character
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        elif character == "," and depth == 0:
            arguments.append(rest[start:at].strip())
            start = at + 1
        at += 1
    arguments.append(rest[start : len(rest) - 1].strip())
    return name.strip(), arguments


def _without_name(element: str) -> str:
    """The type of a tuple's element, ``a UInt8`` or ``UInt8``. A name with odd characters stands in backquotes."""
    if element.startswith("`"):
        at = 1
        while element[at] != "`":
            at += 2 if element[at] == "\\" else 1
        return element[at + 1 :].strip()
    head = element.partition("(")[0]
    name, space, _ = head.strip().partition(" ")
    return element[len(name) :].strip() if space else element
