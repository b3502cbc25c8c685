"""decode: every message ends somewhere, under its person's key, and is counted."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from operators.decode import Decoded, Decoder
from state import counters
from state.event import Event
from state.messages import Message, Tick
from state.person.arrivals import VisitorMerged
from state.records.facts import DeadLetterFact
from tests.state.lives import KEYS, START


def message(seq: int = 2, **fields: Any) -> Message:
    event = {"eventId": f"e{seq}", "userId": "ana", "eventType": "track", "timestamp": "2026-03-02T09:00:00Z", **fields}
    return Message(json.dumps(event).encode(), None, "events", 3, seq, START + seq, START, seq)


def decoded(*batch: Message | Tick) -> Decoded:
    (out,) = Decoder(KEYS)(list(batch))
    return out


def test_a_batch_is_sorted_and_each_kind_stays_in_order_and_messages_are_counted() -> None:
    bad = Message(b"no", None, "events", 3, 4, START, START, 4)
    tick, later = Tick(3, START, 5), Tick(3, START + 1, 9)
    out = decoded(message(2), bad, tick, message(6), bad, later)
    assert [event.offset for _, event in out.events] == [2, 6]
    assert [letter.offset for letter in out.rejected] == [4, 4]
    assert out.ticks == [tick, later]
    assert out.identity == []
    assert out.counts == {"messages_read": 4, "messages_rejected|not_json": 2}
    assert [(type(row), row.source_offset) for row in out.rows if isinstance(row, DeadLetterFact)] == [(DeadLetterFact, 4)] * 2
    assert len(out.rows) == 2


def test_a_tick_alone_counts_nothing() -> None:
    out = decoded(Tick(3, START, 5))
    assert (out.ticks, out.counts, out.events, out.rows) == ([Tick(3, START, 5)], {}, [], [])
    assert decoded().counts == {}


@given(st.lists(st.binary(max_size=40) | st.just(message().value), max_size=20))
def test_nothing_is_lost_whatever_the_bytes(values: list[bytes]) -> None:
    out = decoded(*(Message(value, None, "events", 0, at, START, START, 2 * at) for at, value in enumerate(values)))
    placed = [each.offset for _, each in (*out.events, *out.identity) if isinstance(each, Event)]
    assert sorted([*placed, *(letter.offset for letter in out.rejected)]) == list(range(len(values)))
    assert out.counts.get("messages_read", 0) == len(values)
    assert sum(count for name, count in out.counts.items() if name.startswith("messages_rejected|")) == len(out.rejected)


def test_an_event_goes_to_its_persons_key_and_nothing_else_does() -> None:
    letter = Message(b"no", None, "events", 3, 4, START, START, 4)
    ((key, event),) = decoded(message(), letter).events
    assert key == KEYS.stream_key("default", "ana")
    assert isinstance(event, Event)


def test_people_of_different_tenants_never_meet() -> None:
    out = decoded(message(2), message(4, tenantId="acme"), message(6, tenantId="acme2"))
    assert len({key for key, _ in out.events}) == 3


def test_visitors_and_deletions_go_through_the_identity() -> None:
    out = decoded(message(2, userId=None, anonymousId="cookie"), message(4, eventType="user_deleted"), message(6))
    assert [(key, event.type) for key, event in out.identity if isinstance(event, Event)] == [
        (KEYS.stream_key("default", "cookie"), "track"),
        (KEYS.stream_key("default", "ana"), "user_deleted"),
    ]
    assert [event.offset for _, event in out.events] == [6]


def test_a_merge_concerns_the_visitor_that_was_and_the_user_that_is() -> None:
    merge = message(8, eventType="identity_merged", payload={"previousId": "cookie"})
    out = decoded(merge)
    ((to_user, event),), ((to_visitor, merged),) = out.events, out.identity
    assert (to_user, to_visitor) == (KEYS.stream_key("default", "ana"), KEYS.stream_key("default", "cookie"))
    assert isinstance(event, Event)
    assert merged == VisitorMerged(
        tenant="default",
        key=to_visitor,
        user="cookie",
        into="ana",
        into_key=to_user,
        timestamp=START,
        log_time=START + 8,
        partition=3,
        seq=8,
    )


def test_whoever_is_merged_with_themselves_is_not() -> None:
    out = decoded(message(eventType="identity_merged", payload={"previousId": "ana"}))
    assert (len(out.events), out.identity) == (1, [])
    assert counters.EVENTS_IGNORED.by_label(out.counts) == {"merge_circular": 1}


def test_a_visitor_may_name_a_visitor() -> None:
    out = decoded(message(userId=None, anonymousId="phone", eventType="identity_merged", payload={"previousId": "cookie"}))
    (_, event), (_, merged) = out.identity
    assert isinstance(event, Event)
    assert isinstance(merged, VisitorMerged)
    assert (event.user, merged.user, merged.into, merged.into_anonymous) == ("phone", "cookie", "phone", True)
