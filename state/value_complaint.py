"""Says in plain words what is wrong with one value: the texts of the validation library are for programmers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_SHOWN: Final = 60
"""Characters of a value that are repeated."""

_KINDS: Final = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping (name: value)",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a mapping (name: value)",
    "string_type": "text",
}
_BOUNDS: Final = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def complaint(error: Mapping[str, Any]) -> str:
    """Return what is wrong, as words that can follow a colon; ``error`` is one of ``ValidationError.errors()``.

    The value is repeated if ``error`` has its ``input``: leave that out where it may be a secret.
    """
    kind, context = str(error["type"]), error.get("ctx", {})
    instead = _instead(error)
    if kind in _KINDS:
        return f"it needs {_KINDS[kind]}{instead}"
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"it must be {words} {_number(context[key])}{instead}"
    match kind:
        case "finite_number":
            return f"it must be a finite number{instead}"
        case "literal_error":
            choices = re.findall(r"'([^']*)'", str(context["expected"]))
            return f"it must be one of {', '.join(choices)}{instead}"
        case "too_short" | "string_too_short":
            least, length = context["min_length"], context.get("actual_length")
            return "it is empty" if least == 1 else f"it must have at least {least} characters{'' if length is None else f', not {length}'}"
        case "too_long" | "string_too_long":
            return f"it must have at most {context['max_length']} characters"
        case "missing":
            return "it is missing"
        case "extra_forbidden":
            return "there is no such field"
    said = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    return said if said[:2].isupper() else said[:1].lower() + said[1:]


def _instead(error: Mapping[str, Any]) -> str:
    given = error.get("input")
    if not isinstance(given, str | int | float):
        return ""
    shown = repr(given) if len(repr(given)) <= _SHOWN else f"{repr(given)[:_SHOWN]}…"
    return f", not {shown}"


def _number(bound: Any) -> str:
    return f"{bound:g}" if isinstance(bound, float) and abs(bound) < 1e6 else f"{bound:,}"
