"""Reads what a model sent: one JSON object, perhaps in a fence, or nothing at all."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from pydantic import ValidationError

from llm.proposal import Proposal, Verdict

LARGEST: Final = 8_192
"""Bytes of an answer that are looked at; an answer is a few hundred."""

_FENCE: Final = re.compile(r"```[ \t]*(?:json|JSON)?[ \t]*\r?\n?(.*?)```", re.DOTALL)


def parse(raw: str) -> Proposal | Verdict:
    """Return the proposal in ``raw``, or the verdict on what is none: ``not_json`` or ``schema``. Never raises."""
    if len(raw) > LARGEST or len(raw.encode("utf-8", "surrogatepass")) > LARGEST:
        return Verdict("schema", "not_json", f"more than {LARGEST} bytes")
    body = raw.strip(" \t\r\n")
    fenced = _FENCE.fullmatch(body)
    try:
        value = json.loads(fenced[1] if fenced else body, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return Verdict("schema", "not_json", "not one JSON object by itself")
    try:
        return Proposal.model_validate(value)
    except ValidationError as error:
        places = sorted({_place(each["loc"]) for each in error.errors(include_url=False, include_input=False, include_context=False)})
        return Verdict("schema", "schema", f"unfit: {', '.join(places)}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _refuse(_: str) -> NoReturn:
    raise ValueError("not a number of JSON")


def _place(location: tuple[int | str, ...]) -> str:
    """The field that was unfit. A field that is none of ours is the model's word, which is not repeated."""
    first = location[0] if location else "object"
    return str(first) if first in _FIELDS else "object"


_FIELDS: Final = frozenset(field.alias or name for name, field in Proposal.model_fields.items())
