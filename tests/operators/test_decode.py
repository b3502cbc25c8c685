"""decode: every message ends somewhere, under its person's key, and is counted."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from operators.decode import Addressing, Decoded, decode_messages
from state.events import Event
from state.messages import Message, Tick
from state.person.arrivals import VisitorMerged
from state.records.dead_letter import DeadLetter
from tests.state.lives import KEYS, START, of_kind


def message(seq: int = 2, **fields: Any) -> Message:
    event = {"eventId": f"e{seq}", "userId": "ana", "eventType": "track", "timestamp": "2026-03-02T09:00:00Z", **fields}
    return Message(json.dumps(event).encode(), None, "events", 3, seq, START + seq, START, seq)


def test_messages_and_ticks_stay_in_order_and_messages_are_counted() -> None:
    bad = Message(b"no", None, "events", 3, 4, START, START, 4)
    tick = Tick(3, START, 5)
    decoded = decode_messages([message(2), bad, tick, message(6)])
    assert [type(each) for each in decoded] == [Event, DeadLetter, Tick, Event, Count]
    assert of_kind(decoded, Count) == [Count("read", by=3)]
    assert decode_messages([tick]) == [tick]
    assert decode_messages([]) == []


@given(st.lists(st.binary(max_size=40) | st.just(message().value), max_size=20))
def test_nothing_is_lost_whatever_the_bytes(values: list[bytes]) -> None:
    decoded = decode_messages([Message(value, None, "events", 0, at, START, START, 2 * at) for at, value in enumerate(values)])
    placed = [each.offset for each in decoded if isinstance(each, Event | DeadLetter)]
    assert placed == list(range(len(values)))
    assert sum(each.by for each in of_kind(decoded, Count)) == len(values)


def addressed(*messages: Message) -> list[tuple[str, Event | VisitorMerged]]:
    decoded: list[Decoded] = decode_messages(list(messages))
    return Addressing(KEYS)(decoded)


def test_an_event_goes_to_its_persons_key_and_nothing_else_does() -> None:
    letter = Message(b"no", None, "events", 3, 4, START, START, 4)
    ((key, event),) = addressed(message(), letter)
    assert key == KEYS.stream_key("default", "ana")
    assert isinstance(event, Event)


def test_people_of_different_tenants_never_meet() -> None:
    assert len({key for key, _ in addressed(message(2), message(4, tenantId="acme"), message(6, tenantId="acme2"))}) == 3


def test_a_merge_concerns_the_visitor_that_was_and_the_user_that_is() -> None:
    merge = message(8, eventType="identity_merged", payload={"previousId": "cookie"})
    (to_user, event), (to_visitor, merged) = addressed(merge)
    assert (to_user, to_visitor) == (KEYS.stream_key("default", "ana"), KEYS.stream_key("default", "cookie"))
    assert isinstance(event, Event)
    assert merged == VisitorMerged("default", "cookie", "ana", START, START + 8, 3, 8)


def test_whoever_is_merged_with_themselves_is_not() -> None:
    assert len(addressed(message(eventType="identity_merged", payload={"previousId": "ana"}))) == 1
