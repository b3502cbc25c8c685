"""The event contract as JSON Schema (draft 2020-12), built from the decoder's own sets. A test compares it with ``docs/event.schema.json``.

The schema accepts the same messages as the decoder, with the exceptions in ``BEYOND`` and ``STRICTER``.
"""

from __future__ import annotations

import re
from typing import Any, Final

from state.event_contract import MAX_DEPTH, MAX_PAYLOAD
from state.event_fields import REQUIRED
from state.messages import MAX_MESSAGE
from state.placeholders import NOTHING, PLACEHOLDER_IDS, TAG_BEGINS
from state.upcast import VERSIONS
from state.vocabulary import KNOWN_TYPES, SWITCH_ACTIONS, SWITCHED

Json = dict[str, Any]

ID: Final = "https://onramp.example/event.schema.json"

BEYOND: Final = (
    f"Sizes in bytes: a message has at most {MAX_MESSAGE:,}, its payload at most {MAX_PAYLOAD:,}.",
    f"A payload is nested at most {MAX_DEPTH} levels deep, and its numbers fit into 64 bits.",
    "The timestamp is a date that exists, from the year 2000 to 24 hours after the time of the log; :60 only where UTC is 23:59.",
    "schemaVersion is written 1 or 2, not 1.0.",
)
"""Rules of the decoder that JSON Schema cannot express: it accepts more."""
STRICTER: Final = (
    "preferences_changed: the decoder reads more spellings of each value, and accepts an event with a refusal whatever else it has.",
)
"""Rules of the schema that the decoder does not have: the decoder accepts more."""

_HIDDEN_CLASS: Final = (
    "\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u115f\\u1160\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0"
    "\\ufff9-\\ufffd\U000e0000-\U000e007f"
)
"""As ``state.decode`` has it. Beyond U+FFFF the characters themselves: regular expressions differ in how they write them."""
_TAG: Final = r"\{\{[\s\S]*\}\}|[$#]?\{(?![0-9a-fA-F]{8}-)[\s\S]*\}|<%[\s\S]*%>|\[\[[\s\S]*\]\]|\*\|[\s\S]*\|\*|%%?[\w.\- ]+%%?|%[a-zA-Z@]"


def _any_case(text: str) -> str:
    return "".join(f"[{each.lower()}{each.upper()}]" if each.isalpha() else re.escape(each) for each in text)


def _spelled() -> str:
    return "|".join(re.escape(text).replace("\\-", "-").replace("\\#", "#").replace("\\ ", " ") for text in sorted(PLACEHOLDER_IDS) if text)


def _nobody() -> str:
    """A pattern of texts that are placeholders or template tags, in any case."""
    return "|".join((_spelled(), *(_any_case(text).replace("\\ ", " ") for text in NOTHING), _TAG))


def _id(longest: int, placeholder: Json, *, more: str = "") -> Json:
    """A text without hidden characters, and ``more``, that is no ``placeholder``."""
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": longest,
        "not": {"anyOf": [{"pattern": f"[{_HIDDEN_CLASS}{more}]"}, placeholder]},
    }


