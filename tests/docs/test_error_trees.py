"""The tree of errors that a module draws in its docstring has all of its errors, each below the one that it is a kind of."""

from __future__ import annotations

import re
from importlib import import_module
from itertools import pairwise
from types import ModuleType

import pytest

MODULES = ["sources.errors", "sinks.clickhouse.errors", "sinks.redis.errors", "llm.review_queue"]
_BRANCH = re.compile(r"[ │]*[├└]── (\w+)")


def drawn(text: str) -> dict[str, str]:
    """Name → the name above it; empty for a root, which is the line before its first branch."""
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    lines = text.splitlines()
    for before, line in pairwise(lines):
        branch = _BRANCH.match(line)
        if branch is None:
            continue
        if _BRANCH.match(before) is None or not above:
            above = []
        root = re.match(r" *(\w+)", before)
        if not above and root is not None:
            above = [(root.start(1), root[1])]
            found[root[1]] = ""
        above = [each for each in above if each[0] < branch.start(1)]
        found[branch[1]] = above[-1][1]
        above.append((branch.start(1), branch[1]))
    return found


def defined(module: ModuleType) -> dict[str, str]:
    """Name of each error of a module → that of its base; empty where that is of another module."""
    errors = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Exception)]
    own = [each for each in errors if each.__module__ == module.__name__]
    return {each.__name__: base.__name__ if (base := each.__bases__[0]) in own else "" for each in own}


@pytest.mark.parametrize("name", MODULES)
def test_a_tree_of_errors_is_that_of_the_classes(name: str) -> None:
    module = import_module(name)
    assert drawn(module.__doc__ or "") == defined(module)


def test_a_tree_is_read_by_its_indentation() -> None:
    text = "Errors.\n\n    A   one\n    ├── B   two\n    │   └── C  three\n    └── D   four\n    E  five\n    └── F  six\n"
    assert drawn(text) == {"A": "", "B": "A", "C": "B", "D": "A", "E": "", "F": "E"}
