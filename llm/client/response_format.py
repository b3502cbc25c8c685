"""The output format of a request: a strict JSON Schema where the server supports it, else JSON or plain text."""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from llm.answer import Bounds
from llm.client.proposal import Proposal

Format = Literal["json_schema", "json_object", "plain"]

FORMATS: Final[tuple[Format, ...]] = ("json_schema", "json_object", "plain")
"""From the strictest down. A format that the server refuses is not used again."""

# Strict modes differ in which of these they take and some refuse the whole schema for them. The guardrails check ranges anyway.
_UNPORTABLE: Final = frozenset({"title", "default", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format", "pattern"})

_MOST_ITEMS: Final = 8  # facts that one text can use


def strict_schema(longest: int | None = None, bounds: Bounds | None = None) -> dict[str, Any]:
    """JSON Schema of ``Proposal`` for strict modes: every property required, none added, only common keywords.

    ``bounds`` fix the fields that are decided already, so that the model cannot copy them wrongly. ``longest`` bounds texts in characters
    and lists in items; not every server knows those keywords. Without it the list of facts cannot be kept empty, because servers refuse an
    empty enum.
    """
    schema = _strict(Proposal.model_json_schema(by_alias=True), longest)
    return schema if bounds is None else schema | {"properties": schema["properties"] | _bounded(schema["properties"], longest, bounds)}


def response_format(form: Format, longest: int | None = None, bounds: Bounds | None = None) -> dict[str, Any] | None:
    """The ``response_format`` of a request, None where it is left out. ``longest`` and ``bounds``: see ``strict_schema``."""
    if form == "json_schema":
        return {"type": "json_schema", "json_schema": {"name": "proposal", "strict": True, "schema": strict_schema(longest, bounds)}}
    return {"type": "json_object"} if form == "json_object" else None


def spelled_out(form: Format) -> str:
    """The addition to the system text where the server does not enforce the schema."""
    if form == "json_schema":
        return ""
    schema = json.dumps(strict_schema(), ensure_ascii=False, separators=(",", ":"))
    return f"\n\nAnswer with one JSON object and nothing else. Its JSON Schema: {schema}"


def _bounded(fields: dict[str, Any], longest: int | None, bounds: Bounds) -> dict[str, Any]:
    """The fields that ``bounds`` restrict."""
    narrow = {
        name: {"type": "string", "enum": [value], "description": fields[name]["description"]}
        for name, value in (("uiComponent", bounds.component), ("deepLink", bounds.link), ("language", bounds.language))
    }
    if bounds.facts:
        narrow["facts"] = fields["facts"] | {"items": {"type": "string", "enum": list(bounds.facts)}}
    if longest is not None:
        narrow["facts"] = fields["facts"] | narrow.get("facts", {}) | {"maxItems": len(bounds.facts)}
        narrow["text"] = fields["text"] | {"maxLength": min(longest, bounds.longest)}
    return narrow


def _strict(schema: dict[str, Any], longest: int | None) -> dict[str, Any]:
    # Property names are data, not keywords: one called "title" or "format" must survive.
    kept = {key: value for key, value in schema.items() if key not in _UNPORTABLE}
    if "properties" in kept:
        kept["properties"] = {name: _strict(value, longest) for name, value in kept["properties"].items()}
        kept["required"] = list(kept["properties"])
        kept["additionalProperties"] = False
    if isinstance(kept.get("items"), dict):
        kept["items"] = _strict(kept["items"], longest)
    if longest is not None and kept.get("type") in {"string", "array"}:
        kept |= {"maxLength": longest} if kept["type"] == "string" else {"maxItems": _MOST_ITEMS}
    return kept