def event_schema() -> Json:
    """Return the schema."""
    begins = f"^(?=[{re.escape(''.join(sorted(TAG_BEGINS)))}])(?:{_nobody()})\\s*$"
    anybody = {"pattern": f"^\\s*(?:{_nobody()})?\\s*$"}
    user = _id(256, {"anyOf": [{"pattern": f"^\\s*(?:{_spelled()})?\\s*$"}, {"pattern": begins}]})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "Onramp event",
        "description": "One event, as docs/events.md explains it. Unknown fields are ignored.",
        "$comment": " ".join(("Beyond this schema:", *BEYOND, "Stricter than the decoder:", *STRICTER)),
        "type": "object",
        "required": ["eventId", "eventType", "timestamp"],
        "properties": {
            "eventId": {
                "description": "The idempotency key: the same id for the same user counts once.",
                **_id(128, {"anyOf": [{"enum": sorted(PLACEHOLDER_IDS)}, {"pattern": "^\\s+$"}, {"pattern": begins}]}),
            },
            "userId": {"description": "The user. Takes precedence over anonymousId.", "type": ["string", "null"], "maxLength": 256},
            "anonymousId": {"description": "A visitor who has not signed in.", "type": ["string", "null"], "maxLength": 256},
            "tenantId": {"default": "default", **_id(128, anybody, more=":{}")},
            "sessionId": {"type": ["string", "null"], "maxLength": 256},
            "eventType": {"enum": sorted(KNOWN_TYPES)},
            "name": {"type": ["string", "null"], "maxLength": 256},
            "timestamp": {
                "type": "string",
                "format": "date-time",
                "pattern": (
                    "^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)"
                    "(\\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])$"
                ),
            },
            "payload": {"type": "object", "default": {}},
            "schemaVersion": {"enum": list(VERSIONS), "default": 1},
        },
        "anyOf": [
            {"required": ["userId"], "properties": {"userId": user}},
            {
                "required": ["anonymousId"],
                "properties": {"userId": {"anyOf": [{"type": "null"}, {"pattern": "^\\s*$"}]}, "anonymousId": _id(256, anybody)},
            },
        ],
        "allOf": [
            *(_of(kind, {"payload": _needs(needed, anybody)}, "payload") for kind, needed in REQUIRED.items()),
            *_traits(),
            _of("preferences_changed", {"payload": _preferences()}),
            {**_of(SWITCHED, {"payload": _switch(), "userId": user}, "payload", "userId")},
        ],
    }


def _of(kind: str, properties: Json, *required: str) -> Json:
    """What holds for one event type."""
    then: Json = {"properties": properties}
    return {"if": _has({"eventType": {"const": kind}}), "then": {**then, "required": list(required)} if required else then}


def _has(properties: Json) -> Json:
    return {"required": list(properties), "properties": properties}


def _needs(field: str, anybody: Json) -> Json:
    text: Json = _id(256, anybody) if field == "previousId" else {"type": "string", "minLength": 1}
    return {"required": [field], "properties": {field: text}}


def _traits() -> list[Json]:
    about = {"eventType": {"enum": ["identify", "signup"]}}
    traits: Json = {"type": ["object", "null"]}
    newer = _has({**about, "schemaVersion": {"const": 2}})
    return [
        {
            "if": {"allOf": [_has(about), {"not": newer}]},
            "then": {"properties": {"payload": {"properties": {"traits": traits}}}},
        },
        {
            "if": newer,
            "then": {"properties": {"traits": traits, "payload": {"not": {"required": ["traits"]}}}},
        },
    ]


def _preferences() -> Json:
    time = {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}
    hours = {"type": "object", "required": ["start", "end"], "properties": {"start": time, "end": time, "enabled": False}}
    names = ("guidance", "modelText", "channels", "quietHours")
    misspelt = "^(" + "|".join(_any_spelling(each) for each in names) + ")$"
    return {
        "properties": {
            "guidance": {"type": "boolean"},
            "modelText": {"type": "boolean"},
            "channels": {"type": "array", "items": {"enum": ["email", "in_app"]}},
            "quietHours": {"anyOf": [{"type": "null"}, hours]},
        },
        "propertyNames": {"anyOf": [{"enum": list(names)}, {"not": {"pattern": misspelt}}]},
    }


def _any_spelling(name: str) -> str:
    """A pattern of a name in any case, with any of the signs between its letters that the decoder takes for a misspelling."""
    return "[-_ ]*" + "".join(f"[{each.lower()}{each.upper()}][-_ ]*" for each in name)


def _switch() -> Json:
    share: Json = {"type": "number", "minimum": 0, "maximum": 1}
    return {
        "description": "Only `onramp guidance` sends it.",
        "required": ["action"],
        "properties": {"action": {"enum": list(SWITCH_ACTIONS)}, "because": {"type": "string"}},
        "if": _has({"action": {"const": "ramp"}}),
        "then": {"required": ["share"], "properties": {"share": share}},
    }
