"""What an event means is worked out once for its type, name and payload, and is the same as if it were worked out each time."""

from __future__ import annotations

import msgspec

from state import decode as decoding
from state.decode import decode, peek
from state.event import Event
from state.messages import Message
from state.person.meaning import Meanings
from tests.state.lives import event, plan, track


def test_a_repeated_event_has_the_meaning_that_was_worked_out() -> None:
    meanings, sent = Meanings(plan()), event("form_submit", form="connect")
    first = meanings.of(sent)
    assert meanings.of(msgspec.structs.replace(sent, user="another")) is first
    assert [rule.step for rule in first.rules] == ["connect"]
    assert first.completes
    assert (first.shown, first.automatic) == ("form_submit connect", False)


def test_events_that_differ_in_type_name_or_payload_have_meanings_of_their_own() -> None:
    meanings = Meanings(plan())
    sent = [event("page_view", path="/a"), event("page_view", path="/b"), event("button_click", target="/a"), track("a"), track("b")]
    assert len({meanings.of(each).kind for each in sent}) == len(sent)
    assert [meanings.of(each) for each in sent] == [Meanings(plan()).of(each) for each in sent]


def test_a_handed_on_event_is_read_by_its_payload_because_the_raw_one_is_gone() -> None:
    meanings = Meanings(plan())
    meanings.of(msgspec.structs.replace(event("form_submit", form="other"), raw_payload=b"{}"))
    handed_on = msgspec.structs.replace(event("form_submit", form="connect"), raw_payload=b"{}", from_visitor=True)
    assert meanings.of(handed_on).completes
    assert not meanings.of(msgspec.structs.replace(handed_on, payload={}, from_visitor=False)).rules, "nor is it kept for others"


def test_the_cache_is_bounded() -> None:
    meanings = Meanings(plan())
    for number in range(Meanings.MAX_CACHED + 2):
        meanings.of(event("page_view", path=f"/{number}"))
    meanings.of(event("page_view", path="/" + "x" * Meanings.MAX_KEY))
    assert len(meanings._cache) == 2


def message(payload: bytes, **more: object) -> Message:
    value = b'{"eventId":"e","userId":"u","eventType":"track","name":"n","timestamp":"2026-01-05T00:00:00Z","payload":%s}' % payload
    at = peek(value).at or 0
    return msgspec.structs.replace(Message(value, None, "t", 0, 1, at, at, 1), **more)


def test_a_payload_that_cannot_be_stored_is_rejected_each_time() -> None:
    huge = message(b'{"a":[%d]}' % 2**63)
    deep = message(b'{"a":' * 40 + b"1" + b"}" * 40)
    for sent in (huge, deep, huge, deep):
        assert not isinstance(decode(sent), Event)


def test_payloads_that_are_remembered_are_few_and_short() -> None:
    decoding._payloads.clear()
    for number in range(decoding._MAX_KNOWN + 2):
        assert isinstance(decode(message(b'{"a":%d}' % number)), Event)
    assert list(decoding._payloads) == [b'{"a":4096}', b'{"a":4097}']
    assert isinstance(decode(message(b'{"a":"%b"}' % (b"x" * 600))), Event)
    assert len(decoding._payloads) == 2


def test_a_message_that_was_peeked_at_gives_the_same_event() -> None:
    plain = message(b'{"a":"b"}')
    peeked = peek(plain.value)
    assert peeked.wire is not None
    assert decode(msgspec.structs.replace(plain, peeked=peeked)) == decode(plain)
