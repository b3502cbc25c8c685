"""JSON Merge Patch (RFC 7396): describes a change of a JSON value by a value of the same shape, in which null removes a field."""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class Change(NamedTuple):
    """One field that differs: its path, like ``payload.path``, and both values. ``ABSENT`` where there is none."""

    path: str
    before: Any
    after: Any


class _Absent:
    def __repr__(self) -> str:
        return "(absent)"


ABSENT = _Absent()


def shown_value(value: Any) -> str:
    """A value of a ``Change`` for people: its JSON, or that it is absent."""
    return repr(ABSENT) if value is ABSENT else json.dumps(value, ensure_ascii=False)


def merge_patch(target: Any, patch: Any) -> Any:
    """Return ``target`` with ``patch`` applied. Changes neither of them. Raises nothing."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def changes(before: Any, after: Any, path: str = "") -> list[Change]:
    """Return what differs between two JSON values, field by field, in the order of ``before`` and then of ``after``."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        same = type(before) is type(after) and before == after
        return [] if same else [Change(path, before, after)]
    found: list[Change] = []
    for name in dict.fromkeys((*before, *after)):
        found += changes(before.get(name, ABSENT), after.get(name, ABSENT), f"{path}.{name}" if path else name)
    return found
