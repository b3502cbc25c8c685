"""Which messages are about a user, however they are written: what the decoder mends is mended, what it rejects is judged as a letter."""

from __future__ import annotations

import json
from typing import Any

import pytest

from state.decode import decode, peek_person
from state.event import Event
from state.messages import Message
from state.records.dead_letter import DeadLetter
from state.records.subject import Subject, bare_deletion, is_about, is_deletion, left_of, letter_is_about, must_go

ANN = Subject("default", ("u-17", "é-visitor"))
BOM = b"\xef\xbb\xbf"
NOW = 1_767_600_000_000


def event(**fields: Any) -> bytes:
    given = {"eventId": "e-1", "userId": "u-17", "eventType": "page_view", "timestamp": "2026-01-05T08:00:00Z", "payload": {}, **fields}
    return json.dumps({name: value for name, value in given.items() if value is not None}).encode()


MERGE = event(userId="ben", eventType="identity_merged", payload={"previousId": "é-visitor"})
HERS = [
    event(), BOM + event(), event(name="\ud800"), event()[:60], event(tenantId=5), event(anonymousId=7), event(tenantId=None),
    event(userId=" ", anonymousId="u-17"), event(userId="undefined", anonymousId="u-17"), MERGE, BOM + MERGE,
]  # fmt: skip
OF_OTHERS = [
    event(userId="ben"), event(userId="u-170"), BOM + event(userId="ben"), event(tenantId="other"), event(userId="ben", name="u-17"),
    event(tenantId="other")[:-1], event(userId=" ", anonymousId="ben"),
    event(userId="ben", eventType="é", name="u-17").replace(b"\\u00e9", b"\xff"),
    MERGE.replace(b"\\u00e9", b"\xff").replace(b"e-1", b"u-17"),
]  # fmt: skip


OF_ACME = Subject("acme", ANN.ids)


@pytest.mark.parametrize("rejected", [{"eventType": "odd"}, {"timestamp": None}, {"anonymousId": 7}, {"payload": {"tenantId": "acme"}}])
def test_a_message_without_a_tenant_is_of_the_default_one_and_of_no_other(rejected: dict[str, Any]) -> None:
    letter = DeadLetter("", "", event(**rejected), "", 0, 0, 0)
    assert (letter_is_about(letter, ANN), letter_is_about(letter, OF_ACME)) == (True, False)
    assert (is_about(letter.raw, None, ANN), is_about(letter.raw, None, OF_ACME)) == (True, False)


@pytest.mark.parametrize(
    "unclear", [event()[:60], event(tenantId=5), event(tenantId=""), event(tenantId="undefined"), b'{"user_id": "u-17"}']
)
def test_a_message_whose_tenant_nobody_can_tell_is_reached_by_the_user_of_any(unclear: bytes) -> None:
    for subject in (ANN, OF_ACME):
        assert letter_is_about(DeadLetter("", "", unclear, "", 0, 0, 0), subject)
        assert is_about(unclear, None, subject)


@pytest.mark.parametrize("value", HERS)
def test_a_message_of_hers_is_found_however_it_is_written(value: bytes) -> None:
    assert is_about(value, None, ANN)


@pytest.mark.parametrize("value", OF_OTHERS)
def test_a_message_of_somebody_else_is_not(value: bytes) -> None:
    assert not is_about(value, None, ANN)


def test_the_key_tells_whose_a_message_without_ids_is() -> None:
    assert is_about(b"{", b"u-17", ANN)
    assert not is_about(b"{", b"ben", ANN)


@pytest.mark.parametrize("value", [*HERS, *OF_OTHERS])
def test_the_sender_at_a_glance_is_the_user_of_the_event(value: bytes) -> None:
    found = decode(Message(value, None, "", 0, 0, NOW, NOW, 0))
    if isinstance(found, Event):
        assert peek_person(value) == (found.tenant, found.user)


def test_a_deletion_is_seen_in_what_the_decoder_mends_and_beside_any_payload() -> None:
    for value in (BOM + event(eventType="user_deleted"), event(eventType="user_deleted", payload={"previousId": 5})):
        found = decode(Message(value, None, "", 0, 0, NOW, NOW, 0))
        assert isinstance(found, Event)
        assert is_deletion(value)
    assert not is_deletion(event())


def test_what_somebody_else_said_of_a_visitor_is_not_the_users_own() -> None:
    """It has the id of somebody else, whom the export of the user must not name."""
    own = ANN._replace(own_only=True)
    assert is_about(MERGE, None, ANN)
    for value in (MERGE, BOM + MERGE):
        assert not is_about(value, None, own)
    rejected = event(userId="ben", eventType="identity_merged", payload={"previousId": "é-visitor"}, timestamp=None)
    letter = DeadLetter("", "", rejected, "", 0, 0, 0, b"u-17")
    assert (letter_is_about(letter, ANN), letter_is_about(letter, own)) == (True, False)
    for value in HERS:
        assert is_about(value, None, own) or value in {MERGE, BOM + MERGE}


