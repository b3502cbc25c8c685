"""Both versions of the contract, side by side: the same event whichever version an app sends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.decode import decode
from state.event import Event
from state.messages import Message
from state.records.dead_letter import DeadLetter
from state.upcast import VERSIONS, upcast

NOW = 1_767_600_000_000
BASE: dict[str, Any] = {"eventId": "e1", "userId": "ann", "timestamp": "2026-01-05T08:00:00Z"}


def found(value: bytes) -> Event | DeadLetter:
    return decode(Message(value, None, "t", 0, 0, NOW, NOW, 1))


def as_1(kind: str, traits: Any, payload: dict[str, Any]) -> bytes:
    return json.dumps({**BASE, "eventType": kind, "payload": {**payload, "traits": traits}}).encode()


def as_2(kind: str, traits: Any, payload: dict[str, Any]) -> bytes:
    return json.dumps({**BASE, "eventType": kind, "traits": traits, "payload": payload, "schemaVersion": 2}).encode()


VALUE = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=4)
FIELDS = st.dictionaries(st.text(max_size=4).filter(lambda name: name != "traits"), VALUE, max_size=4)


@given(st.sampled_from(["signup", "identify"]), FIELDS, FIELDS)
def test_an_event_of_version_2_is_that_of_version_1(kind: str, traits: dict[str, Any], payload: dict[str, Any]) -> None:
    first, second = found(as_1(kind, traits, payload)), found(as_2(kind, traits, payload))
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert (first.payload, first.type, first.id) == (second.payload, second.type, second.id)
    assert json.loads(second.raw_payload) == second.payload


@pytest.mark.parametrize(
    "change",
    [lambda raw: b"\xef\xbb\xbf" + raw, lambda raw: raw.replace(b"08:00:00Z", b"23:59:60Z"), lambda raw: raw.replace(b"ana", b"\\ud800")],
)
def test_what_is_mended_in_version_1_is_mended_in_version_2(change: Any) -> None:
    first, second = found(change(as_1("signup", {"persona": "ana"}, {}))), found(change(as_2("signup", {"persona": "ana"}, {})))
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert (first.payload, first.timestamp) == (second.payload, second.timestamp)


@pytest.mark.parametrize("kind", ["signup", "identify"])
@pytest.mark.parametrize(
    ("beside", "inside", "read"),
    [
        ({"persona": "ana"}, None, {"persona": "ana"}),
        ({"persona": "ana"}, {"persona": "ben"}, {"persona": "ben"}),
        ({}, None, {}),
        (["ana"], None, None),
        ("ana", None, None),
        (None, None, None),
    ],
)
def test_traits_beside_the_payload_of_version_1_are_read_where_the_payload_has_none(kind: str, beside: Any, inside: Any, read: Any) -> None:
    payload = {"a": 1} if inside is None else {"a": 1, "traits": inside}
    sent = {**BASE, "eventType": kind, "traits": beside, "payload": payload}
    for value in (json.dumps(sent).encode(), b"\xef\xbb\xbf" + json.dumps(sent | {"name": "\ud800"}).encode()):
        event = found(value)
        assert isinstance(event, Event)
        assert event.payload == ({"a": 1} if read is None else {"a": 1, "traits": read})
        assert json.loads(event.raw_payload) == event.payload


@pytest.mark.parametrize("missing", ["payload", "eventId"])
def test_an_event_with_traits_beside_its_payload_is_checked_like_any_other(missing: str) -> None:
    sent = {**BASE, "eventType": "signup", "traits": {"persona": "ana"}, "payload": {}}
    event = found(json.dumps({name: value for name, value in sent.items() if name != missing}).encode())
    if missing == "payload":
        assert isinstance(event, Event)
        assert event.payload == {"traits": {"persona": "ana"}}
    else:
        assert isinstance(event, DeadLetter)
        assert event.reason == "missing_event_id"
    large = found(json.dumps(sent | {"traits": {"persona": "x" * 40_000}}).encode())
    assert isinstance(large, DeadLetter)
    assert large.reason == "payload_too_large"


def test_traits_of_other_types_belong_to_nobody() -> None:
    event = found(as_2("track", {"persona": "ana"}, {"a": 1}))
    assert isinstance(event, Event)
    assert event.payload == {"a": 1}


@pytest.mark.parametrize(
    ("value", "reason", "words"),
    [
        (as_2("signup", [1], {}), "bad_payload", "traits is not an object"),
        (as_2("signup", {}, {"traits": {}}), "bad_payload", "beside the payload"),
        (as_2("signup", {}, {}).replace(b'"payload": {}', b'"payload": []'), "bad_payload", "not an object"),
        (as_2("signup", {"n": 2**64}, {}), "bad_payload", "64 bits"),
        (as_2("signup", {"a": "x" * 40_000}, {}), "payload_too_large", "at most"),
        (as_2("page_view", {}, {}), "bad_payload", "needs path"),
        (as_2("signup", {}, {}).replace(b"ann", b"undefined"), "placeholder_id", "userId"),
    ],
)
def test_a_fault_of_version_2_has_its_reason_and_the_bytes_that_were_sent(value: bytes, reason: str, words: str) -> None:
    letter = found(value)
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.raw) == (reason, value)
    assert words in letter.detail


def test_the_version_of_today_is_the_last_that_is_read() -> None:
    later = found(as_2("signup", {}, {}).replace(b'"schemaVersion": 2', b'"schemaVersion": %d' % (VERSIONS[-1] + 1)))
    assert isinstance(later, DeadLetter)
    assert later.reason == "future_schema_version"


def test_version_1_is_left_as_it_is() -> None:
    assert json.loads(upcast(as_1("signup", {}, {}), 1)) == json.loads(as_1("signup", {}, {}))
