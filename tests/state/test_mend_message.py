"""Half an emoji is mended as before, and by a few calls whatever a message holds."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.decode import decode
from state.event_contract import MAX_PAYLOAD
from state.mend_message import mend_text
from state.messages import Message
from state.records.dead_letter import DeadLetter

PARTS = [*rb'\|\\|u|\u|d800|\ud83d|\ude00|\uD83D\uDE00|\ud83d\u|\udb|\udfff|\u0041|\n|a|"'.split(b"|"), b"\n", b"\xff", b"\xc4\x80"]
_ESCAPE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL)


def escape_by_escape(value: bytes) -> bytes:
    """Read one escape after the other: a pair of surrogates, a lone one (the group), or another escape."""
    return _ESCAPE.sub(lambda match: rb"\ufffd" if match[1] else match[0], value)


@given(st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join))
def test_the_lone_surrogates_are_those_that_reading_escape_by_escape_finds(value: bytes) -> None:
    mended = mend_text(value)
    assert mended == escape_by_escape(value)
    assert mend_text(mended) is mended
    assert mended is value or mended != value


def calls_of(work: Callable[[], Any]) -> int:
    """How many functions ``work`` calls, of Python and of C."""
    calls = 0

    def count(_frame: object, kind: str, _argument: object) -> None:
        nonlocal calls
        calls += kind in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


FILLERS = {
    "escaped backslashes": rb"\\",
    "other escapes": rb"\n",
    "pairs": rb"\ud83d\ude00",
    "lone surrogates": rb"\ud800",
    "an escaped backslash before each": rb"\\\ud800",
}


@pytest.mark.parametrize("name", FILLERS)
def test_mending_takes_a_few_calls_however_many_escapes_there_are(name: str) -> None:
    value = b'"' + FILLERS[name] * (500_000 // len(FILLERS[name])) + rb'\ud800"'
    assert calls_of(lambda: mend_text(value)) < 20


def message(text: bytes, **fields: str) -> Message:
    whole = {"eventId": '"e1"', "userId": '"u"', "eventType": '"track"', "timestamp": '"2026-03-02T09:00:05Z"', **fields}
    head = ", ".join(f'"{name}": {value}' for name, value in whole.items()).encode()
    value = b"{" + head + b', "payload": {"a": ' + text + b"}}"
    return Message(value=value, key=None, topic="t", partition=0, offset=0, log_time=10**13, reference=10**13, seq=0)


@pytest.mark.parametrize("text", [b"[" + b"[]," * 300_000 + b"[]]", b"[" + b"1e999," * 150_000 + b"1]"], ids=["lists", "numbers"])
@pytest.mark.parametrize("fields", [{}, {"sessionId": "7"}], ids=["sound", "another fault"])
def test_a_payload_that_is_too_large_is_not_looked_into(text: bytes, fields: dict[str, str]) -> None:
    found: list[Any] = []
    assert calls_of(lambda: found.append(decode(message(text, **fields)))) < 300
    (letter,) = found
    assert isinstance(letter, DeadLetter)
    assert letter.reason == ("bad_session_id" if fields else "payload_too_large")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"timestamp": '"yesterday"'}, "bad_timestamp"),
        ({"schemaVersion": '"x"'}, "unsupported_schema_version"),
        ({"eventId": "[" + "1," * MAX_PAYLOAD + "1]"}, "bad_event_id"),
        ({"more": "1e999", "name": "[]"}, "bad_name"),
        ({"eventType": '"nothing"'}, "unknown_event_type"),
    ],
)
def test_the_first_fault_of_a_large_message_is_that_of_a_small_one(fields: dict[str, str], reason: str) -> None:
    letter = decode(message(b'"' + b"a" * 3 * MAX_PAYLOAD + b'"', **fields))
    assert isinstance(letter, DeadLetter)
    assert letter.reason == reason


NO_OBJECTS = [(b"[" + b"1," * MAX_PAYLOAD + b"1]", "not_an_object"), (b'{"a": NaN,' + b" " * 70_000, "not_json")]


@pytest.mark.parametrize(("value", "reason"), NO_OBJECTS, ids=["list", "NaN"])
def test_a_large_message_that_is_no_object_is_told_from_one_that_is_no_json(value: bytes, reason: str) -> None:
    letter = decode(msgspec.structs.replace(message(b"1"), value=value))
    assert isinstance(letter, DeadLetter)
    assert letter.reason == reason
