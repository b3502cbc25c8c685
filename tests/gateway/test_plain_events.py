"""One look at a whole request says yes only where the decoder of the job would take every event, and says it for usual events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway.caller import Caller, SenderRules
from gateway.errors import RefusedError
from gateway.ingest import Ingest
from gateway.log import OversizeError, Record
from gateway.plain_events import read_plain
from gateway.quota import Quota
from gateway.rate_limit import RateLimiter
from gateway.validation import check
from state.event import Event
from tests.fuzz.event_sender import Sender
from tests.support.gateway import event
from tests.support.waiting import run_async

NOW = 1_772_442_005_000
"""The time of ``event``."""


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def both(*events: Any) -> tuple[bool, bool]:
    """Whether the look says yes, and whether the decoder takes all."""
    values = [each if isinstance(each, bytes) else msgspec.json.encode(each) for each in events]
    return read_plain(values, NOW) is not None, all(isinstance(check(value, NOW), Event) for value in values)


def test_whatever_it_recognises_the_decoder_takes_as_the_same() -> None:
    recognised = taken = 0
    for seed in range(2):
        sender = Sender(seed)
        for _ in range(800):
            value = sender.message()
            decoded, plain = check(value, NOW), read_plain([value], NOW)
            taken += isinstance(decoded, Event)
            if plain is not None:
                assert isinstance(decoded, Event), value
                assert (plain.ids, plain.users) == ([decoded.id], [decoded.user]), value
                kinds = frozenset({decoded.type}), frozenset({decoded.tenant}), decoded.anonymous
                assert (plain.types, plain.tenants, plain.visitors) == kinds, value
                recognised += 1
    assert recognised > 0.8 * taken > 300


@pytest.mark.parametrize(
    "unlike",
    [
        event(payload=nested(32)),
        event(payload={"n": 2**63 - 1}),
        event(userId="1234567890123456789"),
        event(userId="{f3b1c2d4-0000-4000-8000-000000000001}"),
        event(userId="Zoë"),
        event(userId=None, anonymousId="visitor"),
        event(tenantId="acme"),
        event(timestamp="2026-03-03T09:00:05Z"),
        event(eventType="page_view", payload={"path": "/"}),
        event(eventType="signup", payload={"traits": {"persona": "analyst"}}),
        event(payload={"text": "[{" * 40}),
    ],
    ids=str,
)
def test_events_at_the_edge_are_recognised_among_others(unlike: dict[str, Any]) -> None:
    assert both(event("a"), unlike, event("b")) == (True, True)


@pytest.mark.parametrize(
    "unlike",
    [
        event(payload=nested(33)),
        event(payload={"n": 2**63}),
        event(payload={"n": -(2**63) - 1}),
        event(payload={"text": "x" * 32_768}),
        event(userId="undefined"),
        event(userId=" NULL "),
        event(userId="a\u200bb"),
        event(eventId="{{id}}"),
        event(eventId=" "),
        event(userId=None),
        event(userId=None, anonymousId="nUlL"),
        event(tenantId="a:b"),
        event(timestamp="2026-03-03T09:00:06Z"),
        event(timestamp="1999-12-31T23:59:59Z"),
        event(timestamp="2026-03-02T09:00:05"),
        event(eventType="page_view", payload={"path": ""}),
        event(eventType="signup", payload={"traits": 1}),
        event(eventType="nonsense"),
        event(eventType="identity_merged", payload={"previousId": "undefined"}),
        event(userId=None, anonymousId="visitor", eventType="guidance_switched", payload={"action": "pause"}),
        event(schemaVersion=3),
        event(name="x" * 257),
        b'{"eventId": "a"',
        msgspec.json.encode(event("a")) + b"," + msgspec.json.encode(event("b")),
    ],
    ids=lambda each: str(each)[:80],
)
def test_one_event_that_the_decoder_rejects_is_never_hidden_by_others(unlike: Any) -> None:
    assert both(event("a"), unlike, event("b")) == (False, False)
    bare = [event(each, payload=None) for each in "ab"]  # no bracket more than needed, at which a payload is too deep
    assert both(bare[0], unlike, bare[1]) == (False, False)


def test_an_event_of_version_2_is_left_to_the_decoder() -> None:
    assert both(event("a"), event(schemaVersion=2), event("b")) == (False, True)


class _Nowhere:
    def __init__(self, too_large: list[bytes] | None = None) -> None:
        self._too_large = too_large

    async def append(self, records: object) -> None:
        """Store nothing."""
        if self._too_large is not None:
            raise OversizeError(self._too_large)

    async def fault(self) -> None:
        """Have none."""

    async def close(self) -> None:
        """Close nothing."""


async def _no_count(_key: str, _by: int) -> int:
    return 0


def ingest_of(log: _Nowhere, claim: Callable[[Caller, str], str] = lambda *_: "no", per_day: int | None = None) -> tuple[Ingest, Quota]:
    limit = RateLimiter(per_second=1e9, burst=1e9)
    quota = Quota(lambda _: per_day, _no_count, lambda: NOW)
    return Ingest(log, SenderRules(lambda _: False, claim), limit, limit, lambda: NOW, quota), quota


def test_a_batch_is_stored_as_its_events_one_by_one_would_be() -> None:
    ingest, _ = ingest_of(_Nowhere())
    caller, headers = Caller("server", "default", "k"), (("traceparent", b"00-a-b-01"),)
    values = [msgspec.json.encode(event(f"e{number}", userId=f"u{number}")) for number in range(8)]
    values.append(msgspec.json.encode(event("e8", anonymousId="v") | {"userId": None}))
    ids, records, rejected = ingest.sort(values, caller, headers)
    singly = [ingest.sort([value], caller, headers) for value in values]
    assert ids == [each for found, _, _ in singly for each in found]
    assert records == [each for _, found, _ in singly for each in found]
    assert (rejected, records[0].headers) == ([], headers)


def test_what_the_log_finds_too_large_does_not_count_for_the_quota() -> None:
    async def store() -> None:
        ingest, quota = ingest_of(_Nowhere(too_large=[b"x", b"y"]), per_day=5)
        await quota.check("default", 5)
        assert await ingest.store([Record(b"u", each, ()) for each in (b"a", b"x", b"x", b"y")], Caller("server", "default", "k")) == {
            b"x",
            b"y",
        }
        await quota.check("default", 4)
        with pytest.raises(RefusedError):
            await quota.check("default", 5)

    run_async(store())


def sorted_as(caller: Caller, events: list[dict[str, Any]], claim: Callable[[Caller, str], str] = lambda *_: "no") -> list[str | None]:
    """What is said of each event: None where it is stored, else the field that the sender may not send."""
    ingest, _ = ingest_of(_Nowhere(), claim)
    ids, records, rejected = ingest.sort([msgspec.json.encode(each) for each in events], caller, ())
    assert len(ids) == len(records) == len(events) - len(rejected)
    said = {each.index: each.faults[0].field for each in rejected}
    return [said.get(index) for index in range(len(events))]


@pytest.mark.parametrize(
    ("caller", "refused", "field"),
    [
        (Caller("server", "default", "k"), event("x", tenantId="acme"), "tenantId"),
        (Caller("server", "default", "k"), event("x", eventType="guidance_switched", payload={"action": "pause"}), "eventType"),
        (Caller("publishable", "default", "k"), event("x", eventType="step_completed", payload={"step": "a"}), "eventType"),
        (Caller("publishable", "default", "k"), event("x", eventType="recommendation_shown"), "payload.recommendationId"),
        (Caller("user", "default", "k", "u-17"), event("x", userId="u-18"), "userId"),
        (Caller("user", "default", "k", "u-17"), event("x", anonymousId="u-17") | {"userId": None}, "userId"),
        (Caller("user", "default", "k", "u-17"), event("x", eventType="user_deleted"), "eventType"),
        (
            Caller("user", "default", "k", "u-17"),
            event("x", eventType="identity_merged", payload={"previousId": "v"}),
            "payload.previousId",
        ),
    ],
)
def test_a_batch_gives_no_sender_more_rights_than_single_events(caller: Caller, refused: dict[str, Any], field: str) -> None:
    usual = [event(f"e{number}") for number in range(20)]
    assert sorted_as(caller, usual) == [None] * 20
    assert sorted_as(caller, [*usual, refused]) == [*[None] * 20, field]
    assert sorted_as(caller, [refused]) == [field]