BARE = event(eventType="user_deleted", tenantId="default")
HEADERS = (("traceparent", b"00"), ("onramp-attempts", b"2"))
CONTENT: dict[str, Any] = {
    "payload": {"email": "a@b.c"}, "traits": {"name": "A"}, "name": "A", "sessionId": "s", "more": 1, "schemaVersion": {"a": 1}
}  # fmt: skip


@pytest.mark.parametrize(
    "value", [BARE, BOM + BARE, BARE.replace(b" ", b""), event(eventType="user_deleted", payload=None), BARE[:-1] + b"\n }"]
)
def test_a_deletion_without_content_stays_as_it_is(value: bytes) -> None:
    assert bare_deletion(value, HEADERS) == (value, HEADERS)
    assert not must_go(value, None, (), ANN)


@pytest.mark.parametrize("name", CONTENT)
def test_of_a_deletion_with_content_its_envelope_stays(name: str) -> None:
    value = event(eventType="user_deleted", tenantId="default", **{name: CONTENT[name]})
    assert must_go(value, None, (), ANN)
    (found, _) = bare_deletion(value, HEADERS) or (b"", ())
    assert json.loads(found) == json.loads(BARE)
    assert bare_deletion(found, HEADERS) == (found, HEADERS)
    before, after = (decode(Message(each, None, "", 0, 0, NOW, NOW, 0)) for each in (value, found))
    assert isinstance(after, Event)
    assert not isinstance(before, Event) or (before.id, before.user, before.timestamp) == (after.id, after.user, after.timestamp)


@pytest.mark.parametrize(
    "value",
    [
        BARE.replace(b'"payload": {}', b'"payload": {"email": "a@b.c"}, "payload": {}'),
        BARE.replace(b'"payload": {}', b'"payload": "a@b.c"'),
        BARE.replace(b'"payload": {}', b'"payload":1').replace(b" ", b""),
    ],
)
def test_content_is_seen_however_it_is_written_and_less_is_left(value: bytes) -> None:
    assert must_go(value, None, (), ANN)
    (found, _) = bare_deletion(value, HEADERS) or (b"", ())
    assert is_deletion(found)
    assert len(found) < len(value)
    assert b"a@b.c" not in found
    assert not must_go(found, None, (), ANN)


def test_a_header_with_content_goes_and_other_messages_are_no_deletion() -> None:
    assert must_go(BARE, None, (("mail", b"a@b.c"),), ANN)
    assert bare_deletion(BARE, (("mail", b"a@b.c"), ("traceparent", b"00"))) == (BARE, (("traceparent", b"00"),))
    assert not must_go(event(userId="ben", eventType="user_deleted", payload={"a": 1}), None, (), ANN)
    assert must_go(event(), None, (), ANN)
    assert bare_deletion(event()) is None


@pytest.mark.parametrize("value", [b"\xff", b"", b"{", event(eventType="user_deleted\u00e9").replace(b"\\u00e9", b"\xff")])
def test_what_cannot_be_read_asks_for_no_deletion(value: bytes) -> None:
    assert not is_deletion(value)


@pytest.mark.parametrize("by", [{"userId": "u-17"}, {"userId": None, "anonymousId": "u-17"}])
def test_of_a_merge_that_the_job_has_yet_to_read_the_ids_stay(by: dict[str, Any]) -> None:
    value = event(eventType="identity_merged", payload={"previousId": "é-visitor", "email": "a@b.c"}, traits={"name": "A"}, **by)
    unread = ANN._replace(merges_stay=True)
    assert must_go(value, None, (), unread)
    (found, headers) = left_of(value, (("mail", b"a@b.c"), ("traceparent", b"00")), unread) or (b"", ())
    assert headers == (("traceparent", b"00"),)
    assert json.loads(found)["payload"] == {"previousId": "é-visitor"}
    assert b"a@b.c" not in found
    assert b"traits" not in found
    before, after = (decode(Message(each, None, "", 0, 0, NOW, NOW, 0)) for each in (value, found))
    assert isinstance(before, Event)
    assert isinstance(after, Event)
    assert (before.id, before.user, before.anonymous, before.timestamp) == (after.id, after.user, after.anonymous, after.timestamp)
    assert not must_go(found, None, headers, unread)
    assert must_go(found, None, headers, ANN), "it goes when the job has read it"
    assert left_of(event(), (), unread) is None
