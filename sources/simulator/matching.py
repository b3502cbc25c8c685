"""Whether an event satisfies a catalog matcher, and how to make one that does.

Written for the simulator alone, apart from the engine's own matching: truth must not be computed by the code that it is to judge.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from state.catalog.model import Condition, Matcher

MISSING: Final = object()
"""What ``lookup`` finds where there is nothing."""

Payload = dict[str, Any]

_VARIANTS: Final = 8


def lookup(payload: Mapping[str, Any], field: str) -> object:
    """Return the value at the dotted ``field``, or ``MISSING``."""
    value: object = payload
    for part in field.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return MISSING
        value = value[part]
    return value


def holds(condition: Condition, value: object) -> bool:
    """Say whether ``value`` (perhaps ``MISSING``) passes every test that ``condition`` sets."""
    given = condition.model_fields_set
    present = value is not MISSING and value is not None
    if condition.exists is not None and condition.exists != present:
        return False
    if "eq" in given and not (_same(value, condition.eq) if condition.eq is not None else not present):
        return False
    if condition.in_ is not None and not any(_same(value, one) for one in condition.in_):
        return False
    if condition.not_in is not None and any(_same(value, one) for one in condition.not_in):
        return False
    return _text_holds(condition, value) and _number_holds(condition, value)


def matches(matcher: Matcher, event_type: str, name: str | None, payload: Mapping[str, Any]) -> bool:
    """Say whether an event of this type, name and payload satisfies ``matcher``."""
    if matcher.type != event_type or (matcher.name is not None and matcher.name != name):
        return False
    return all_hold(matcher.where, payload)


def all_hold(conditions: Mapping[str, Condition], payload: Mapping[str, Any]) -> bool:
    """Say whether every condition holds for its field of ``payload``. No condition holds for everything."""
    return all(holds(condition, lookup(payload, field)) for field, condition in conditions.items())


def payloads(conditions: Mapping[str, Condition], otherwise: Mapping[str, Any]) -> list[Payload]:
    """Return some different payloads that pass all ``conditions``; none if they contradict each other.

    ``otherwise`` gives values for top-level fields about which the conditions say nothing.
    """
    pools = {field: values(condition) for field, condition in conditions.items()}
    if not all(pools.values()):
        return []
    spoken_for = {field.split(".")[0] for field in conditions}
    base = {field: value for field, value in otherwise.items() if field not in spoken_for}
    found: list[Payload] = []
    for index in range(min(_VARIANTS, math.prod(map(len, pools.values())))):
        payload: Payload = dict(base)
        for stride, (field, pool) in enumerate(pools.items(), start=1):
            _put(payload, field, pool[index * stride % len(pool)])
        if payload not in found and all_hold(conditions, payload):
            found.append(payload)
    return found


def values(condition: Condition) -> list[object]:
    """Return a few values that pass ``condition``: ``MISSING`` if the field must be absent, none if it contradicts itself."""
    if condition.exists is False:
        return [MISSING] if holds(condition, MISSING) else []
    found: list[object] = []
    for value in _candidates(condition):
        if holds(condition, value) and not any(_same(value, one) for one in found):
            found.append(value)
    if not found:
        found = [value for value in _next_numbers(condition) if holds(condition, value)]
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
    """Numbers from ``low`` to ``high`` (either may be open): whole ones first, for counts are what people are asked for."""
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
    """Numbers right beside the bounds, for those so close or so large that nothing rounder lies between. Nobody sends such willingly."""
    if condition.gt is not None:
        yield math.nextafter(condition.gt, math.inf)
    if condition.lt is not None:
        yield math.nextafter(condition.lt, -math.inf)


def _same(left: object, right: object) -> bool:
    """Equal as JSON: ``true`` is not 1, but 1 is 1.0."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _text_holds(condition: Condition, value: object) -> bool:
    prefix, suffix, contains = condition.prefix, condition.suffix, condition.contains
    if prefix is None and suffix is None and contains is None:
        return True
    if isinstance(value, list):
        return prefix is None and suffix is None and contains in value
    return isinstance(value, str) and value.startswith(prefix or "") and value.endswith(suffix or "") and (contains or "") in value


def _number_holds(condition: Condition, value: object) -> bool:
    gt, gte, lt, lte = condition.gt, condition.gte, condition.lt, condition.lte
    if gt is None and gte is None and lt is None and lte is None:
        return True
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return (gt is None or value > gt) and (gte is None or value >= gte) and (lt is None or value < lt) and (lte is None or value <= lte)


def _put(payload: Payload, field: str, value: object) -> None:
    """Set the dotted ``field``. Where another field's value is in the way the payload stays wrong, and the caller's check sees it."""
    if value is MISSING:
        return
    *parents, last = field.split(".")
    inner: Any = payload
    for part in parents:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            return
    inner[last] = value
