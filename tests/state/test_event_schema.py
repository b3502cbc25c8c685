"""The published JSON Schema and the decoder agree, in both directions, but for what the schema's module names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from scripts.write_event_schema import PAGE, written
from state.decode import decode
from state.event import Event
from state.event_fields import REQUIRED
from state.event_schema import event_schema
from state.messages import Message
from state.placeholders import PLACEHOLDER_IDS
from state.records.dead_letter import DeadLetter
from state.upcast import NEWEST, VERSIONS
from state.vocabulary import EVENT_TYPES, SWITCHED

NOW: Final = 1_767_600_000_000
SCHEMA: Final = event_schema()
VALIDATOR: Final = Draft202012Validator(SCHEMA)

ODD_TEXTS: Final = [
    *sorted(PLACEHOLDER_IDS), *"a u-17 0 undefinedx {{id}} {{x %FNAME% ${user} <%=x%> [[x]] *|X|* uNdEfInEd".split(),
    *"NaN N/A #n/a <NULL> a:b {b} {3f2504e0-4f89-11d3-9a0c-0305e82c3301}".split(), "", " ", "  null ", " {{id}} ", "\u00a0",
    "é", "x\u200by", "\u202eevil", "a\nb", "a\n", "\U000e0001", "\ufeff", "\ufffd", "٣",
    "x" * 128, "x" * 129, "x" * 256, "x" * 257,
]  # fmt: skip
OTHER: Final[list[Any]] = [None, True, False, 0, 1, 2, 0.5, -1, [], ["a"], {}, {"a": 1}]
TIMES: Final = [
    "2026-01-05T08:00:00Z", "2026-01-05t08:00:00z", "2026-01-05 08:00:00Z", "2026-01-05T08:00:00+0100", "2026-01-05T08:00:00+01:00",
    "2026-01-05T08:00:00.123456789Z", "2026-01-05T08:00Z", "2026-01-05T08:00:00", "2026-01-05T08:00:00+01", "2026-01-05T08:00:00.Z",
    "2026-01-05T24:00:00Z", "2026-13-05T08:00:00Z", "2026-1-5T08:00:00Z", "2026-01-05T08:00:00+24:00", " 2026-01-05T08:00:00Z", "now",
    "2016-12-31T23:59:60Z", "2026-01-05T08:00:00-00:60",
]  # fmt: skip
TEXT: Final = st.sampled_from(ODD_TEXTS) | st.text(max_size=6)
VALUE: Final = TEXT | st.sampled_from(OTHER)
SHARE: Final = st.sampled_from([0, 1, 0.5, 1.5, -1, True, None, "1"])


def _payload(kind: str) -> st.SearchStrategy[Any]:
    fields: dict[str, st.SearchStrategy[Any]] = {"other": VALUE}
    if kind in REQUIRED:
        fields[REQUIRED[kind]] = VALUE
    if kind in ("signup", "identify", "page_view"):
        fields["traits"] = VALUE | st.just({"persona": "analyst"})
    if kind == "preferences_changed":
        fields |= {
            "guidance": st.booleans(),
            "modelText": st.booleans(),
            "channels": st.lists(st.sampled_from(["in_app", "email"])),
            "quietHours": st.sampled_from([None, {"start": "22:00", "end": "07:00"}]),
        }
    if kind == SWITCHED:
        fields |= {"action": st.sampled_from(["pause", "resume", "ramp", "stop", 1]), "share": SHARE, "because": VALUE}
    payload: st.SearchStrategy[Any] = st.fixed_dictionaries({}, optional=fields)
    return payload if kind == "preferences_changed" else payload | st.sampled_from(OTHER)


def _sound(kind: str) -> dict[str, Any]:
    payload: dict[str, Any] = {REQUIRED[kind]: "c1"} if kind in REQUIRED else {"action": "pause"} if kind == SWITCHED else {}
    return {"eventId": "e1", "userId": "u1", "eventType": kind, "timestamp": "2026-01-05T08:00:00Z", "payload": payload}


@st.composite
def nearly_events(draw: st.DrawFn) -> dict[str, Any]:
    """A sound event in which up to four fields are others, or absent."""
    kind = draw(st.sampled_from([*sorted(EVENT_TYPES), SWITCHED]))
    event = _sound(kind)
    others: dict[str, st.SearchStrategy[Any]] = {
        "eventId": VALUE, "userId": VALUE, "anonymousId": VALUE, "tenantId": VALUE, "sessionId": VALUE, "name": VALUE,
        "eventType": st.sampled_from(["signup", "Signup", "", None, 1]), "timestamp": st.sampled_from(TIMES) | st.sampled_from(OTHER),
        "payload": _payload(kind), "traits": VALUE | st.just({"persona": "analyst"}),
        "schemaVersion": st.sampled_from([*VERSIONS, 0, NEWEST + 1, "1", None, True]), "context": VALUE,
    }  # fmt: skip
    for field in draw(st.lists(st.sampled_from(sorted(others)), max_size=4, unique=True)):
        if draw(st.booleans()) or field not in event:
            event[field] = draw(others[field])
        else:
            del event[field]
    return event


def decoded(event: dict[str, Any]) -> Event | DeadLetter:
    return decode(Message(json.dumps(event).encode(), None, "t", 0, 0, NOW, NOW, 1))


@settings(max_examples=250, deadline=None)
@given(nearly_events())
def test_what_the_schema_accepts_decodes_and_what_decodes_the_schema_accepts(event: dict[str, Any]) -> None:
    found = decoded(event)
    why = found.detail if isinstance(found, DeadLetter) else [error.message[:100] for error in VALIDATOR.iter_errors(event)]
    assert VALIDATOR.is_valid(event) == isinstance(found, Event), why


@pytest.mark.parametrize("field", ["eventId", "userId", "anonymousId", "tenantId", "sessionId", "previousId"])
def test_each_odd_text_as_each_id(field: str) -> None:
    for text in ODD_TEXTS:
        event = {**_sound("identity_merged"), field: text}
        if field == "previousId":
            event["payload"] = {field: text}
        if field == "anonymousId":
            del event["userId"]
        assert VALIDATOR.is_valid(event) == isinstance(decoded(event), Event), text


@pytest.mark.parametrize(
    ("payload", "sound"),
    [
        ({"guidance": False}, True),
        ({"guidance": True, "channels": ["email"], "quietHours": None, "modelText": True, "theme": "dark"}, True),
        ({"quietHours": {"start": "22:00", "end": "07:00"}}, True),
        ({"guidance": "perhaps"}, False),
        ({"channels": {"pigeon": True}, "guidance": 7}, False),
        ({"quiet_hours": None}, False),
        ({"Guidance": True}, False),
        ({"quietHours": {"start": 22, "end": 7}}, False),
    ],
)
def test_preferences_in_their_plain_form(payload: dict[str, Any], sound: bool) -> None:
    event = {**_sound("preferences_changed"), "payload": payload}
    assert (VALIDATOR.is_valid(event), isinstance(decoded(event), Event)) == (sound, sound)


BEYOND: Final = {
    "bytes": {**_sound("track"), "payload": {"a": "x" * 40_000}},
    "depth": {**_sound("track"), "payload": json.loads('{"a":' * 40 + "1" + "}" * 40)},
    "numbers": {**_sound("track"), "payload": {"a": 2**70}},
    "a day that is none": {**_sound("track"), "timestamp": "2026-02-30T08:00:00Z"},
    "the future": {**_sound("track"), "timestamp": "2027-01-05T08:00:00Z"},
    "a leap second at noon": {**_sound("track"), "timestamp": "2026-01-05T12:00:60Z"},
    "a float": {**_sound("track"), "schemaVersion": 1.0},
}
STRICTER: Final = {
    "another spelling": {**_sound("preferences_changed"), "payload": {"guidance": "off"}},
    "a refusal beside what cannot be read": {**_sound("preferences_changed"), "payload": {"guidance": False, "modelText": "perhaps"}},
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_the_schema_cannot_say_is_really_so(name: str) -> None:
    assert VALIDATOR.is_valid(BEYOND[name])
    assert isinstance(decoded(BEYOND[name]), DeadLetter)


@pytest.mark.parametrize("name", STRICTER)
def test_where_the_schema_is_stricter_is_really_so(name: str) -> None:
    assert not VALIDATOR.is_valid(STRICTER[name])
    assert isinstance(decoded(STRICTER[name]), Event)


def test_the_published_schema_is_the_codes_and_is_a_schema() -> None:
    assert PAGE.read_text(encoding="utf-8") == written(SCHEMA), "run `make event-fields`"
    Draft202012Validator.check_schema(SCHEMA)


def test_the_events_of_the_document_fit() -> None:
    page = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
    lines = page.partition("```jsonl complete\n")[2].partition("```")[0].splitlines()
    assert len(lines) == len(EVENT_TYPES)
    assert [line for line in lines if not VALIDATOR.is_valid(json.loads(line))] == []
