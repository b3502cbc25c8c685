"""Parses a model's answer: one JSON object, also inside a Markdown fence."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from pydantic import ValidationError

from llm.client.proposal import Proposal
from llm.guardrails.check_result import CheckResult

LARGEST: Final = 8_192
"""Bytes of an answer at most; a usual answer has a few hundred."""

_FENCE: Final = re.compile(r"```[ \t]*(?:json|JSON)?[ \t]*\r?\n?(.*?)```", re.DOTALL)


def parse(raw: str) -> Proposal | CheckResult:
    """Return the proposal in ``raw``, or the failed check: ``not_json`` or ``schema``. Never raises."""
    if len(raw) > LARGEST or len(raw.encode("utf-8", "surrogatepass")) > LARGEST:
        return CheckResult("schema", "not_json", f"more than {LARGEST} bytes")
    body = raw.strip(" \t\r\n")
    fenced = _FENCE.fullmatch(body)
    try:
        value = json.loads(fenced[1] if fenced else body, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return CheckResult("schema", "not_json", "not one JSON object by itself")
    try:
        return Proposal.model_validate(value)
    except ValidationError as error:
        places = sorted({_place(each["loc"]) for each in error.errors(include_url=False, include_input=False, include_context=False)})
        return CheckResult("schema", "schema", f"unfit: {', '.join(places)}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _refuse(_: str) -> NoReturn:
    raise ValueError("not a number of JSON")


def _place(location: tuple[int | str, ...]) -> str:
    """The name of the unfit field. An unknown field's name is the model's text, so it is not repeated."""
    first = location[0] if location else "object"
    return str(first) if first in _FIELDS else "object"


_FIELDS: Final = frozenset(field.alias or name for name, field in Proposal.model_fields.items())
