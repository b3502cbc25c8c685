"""The conditions of a catalog as functions that test a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from state.catalog.model import Condition

Fields = Mapping[str, Any]
Test = Callable[[Any], bool]


def find(payload: Fields, field: tuple[str, ...]) -> Any:
    """Value of a nested field, ``None`` where it is missing."""
    value: Any = payload
    for part in field:
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def compile_test(condition: Condition) -> Test:
    """Compile ``condition`` to a function that returns whether a value passes all its tests. A value of another type passes none."""
    tests = [_MAKE[name](getattr(condition, name)) for name in sorted(condition.model_fields_set)]
    return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)


def _same(wanted: Any, value: Any) -> bool:
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)


def _number(compare: Callable[[Any, Any], bool]) -> Callable[[Any], Test]:
    return lambda wanted: lambda value: isinstance(value, int | float) and not isinstance(value, bool) and compare(value, wanted)


_MAKE: Final[dict[str, Callable[[Any], Test]]] = {
    "eq": lambda wanted: lambda value: _same(wanted, value),
    "in_": lambda wanted: lambda value: any(_same(each, value) for each in wanted),
    "not_in": lambda wanted: lambda value: not any(_same(each, value) for each in wanted),
    "prefix": lambda wanted: lambda value: isinstance(value, str) and value.startswith(wanted),
    "suffix": lambda wanted: lambda value: isinstance(value, str) and value.endswith(wanted),
    "contains": lambda wanted: lambda value: isinstance(value, str | list) and wanted in value,
    "gt": _number(lambda value, wanted: value > wanted),
    "gte": _number(lambda value, wanted: value >= wanted),
    "lt": _number(lambda value, wanted: value < wanted),
    "lte": _number(lambda value, wanted: value <= wanted),
    "exists": lambda wanted: lambda value: (value is not None) == wanted,
}
