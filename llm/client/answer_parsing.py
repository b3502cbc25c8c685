"""Parses a model's answer: the one JSON object in it, whatever stands around it.

Models put thoughts before it, a sentence, a fence or a list around it, tokens of their template after it, or write it as a JSON string. All
that is no content and is left out. Two objects are no answer, because nothing says which one is meant.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any, Final, NoReturn

from pydantic import ValidationError

from llm.client.proposal import Proposal
from llm.guardrails.check_result import CheckResult

LARGEST: Final = 8_192
"""Bytes of an answer at most, without thoughts; a usual answer has a few hundred."""

_THOUGHTS: Final = re.compile(r"<(think|thinking|thought|reasoning)>.*?(?:</\1>|\Z)|\[THINK\].*?(?:\[/THINK\]|\Z)", re.DOTALL)
"""A block of thoughts at the start of an answer. One that does not end leaves nothing."""

_REST_OF_THOUGHTS: Final = re.compile(r"(?![{\[\"`]).*?</(?:think|thinking|thought|reasoning)>", re.DOTALL)
"""Thoughts whose opening tag stands in the model's template, so that only the closing one is sent."""

_OBJECT: Final = re.compile(r'\{\s*"')
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_AROUND: Final = " \t\r\n\ufeff"


def parse(raw: str) -> Proposal | CheckResult:
    """Return the proposal in ``raw``, or the failed check: ``not_json`` or ``schema``. Never raises."""
    body = _without_thoughts(raw)
    if len(body) > LARGEST or len(body.encode("utf-8", "surrogatepass")) > LARGEST:
        return CheckResult("schema", "not_json", f"more than {LARGEST} bytes")
    try:
        if _CONTROL.search(body):
            raise ValueError("a control character")
        value = _one_object(body)
    except (ValueError, RecursionError):
        return CheckResult("schema", "not_json", "not one JSON object")
    try:
        return Proposal.model_validate(value)
    except ValidationError as error:
        places = sorted({_place(each["loc"]) for each in error.errors(include_url=False, include_input=False, include_context=False)})
        return CheckResult("schema", "schema", f"unfit: {', '.join(places)}")


def is_one_object(raw: str) -> bool:
    """Whether ``raw`` is one whole JSON object and nothing else. Never raises."""
    try:
        return len(raw) <= LARGEST and isinstance(json.loads(raw), dict)
    except (ValueError, RecursionError):
        return False


def _without_thoughts(raw: str) -> str:
    """``raw`` without the thoughts before the answer, and without blanks around it."""
    body = raw.strip(_AROUND)
    for thoughts in (_THOUGHTS, _REST_OF_THOUGHTS):
        if (found := thoughts.match(body)) is not None:
            body = body[found.end() :].strip(_AROUND)
    return body


def _one_object(body: str) -> Any:
    """The JSON value of ``body``, or of the one object in it. Raises ``ValueError`` and ``RecursionError``."""
    try:
        value = _DECODER.decode(body)
    except ValueError:
        start = _OBJECT.search(body)
        if start is None:
            raise
        value, end = _DECODER.raw_decode(body, start.start())
        if _OBJECT.search(body, end):
            raise ValueError("more than one object") from None
    if isinstance(value, str):  # the object as a JSON string
        with contextlib.suppress(ValueError):
            value = _DECODER.decode(value)
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _refuse(_: str) -> NoReturn:
    raise ValueError("not a number of JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse)


def _place(location: tuple[int | str, ...]) -> str:
    """The name of the unfit field. An unknown field's name is the model's text, so it is not repeated."""
    first = location[0] if location else "object"
    return str(first) if first in _FIELDS else "object"


_FIELDS: Final = frozenset(field.alias or name for name, field in Proposal.model_fields.items())
