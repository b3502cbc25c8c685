"""Generates examples of values and payloads that satisfy the conditions of a catalog."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from state.catalog.conditions import compile_test, find
from state.catalog.model import Condition

MISSING: Final = object()
"""Stands for a field that must be absent."""

Payload = dict[str, Any]

_VARIANTS: Final = 8


def payloads(conditions: Mapping[str, Condition], otherwise: Mapping[str, Any]) -> list[Payload]:
    """Return some different payloads that satisfy all ``conditions``; none if the conditions contradict each other.

    ``otherwise`` has values for top-level fields without a condition.
    """
    pools = {field: values(condition) for field, condition in conditions.items()}
    if not all(pools.values()):
        return []
    tests = [(tuple(field.split(".")), compile_test(condition)) for field, condition in conditions.items()]
    constrained = {field[0] for field, _ in tests}
    base = {field: value for field, value in otherwise.items() if field not in constrained}
    found: list[Payload] = []
    for index in range(min(_VARIANTS, math.prod(map(len, pools.values())))):
        payload: Payload = dict(base)
        for stride, (field, pool) in enumerate(pools.items(), start=1):
            _put(payload, field, pool[index * stride % len(pool)])
        if payload not in found and all(test(find(payload, field)) for field, test in tests):
            found.append(payload)
    return found


def values(condition: Condition) -> list[object]:
    """Return a few values that satisfy ``condition``: ``MISSING`` if the field must be absent, none if it contradicts itself."""
    holds = compile_test(condition)
    if condition.exists is False:
        return [MISSING] if holds(None) else []
    found: list[object] = []
    for value in _candidates(condition):
        if holds(value) and not any(_same(value, one) for one in found):
            found.append(value)
    if not found:
        found = [value for value in _next_numbers(condition) if holds(value)]
    return found[:_VARIANTS]


def _candidates(condition: Condition) -> Iterator[object]:
    if "eq" in condition.model_fields_set:
        yield condition.eq
        return
    if condition.in_ is not None:
        yield from condition.in_
        return
    if any(getattr(condition, test) is not None for test in ("prefix", "suffix", "contains")):
        prefix = condition.prefix or ""
        rest = [part for part in (condition.contains, condition.suffix) if part]
        glue = "" if not prefix or not prefix[-1].isalnum() else "/" if prefix[0] == "/" else "-"
        for filler in ("", "new", "main", "first", "team", "42", *(f"v{number}" for number in range(len(condition.not_in or ())))):
            yield filler.join([prefix + glue if filler else prefix, *rest] if rest else [prefix + glue, ""] if filler else [prefix])
        return
    lows = [bound for bound in (condition.gt, condition.gte) if bound is not None]
    highs = [bound for bound in (condition.lt, condition.lte) if bound is not None]
    if lows or highs:
        yield from _numbers(max(lows, default=None), min(highs, default=None), len(condition.not_in or ()))
        return
    yield from ("yes", "first", True, 1, *(f"other-{number}" for number in range(len(condition.not_in or ()))))


def _numbers(low: float | None, high: float | None, taken: int) -> Iterator[float]:
    """Numbers from ``low`` to ``high`` (either may be open), whole ones first, because most fields are counts."""
    start = low if low is not None else high if high is not None else 0
    sign = 1 if low is not None else -1
    for step in (1, 0, 2, 4, 9, *range(10, 11 + taken)):
        for whole in (math.floor(start) + sign * step, math.ceil(start) + sign * step):
            if (low is None or whole >= low) and (high is None or whole <= high):
                yield whole
    yield start
    if low is not None and high is not None:
        for part in range(1, taken + 2):
            yield low + (high - low) * part / (taken + 2)


def _next_numbers(condition: Condition) -> Iterator[float]:
    """The numbers next to the bounds, for bounds that are too close or too large for a rounder number between them."""
    if condition.gt is not None:
        yield math.nextafter(condition.gt, math.inf)
    if condition.lt is not None:
        yield math.nextafter(condition.lt, -math.inf)


def _same(left: object, right: object) -> bool:
    """Compare as JSON values: ``true`` is not 1, but 1 is 1.0."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _put(payload: Payload, field: str, value: object) -> None:
    """Set the dotted ``field``. If the value of another field conflicts, the payload stays wrong, and the caller's check rejects it."""
    if value is MISSING:
        return
    *parents, last = field.split(".")
    inner: Any = payload
    for part in parents:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            return
    inner[last] = value
