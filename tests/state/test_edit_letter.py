"""Dead letters: their id, how often they were rejected, and mending them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from state.decode import decode
from state.event import Event
from state.messages import Message
from state.records.dead_letter import DeadLetter, attempts_of, decode_line, encode_line, headers_for_replay
from state.records.edit_letter import CannotEditError, edit_letter

NOW = 1_767_600_000_000
EVENT = {"eventId": "e1", "userId": "ann", "eventType": "clicked", "timestamp": "2026-01-05T08:00:00Z", "payload": {"target": "save"}}


def reject(raw: bytes, **more: Any) -> DeadLetter:
    found = decode(Message(raw, more.pop("key", None), "onboarding.events", 2, 7, NOW, NOW, 1, **more))
    assert isinstance(found, DeadLetter)
    return found


def test_a_mended_message_is_an_event_and_the_rest_of_it_stays() -> None:
    letter = reject(json.dumps(EVENT).encode(), key=b"ann", headers=(("traceparent", b"00-1"),))
    edited = edit_letter(letter, {"eventType": "button_click", "payload": {"target": "publish"}})
    assert [(change.path, change.before, change.after) for change in edited.changes] == [
        ("eventType", "clicked", "button_click"),
        ("payload.target", "save", "publish"),
    ]
    event = decode(Message(edited.letter.raw, edited.letter.key, "x", 0, 0, NOW, NOW, 1))
    assert isinstance(event, Event)
    assert (event.id, event.user, event.payload) == ("e1", "ann", {"target": "publish"})
    assert (edited.letter.key, edited.letter.headers, edited.letter.offset) == (b"ann", letter.headers, 7)


def test_the_key_follows_the_sender_where_it_was_the_senders() -> None:
    wrong = json.dumps({**EVENT, "userId": "undefined"}).encode()
    assert edit_letter(reject(wrong, key=b"undefined"), {"userId": "ann"}).letter.key == b"ann"
    assert edit_letter(reject(wrong, key=b"account-7"), {"userId": "ann"}).letter.key == b"account-7"
    assert edit_letter(reject(wrong), {"userId": "ann"}).letter.key is None


def test_a_patch_that_changes_nothing_leaves_the_bytes() -> None:
    letter = reject(b' {"eventType" : "clicked"}')
    assert edit_letter(letter, {"eventType": "clicked", "absent": None}) == (letter, [])


@pytest.mark.parametrize("raw", [b"{", b"[1]", b'"text"', b"\xff", b'{"a": NaN}', b'{"a": 1e400}', b"[" * 20_000])
def test_what_is_no_json_object_cannot_be_edited(raw: bytes) -> None:
    with pytest.raises(CannotEditError):
        edit_letter(reject(raw), {"b": 3})


def test_large_numbers_and_lone_surrogates_stay_as_they_were() -> None:
    raw = b'{"eventType": "x", "n": 123456789012345678901234567890, "s": "\\ud800"}'
    changed = edit_letter(reject(raw), {"eventType": "track"}).letter.raw
    assert json.loads(changed) == {**json.loads(raw), "eventType": "track"}


def test_a_message_that_is_rejected_again_has_one_attempt_more() -> None:
    letter = reject(b"{", headers=(("x", b"1"),))
    for attempts in (1, 2, 3):
        assert letter.attempts == attempts
        assert decode_line(encode_line(letter)).attempts == attempts
        letter = reject(letter.raw, headers=headers_for_replay(letter))
    assert letter.headers == (("x", b"1"), ("onramp-attempts", b"3")), "the count stands there once"


@pytest.mark.parametrize("value", [None, b"", b"-1", b"many", b"9" * 40, "²".encode()])
def test_a_count_that_makes_no_sense_is_none(value: bytes | None) -> None:
    assert attempts_of((("onramp-attempts", value),)) == 0


def test_a_line_of_before_has_one_attempt() -> None:
    line = json.loads(encode_line(reject(b"{")))
    del line["attempts"]
    assert decode_line(json.dumps(line).encode()).attempts == 1


def test_an_id_is_of_place_and_bytes() -> None:
    letter = reject(b"{")
    assert letter.id == reject(b"{").id
    assert len(letter.id) == 12
    assert len({letter.id, reject(b"[").id, decode_line(encode_line(letter).replace(b'"offset":7', b'"offset":8')).id}) == 3
