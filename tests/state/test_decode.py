"""Messages: what is an event, what is not and why, and that nothing a sender can do raises."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.decode import decode
from state.event import Event
from state.event_contract import MAX_AHEAD, MAX_DEPTH, MAX_PAYLOAD, MIN_TIMESTAMP, REJECTIONS
from state.event_time import peek_timestamp
from state.messages import MAX_MESSAGE, Message
from state.records.dead_letter import DeadLetter
from state.vocabulary import EVENT_TYPES

NOW = 1_772_442_000_000
GOOD: dict[str, Any] = {"eventId": "e1", "userId": "ana", "eventType": "track", "timestamp": "2026-03-02T09:00:00Z"}
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_LEFT_OUT = object()


def message(value: bytes) -> Message:
    return Message(value, b"key", "events", 3, 42, NOW + 5, NOW, 7, PARENT)


def given_with(**changes: Any) -> Event | DeadLetter:
    """What becomes of the good event with these fields changed, or left out."""
    fields = {name: value for name, value in {**GOOD, **changes}.items() if value is not _LEFT_OUT}
    return decode(message(json.dumps(fields).encode()))


def accepted(**changes: Any) -> Event:
    event = given_with(**changes)
    assert isinstance(event, Event), event
    return event


def raw_with(field: str, text: str) -> Event | DeadLetter:
    """What becomes of the good event with a field written literally so."""
    rest = json.dumps({name: value for name, value in GOOD.items() if name != field})
    return decode(message(f'{rest[:-1]}, "{field}": {text}}}'.encode("utf-8", "surrogatepass")))


def reason(outcome: Event | DeadLetter) -> str:
    return outcome.reason if isinstance(outcome, DeadLetter) else "accepted"


# rejected

PLACEHOLDERS = [
    *"undefined Undefined null NULL NaN None none (null) <nil> anonymous unknown n/a true false userId".split(),
    *("[object Object]", "{{user_id}}", "${userId}", "%USER%", "00000000-0000-0000-0000-000000000000", " ", "\u3000", " undefined "),
]

TABLE: list[tuple[str, dict[str, Any], str]] = [
    ("missing_event_id", {"eventId": _LEFT_OUT}, "eventId is missing"),
    ("bad_event_id", {"eventId": ""}, "1 to 128"),
    ("bad_event_id", {"eventId": "x" * 129}, "1 to 128"),
    ("bad_event_id", {"eventId": 5}, "1 to 128"),
    ("bad_event_id", {"eventId": None}, "1 to 128"),
    ("bad_event_id", {"eventId": "a\x00b"}, "control"),
    ("missing_user", {"userId": _LEFT_OUT}, "neither"),
    ("missing_user", {"userId": None}, "neither"),
    ("missing_user", {"userId": None, "anonymousId": None}, "neither"),
    ("bad_user_id", {"userId": ""}, "1 to 256"),
    ("bad_user_id", {"userId": 5}, "1 to 256"),
    ("bad_user_id", {"userId": ["ana"]}, "1 to 256"),
    ("bad_user_id", {"userId": "x" * 257}, "1 to 256"),
    ("bad_user_id", {"userId": "a\x1fb"}, "control"),
    ("bad_user_id", {"userId": "a\x7f"}, "control"),
    ("bad_user_id", {"anonymousId": 5}, "1 to 256"),
    ("bad_user_id", {"userId": _LEFT_OUT, "anonymousId": "a\nb"}, "control"),
    ("bad_user_id", {"userId": "", "anonymousId": ""}, "empty"),
    ("bad_user_id", {"userId": _LEFT_OUT, "anonymousId": ""}, "empty"),
    *(("bad_user_id", {"userId": f"a{mark}b"}, "invisible") for mark in "\x80\x9f\u00ad\u200b\u202e\u2066\ufeff\ufffd\U000e0041\u2028"),
    *(("bad_event_id", {"eventId": f"a{mark}b"}, "invisible") for mark in "\x85\u200e\u2069\ufffc"),
    ("bad_tenant_id", {"tenantId": "a\u202eb"}, "invisible"),
    ("bad_payload", {"eventType": "identity_merged", "payload": {"previousId": "a\x85b"}}, "not an id"),
    *(("placeholder_id", {"userId": text}, "userId is") for text in PLACEHOLDERS),
    *(("placeholder_id", {"userId": text, "anonymousId": "c"}, "userId is") for text in PLACEHOLDERS if text.strip()),
    *(("placeholder_id", {"userId": _LEFT_OUT, "anonymousId": text}, "anonymousId is") for text in PLACEHOLDERS),
    *(
        ("placeholder_id", {"eventType": "identity_merged", "payload": {"previousId": text}}, "previousId is")
        for text in PLACEHOLDERS
        if text.isascii()
    ),
    ("placeholder_id", {"userId": "", "anonymousId": "null"}, "anonymousId is"),
    ("placeholder_id", {"eventId": "undefined"}, "eventId is"),
    ("placeholder_id", {"eventId": "%EVENT_ID%"}, "eventId is"),
    ("placeholder_id", {"eventId": "  "}, "eventId is"),
    ("placeholder_id", {"tenantId": "undefined"}, "tenantId is"),
    ("placeholder_id", {"tenantId": " "}, "tenantId is"),
    ("bad_tenant_id", {"tenantId": ""}, "1 to 128"),
    ("bad_tenant_id", {"tenantId": "x" * 129}, "1 to 128"),
    ("bad_tenant_id", {"tenantId": 5}, "1 to 128"),
    ("bad_tenant_id", {"tenantId": None}, "1 to 128"),
    ("bad_tenant_id", {"tenantId": "a\tb"}, "control"),
    ("bad_tenant_id", {"tenantId": "a:b"}, "colons"),
    ("bad_tenant_id", {"tenantId": "a{b"}, "braces"),
    ("bad_session_id", {"sessionId": 5}, "256"),
    ("bad_session_id", {"sessionId": "x" * 257}, "256"),
    ("missing_event_type", {"eventType": _LEFT_OUT}, "eventType is missing"),
    ("unknown_event_type", {"eventType": "dance"}, "'dance' is not an event type"),
    ("unknown_event_type", {"eventType": "x" * 10_000}, "event type"),
    ("unknown_event_type", {"eventType": None}, "not one of"),
    ("unknown_event_type", {"eventType": 5}, "not one of"),
    ("bad_name", {"name": 5}, "256"),
    ("bad_name", {"name": "x" * 257}, "256"),
    ("missing_timestamp", {"timestamp": _LEFT_OUT}, "timestamp is missing"),
    ("bad_timestamp", {"timestamp": None}, "RFC 3339"),
    ("bad_timestamp", {"timestamp": 1_772_442_000}, "RFC 3339"),
    ("bad_timestamp", {"timestamp": "yesterday"}, "RFC 3339"),
    ("bad_timestamp", {"timestamp": "2026-03-02"}, "RFC 3339"),
    ("bad_timestamp", {"timestamp": "2026-03-02T09:00:00"}, "with a zone"),
    ("bad_timestamp", {"timestamp": "2026-02-30T09:00:00Z"}, "RFC 3339"),
    ("bad_timestamp", {"timestamp": "2026-03-02T24:00:00Z"}, "RFC 3339"),
    ("bad_timestamp", {"timestamp": "2026-01-06T12:00:60Z"}, "RFC 3339"),
    ("bad_timestamp", {"timestamp": "2016-12-31T23:59:61Z"}, "RFC 3339"),
    ("bad_timestamp", {"timestamp": "2016-12-31T23:59:60+01:00"}, "RFC 3339"),
    ("bad_timestamp", {"timestamp": "2016-12-31T23:59:60"}, "RFC 3339"),
    ("bad_timestamp", {"timestamp": "2026-03-02T09:00:00+24:00"}, "RFC 3339"),
    ("timestamp_out_of_range", {"timestamp": "1970-01-01T00:00:00Z"}, "before 2000"),
    ("timestamp_out_of_range", {"timestamp": "9999-12-31T23:59:59Z"}, "24 hours ahead"),
    ("timestamp_out_of_range", {"timestamp": "9999-12-31T23:59:59-23:59"}, "24 hours ahead"),
    ("timestamp_out_of_range", {"timestamp": "0001-01-01T00:00:00+23:59"}, "before 2000"),
    ("timestamp_out_of_range", {"timestamp": "1999-12-31T23:59:59.999Z"}, "before 2000"),
    ("timestamp_out_of_range", {"timestamp": "2026-03-03T09:00:00.001Z"}, "24 hours ahead"),
    ("bad_payload", {"payload": None}, "not an object"),
    ("bad_payload", {"payload": []}, "not an object"),
    ("bad_payload", {"payload": "{}"}, "not an object"),
    ("bad_payload", {"payload": 5}, "not an object"),
    ("bad_payload", {"eventType": "page_view"}, "page_view needs path"),
    ("bad_payload", {"eventType": "page_view", "payload": {"path": ""}}, "non-empty"),
    ("bad_payload", {"eventType": "page_view", "payload": {"path": 5}}, "needs path"),
    ("bad_payload", {"eventType": "button_click", "payload": {"target": None}}, "needs target"),
    ("bad_payload", {"eventType": "form_submit", "payload": {"form": ["a"]}}, "needs form"),
    ("bad_payload", {"eventType": "error", "payload": {"code": 500}}, "needs code"),
    ("bad_payload", {"eventType": "identity_merged", "payload": {}}, "needs previousId"),
    ("bad_payload", {"eventType": "identity_merged", "payload": {"previousId": "x" * 257}}, "not an id"),
    ("bad_payload", {"eventType": "identity_merged", "payload": {"previousId": "a\nb"}}, "not an id"),
    ("bad_payload", {"payload": {"a": [{"b": 2**63}]}}, "64 bits"),
    ("bad_payload", {"payload": {"a": -(2**63) - 1}}, "64 bits"),
    ("bad_payload", {"payload": {"traits": {"tier": 10**30}}}, "64 bits"),
    ("payload_too_large", {"payload": {"a": "x" * MAX_PAYLOAD}}, f"at most {MAX_PAYLOAD}"),
    ("future_schema_version", {"schemaVersion": 3}, "schemaVersion 3"),
    ("future_schema_version", {"schemaVersion": 3, "userId": 7, "eventType": "new"}, "schemaVersion 3"),
    ("unsupported_schema_version", {"schemaVersion": 0}, "it is 0"),
    ("unsupported_schema_version", {"schemaVersion": None}, "not an integer from 1"),
    ("unsupported_schema_version", {"schemaVersion": True}, "not an integer from 1"),
    ("unsupported_schema_version", {"schemaVersion": 1.0}, "not an integer from 1"),
    ("unsupported_schema_version", {"schemaVersion": "1"}, "not an integer from 1"),
    ("unsupported_schema_version", {"schemaVersion": 10**400}, "schemaVersion"),
]

RAW: list[tuple[str, bytes, str]] = [
    ("schema_registry_framing", b"\0\0\0\0\x07{}", "schema 7"),
    (
        "rejected_by_gateway",
        b'{"rejectedByGateway": [{"field": "", "code": "unknown_type", "message": "no call"}], "tenantId": "t", "message": {}}',
        "unknown_type: no call",
    ),
    ("missing_event_id", b'{"rejectedByGateway": []}', ""),
    ("missing_event_id", b'{"rejectedByGateway": [{"code": 7, "message": "no call"}]}', ""),
    ("missing_event_id", b'{"rejectedByGateway": {"code": "unknown_type", "message": "no call"}}', ""),
    ("not_json", b"", ""),
    ("not_json", b" \n", ""),
    ("not_json", b"hello", ""),
    ("not_json", b'{"eventId": "e1"', ""),
    ("not_json", b'{"eventId": "e1"}}', "trailing"),
    ("not_json", b"[" * 100_000, "recursion"),
    ("not_json", b"[" * 100_000 + b"]" * 100_000, "recursion"),
    ("not_json", b'{"a":' * 100_000, "recursion"),
    ("not_json", json.dumps(GOOD)[:-1].encode() + b', "x": NaN}', "NaN is not JSON"),
    ("not_json", json.dumps(GOOD)[:-1].encode() + b', "payload": {"x": -Infinity}}', "-Infinity is not JSON"),
    ("not_json", json.dumps(GOOD)[:-1].encode() + b', "payload": {"x": [1,]}}', "trailing comma"),
    ("not_json", json.dumps(GOOD)[:-1].encode() + b', "payload": {"x": 1e999, "y": }}', ""),
    ("not_json", b"\xef\xbb\xbf", ""),
    ("not_json", b"\xef\xbb\xbf{,}", ""),
    ("bad_payload", json.dumps(GOOD)[:-1].encode() + b', "payload": {"x": 1e400}}', "beyond 64 bits, 1e400"),
    ("bad_payload", json.dumps(GOOD)[:-1].encode() + b', "payload": {"x": [{"y": -1e999}]}}', "beyond 64 bits, -1e999"),
    ("bad_payload", json.dumps(GOOD)[:-1].encode() + b', "payload": {"x": 1' + b"0" * 5_000 + b"}}", "beyond 64 bits"),
    ("bad_payload", json.dumps({**GOOD, "payload": []}).encode().replace(b"[]", b"[1e400]"), "not an object"),
    ("bad_event_id", json.dumps(GOOD).encode().replace(b'"e1"', b"1e400"), "a number"),
    ("bad_timestamp", json.dumps(GOOD)[:-1].encode().replace(b"09:00:00Z", b"noon") + b', "payload": {"x": 1e400}}', "RFC 3339"),
    ("bad_user_id", json.dumps({**GOOD, "userId": "u-\ud800"}).encode(), "invisible"),
    ("bad_event_id", json.dumps({**GOOD, "eventId": "\udc00"}).encode(), "invisible"),
    ("not_json", json.dumps({**GOOD, "payload": {"a": "\ud800"}}).encode()[:-1], ""),
    ("not_an_object", b"[]", "not an object"),
    ("not_an_object", b"5", "not an object"),
    ("not_an_object", b"null", "not an object"),
    ("not_an_object", b'"' + json.dumps(GOOD).replace('"', "'").encode() + b'"', "not an object"),
    ("too_large", b" " * (MAX_MESSAGE + 1), "1 MiB"),
    ("too_large", json.dumps({**GOOD, "payload": {"a": "x" * MAX_MESSAGE}}).encode(), "1 MiB"),
    ("payload_too_large", json.dumps({**GOOD, "payload": {"a": "x" * (MAX_MESSAGE - 200)}}).encode(), "at most"),
    ("bad_encoding", b"\xff\xfe", "byte 0"),
    ("bad_encoding", json.dumps({**GOOD, "userId": "?"}).encode().replace(b"?", b"\xff"), "UTF-8"),
    ("bad_encoding", json.dumps({**GOOD, "payload": {"a": "?"}}).encode().replace(b"?", b"\xed\xa0\x80"), "UTF-8"),
    ("bad_field", json.dumps(GOOD).encode().replace(b'"eventId"', b'"eventId": 5, "eventId"'), "eventId"),
]


@pytest.mark.parametrize(("wanted", "changes", "words"), TABLE, ids=[f"{row[0]}-{list(row[1])}" for row in TABLE])
def test_a_message_with_this_fault_is_rejected_for_it_in_words(wanted: str, changes: dict[str, Any], words: str) -> None:
    outcome = given_with(**changes)
    assert isinstance(outcome, DeadLetter)
    assert outcome.reason == wanted
    assert words in outcome.detail


@pytest.mark.parametrize(("wanted", "value", "words"), RAW, ids=[f"{row[0]}-{row[1][:20]!r}" for row in RAW])
def test_bytes_that_are_no_event_are_rejected_in_words(wanted: str, value: bytes, words: str) -> None:
    outcome = decode(message(value))
    assert isinstance(outcome, DeadLetter)
    assert outcome.reason == wanted
    assert words in outcome.detail


def test_every_reason_is_reached() -> None:
    # A source found the first before there was anything to decode: tests/sources/test_kafka_records.py. The second depends on the catalogs
    # of the job: tests/flows/test_tenants.py.
    elsewhere = {"unreadable", "unknown_tenant"}
    assert {row[0] for row in TABLE} | {row[0] for row in RAW} | elsewhere == set(REJECTIONS)


def test_a_dead_letter_keeps_the_bytes_and_where_they_stood() -> None:
    assert decode(message(b"\xff")) == DeadLetter(
        reason="bad_encoding", detail="the message is not UTF-8 at byte 0", raw=b"\xff", topic="events", partition=3, offset=42,
        log_time=NOW + 5, key=b"key",
    )  # fmt: skip


@pytest.mark.parametrize(("open_", "close"), [("[", "]"), ('{"a":', "}")])
def test_a_payload_may_be_nested_so_deep_and_no_deeper(open_: str, close: str) -> None:
    """What is nested without end can be read, and then not be written down."""
    inner = MAX_DEPTH - 1
    assert reason(raw_with("payload", f'{{"a": {open_ * inner}1{close * inner}}}')) == "accepted"
    for levels in (MAX_DEPTH, 100, 900):
        assert reason(raw_with("payload", f'{{"a": {open_ * levels}1{close * levels}}}')) == "bad_payload"
    assert reason(raw_with("payload", f'{{"a": {open_ * 15_000}1{close * 15_000}}}'.replace(" ", ""))) in ("payload_too_large", "not_json")


def test_many_small_lists_and_long_digits_in_texts_are_fine() -> None:
    assert reason(given_with(payload={"a": [[] for _ in range(500)], "card": "1" * 40, "most": 2**63 - 1, "least": -(2**63)})) == "accepted"


# accepted


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2026-03-02T09:00:00Z", NOW),
        ("2026-03-02T09:00:00z", NOW),
        ("2026-03-02t09:00:00Z", NOW),
        ("2026-03-02T10:30:00+01:30", NOW),
        ("2026-03-02T00:00:00-09:00", NOW),
        ("2026-03-02T09:00:00.1Z", NOW + 100),
        ("2026-03-02T09:00:00.123456789Z", NOW + 123),
        ("2026-03-02T09:00:00.999999999Z", NOW + 1000),
        ("2000-01-01T00:00:00Z", MIN_TIMESTAMP),
        ("2026-03-03T09:00:00Z", NOW + MAX_AHEAD),
    ],
)
def test_rfc_3339_is_read_to_the_millisecond(text: str, milliseconds: int) -> None:
    assert accepted(timestamp=text).timestamp == milliseconds
    assert peek_timestamp(json.dumps({**GOOD, "timestamp": text}).encode()) == milliseconds


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("2016-12-31t23:59:60.25z", 1_483_228_800_250),
        ("2016-12-31T15:59:60-08:00", 1_483_228_800_000),
        ("2017-01-01T05:29:60.999+05:30", 1_483_228_800_999),
    ],
)
def test_a_leap_second_is_the_second_after_59(text: str, milliseconds: int) -> None:
    assert accepted(timestamp=text, payload={"at": "12:60", "b": [1.50]}).timestamp == milliseconds
    assert accepted(timestamp=text, payload={"at": "12:60"}).payload == {"at": "12:60"}
    assert peek_timestamp(json.dumps({"timestamp": text}).encode()) == milliseconds


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"love it \ud83d", "love it \ufffd"),
        (r"ok \ud83d\ude00", "ok \U0001f600"),
        (r"\udc00\ud800", "\ufffd\ufffd"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\\ud83d", r"\ud83d"),
        (r"\\\ud83d", "\\\ufffd"),
        (r"\ud83dA\n", "\ufffdA\n"),
    ],
)
def test_a_lone_surrogate_costs_the_character_and_not_the_event(written: str, read: str) -> None:
    event = raw_with("payload", f'{{"text": "{written}", "{written}": 1}}')
    assert isinstance(event, Event)
    assert event.payload == {"text": read, read: 1}
    assert json.loads(event.raw_payload) == event.payload
    assert isinstance(raw_with("context", f'{{"title": "{written}"}}'), Event)


def test_a_byte_order_mark_is_no_fault() -> None:
    value = b"\xef\xbb\xbf" + json.dumps(GOOD).encode()
    assert decode(message(value)) == decode(message(json.dumps(GOOD).encode()))
    assert peek_timestamp(value) == NOW


@pytest.mark.parametrize("header", ["00-trace", "x" * 100_000, PARENT + "-" + "0" * 100_000, "\udcff"])
def test_what_is_no_traceparent_is_dropped(header: str) -> None:
    event = decode(msgspec.structs.replace(message(json.dumps(GOOD).encode()), traceparent=header))
    assert isinstance(event, Event)
    assert event.traceparent == ""


@pytest.mark.parametrize("nobody", ["", " ", "\t\n", None, _LEFT_OUT])
def test_without_a_user_id_the_anonymous_one_counts_and_the_other_way_round(nobody: Any) -> None:
    assert (accepted(userId=nobody, anonymousId="cookie").user, accepted(userId=nobody, anonymousId="cookie").anonymous) == ("cookie", True)
    assert (accepted(anonymousId=nobody).user, accepted(anonymousId=nobody).anonymous) == ("ana", False)


def test_a_placeholder_beside_a_user_id_is_not_looked_at() -> None:
    assert accepted(anonymousId="undefined").user == "ana"


@pytest.mark.parametrize("text", ["0", "nobody", "undefined-7", "guest", "Nullah", "id"])
def test_ids_that_only_resemble_a_placeholder_are_ids(text: str) -> None:
    assert accepted(userId=text).user == text


@pytest.mark.parametrize("text", ["", "undefined", "null", None])
def test_a_session_without_an_id_has_none(text: str | None) -> None:
    assert accepted(sessionId=text).session == ""


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b'{"timestamp": 5}', b'{"timestamp": "2026-03-02"}', b"\xff", b"[" * 100_000])
def test_a_message_without_a_time_has_none_to_peek_at(value: bytes) -> None:
    assert peek_timestamp(value) is None


def test_an_event_carries_its_place_in_the_input() -> None:
    event = accepted(payload={"a": 1}, sessionId="s", name="n", tenantId="acme")
    assert (event.partition, event.offset, event.seq, event.log_time, event.traceparent) == (3, 42, 7, NOW + 5, PARENT)
    assert (event.tenant, event.user, event.anonymous, event.id) == ("acme", "ana", False, "e1")
    assert (event.session, event.type, event.name, event.payload) == ("s", "track", "n", {"a": 1})
    assert json.loads(event.raw_payload) == {"a": 1}


def test_optional_fields_may_be_null_or_missing_and_have_defaults() -> None:
    for changes in ({}, {"sessionId": None, "name": None, "anonymousId": None}):
        event = accepted(**changes)
        assert (event.tenant, event.session, event.name, event.payload, event.raw_payload) == ("default", "", "", {}, b"{}")


def test_a_user_id_wins_over_an_anonymous_one() -> None:
    assert (accepted(anonymousId="cookie").user, accepted(anonymousId="cookie").anonymous) == ("ana", False)
    visitor = accepted(userId=_LEFT_OUT, anonymousId="cookie")
    assert (visitor.user, visitor.anonymous) == ("cookie", True)
    assert accepted(userId=None, anonymousId="cookie").anonymous


@pytest.mark.parametrize("text", ["Ana 🎉", "👩‍👩‍👧", "अनुष्का", "x" * 128, "a b/c?d=e&f", "'; DROP TABLE events; --"])
def test_ids_may_be_any_text_without_control_characters(text: str) -> None:
    assert accepted(eventId=text, userId=text, payload={"a": text}).user == text


def test_nul_may_stand_in_a_payload() -> None:
    assert accepted(payload={"a\x00": "\x00"}).payload == {"a\x00": "\x00"}


def test_of_a_repeated_key_the_last_one_counts() -> None:
    assert reason(raw_with("payload", '{"a": 1, "a": 2}')) == "accepted"
    event = raw_with("userId", '"first", "userId": "last"')
    assert isinstance(event, Event)
    assert event.user == "last"


def test_unknown_fields_are_ignored_whatever_they_hold() -> None:
    assert reason(given_with(shoeSize=43, schema={"version": 7}, payload_={"x": [None]})) == "accepted"


def test_the_largest_payload_is_accepted() -> None:
    assert accepted(payload={"a": "x" * (MAX_PAYLOAD - 9)}).raw_payload.startswith(b'{"a"')


# whatever comes

_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=3),
    max_leaves=8,
)
_fields = ["eventId", "userId", "anonymousId", "tenantId", "sessionId", "eventType", "name", "payload", "timestamp", "schemaVersion"]
_changes = st.dictionaries(
    st.sampled_from(_fields),
    st.one_of(
        _json_values,
        st.just(_LEFT_OUT),
        st.sampled_from(sorted(EVENT_TYPES)),
        st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
        st.dictionaries(
            st.sampled_from("path target form code previousId traits guidance channels quietHours".split()),
            _json_values,
            max_size=3,
        ),
    ),
    max_size=4,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff\ufffd]")


def check(outcome: Event | DeadLetter, value: bytes) -> None:
    """An event obeys the contract and can be written down; a dead letter has a known reason and all the bytes."""
    if isinstance(outcome, DeadLetter):
        assert outcome.reason in REJECTIONS
        assert 0 < len(outcome.detail) < 600
        assert outcome.raw == value
        return
    assert isinstance(outcome, Event)
    assert MIN_TIMESTAMP <= outcome.timestamp <= NOW + MAX_AHEAD
    assert 1 <= len(outcome.id) <= 128
    assert 1 <= len(outcome.user) <= 256
    assert 1 <= len(outcome.tenant) <= 128
    assert outcome.user.strip()
    assert not any(_CONTROL.search(text) for text in (outcome.id, outcome.user, outcome.tenant))
    assert outcome.type in EVENT_TYPES
    assert len(outcome.raw_payload) <= MAX_PAYLOAD
    assert isinstance(outcome.payload, dict)
    assert outcome.raw_payload.decode()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(outcome), type=dict)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_raise(value: bytes) -> None:
    check(decode(message(value)), value)
    peek_timestamp(value)


@given(_json_values)
def test_arbitrary_json_never_raises(value: Any) -> None:
    encoded = json.dumps(value).encode()
    check(decode(message(encoded)), encoded)


@given(_changes, st.booleans())
def test_an_event_with_some_fields_replaced_never_raises_and_obeys_the_contract(changes: dict[str, Any], escaped: bool) -> None:
    fields = {name: value for name, value in {**GOOD, **changes}.items() if value is not _LEFT_OUT}
    encoded = json.dumps(fields, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    check(decode(message(encoded)), encoded)


@given(st.data())
def test_an_event_with_some_bytes_replaced_never_raises(data: st.DataObject) -> None:
    encoded = bytearray(json.dumps({**GOOD, "payload": {"traits": {"persona": "é"}}, "sessionId": "s"}).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    check(decode(message(bytes(encoded))), bytes(encoded))


@pytest.mark.parametrize("depth", [990, 1_000, 5_000, 100_000])
def test_no_depth_of_nesting_can_hurt_the_look_at_the_clock(depth: int) -> None:
    nested = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    assert peek_timestamp(nested) is None
    assert peek_timestamp(b'{"a":' * depth) is None


def test_a_guid_in_braces_is_an_id() -> None:
    guid = "{3F2504E0-4F89-11D3-9A0C-0305E82C3301}"
    assert accepted(userId=guid, eventId=guid).user == guid
