"""``POST /v1/events`` over a real socket: what is stored, what is refused, and what the sender is told."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from gateway.byte_budget import ByteBudget
from gateway.caller import Fault
from gateway.fake_log import FakeLog, FakeLogError
from gateway.group_commit import GroupCommitLog
from gateway.ingest import MOST_LOOKED_AT
from gateway.log import OversizeError, Record
from gateway.rate_limit import RateLimiter
from gateway.tokens import mint
from gateway.validation import check, faults_of
from state.event import Event
from state.event_contract import REJECTIONS
from tests.support.gateway import SIGNING, Gateway, event, raw_request, run_gateway
from tests.support.waiting import PATIENCE, join, wait_until

NOW = 1_772_442_005_000
"""2026-03-02T09:00:05Z, when the sample events happened."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def gateway(shared: Gateway) -> Gateway:
    shared.log.records.clear()
    shared.log.commits.clear()
    return shared


@pytest.fixture(scope="module")
def server_key(shared: Gateway) -> str:
    return shared.key()


def test_one_event_is_stored_as_it_was_sent(gateway: Gateway, server_key: str) -> None:
    body = b' {"eventId": "e1", "userId": "u-17", "eventType": "track", "timestamp": "2026-03-02T09:00:05.120Z", "payload": {"charts": 2}}'
    answer = gateway.post("/v1/events", content=body, key=server_key)
    assert (answer.status_code, answer.json()) == (202, {"stored": ["e1"]})
    ((key, value, headers),) = gateway.log.records
    assert (key, value, headers) == (b"u-17", body, ())


def test_a_batch_is_stored_in_its_order_with_one_commit(gateway: Gateway, server_key: str) -> None:
    answer = gateway.post("/v1/events", [event(f"e{n}", userId=f"u{n % 3}") for n in range(300)], key=server_key)
    assert answer.json() == {"stored": [f"e{n}" for n in range(300)]}
    assert [each["eventId"] for each in gateway.stored()] == [f"e{n}" for n in range(300)]
    assert [record.key for record in gateway.log.records[:3]] == [b"u0", b"u1", b"u2"]
    assert gateway.log.commits == [300]


def test_an_empty_batch_stores_nothing(gateway: Gateway, server_key: str) -> None:
    answer = gateway.post("/v1/events", [], key=server_key)
    assert (answer.status_code, answer.json()) == (202, {"stored": []})


def test_a_visitor_is_the_key_of_their_events(gateway: Gateway, server_key: str) -> None:
    gateway.post("/v1/events", event(userId=None, anonymousId="cookie-1"), key=server_key)
    assert gateway.log.records[0].key == b"cookie-1"


def test_the_trace_and_the_version_go_into_the_headers(gateway: Gateway, server_key: str) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    gateway.post("/v1/events", event(), key=server_key, traceparent=trace, x_api_version="3")
    gateway.post("/v1/events", event(), key=server_key, traceparent="not a trace")
    assert sorted(gateway.log.records[0].headers) == [("traceparent", trace.encode()), ("x-api-version", b"3")]
    assert gateway.log.records[1].headers == ()


def test_every_field_at_fault_is_named(gateway: Gateway, server_key: str) -> None:
    bad = {
        "eventId": 7,
        "userId": "x" * 300,
        "eventType": "page_view",
        "timestamp": "yesterday",
        "payload": {"title": "T"},
        "sessionId": [],
    }
    answer = gateway.post("/v1/events", bad, key=server_key)
    assert answer.status_code == 400
    found = answer.json()
    assert found["code"] == "invalid_events"
    assert found["stored"] == []
    (rejected,) = found["rejected"]
    assert {(fault["field"], fault["code"]) for fault in rejected["faults"]} == {
        ("eventId", "bad_event_id"),
        ("userId", "bad_user_id"),
        ("sessionId", "bad_session_id"),
        ("timestamp", "bad_timestamp"),
        ("payload.path", "bad_payload"),
    }
    assert gateway.log.records == []


def test_the_valid_part_of_a_batch_is_stored_and_named(gateway: Gateway, server_key: str) -> None:
    answer = gateway.post("/v1/events", [event("a"), event("b", eventType="nonsense"), event("c"), 5], key=server_key)
    assert answer.status_code == 400
    found = answer.json()
    assert found["stored"] == ["a", "c"]
    assert [(each["index"], each.get("eventId")) for each in found["rejected"]] == [(1, "b"), (3, None)]
    assert found["message"] == "2 of 4 events are not valid; 2 events were stored"
    assert [each["eventId"] for each in gateway.stored()] == ["a", "c"]


ODD: dict[str, Any] = {
    "no id": (event(eventId=None), "eventId", "missing_event_id"),
    "empty id": (event(""), "eventId", "bad_event_id"),
    "hidden character": (event("a\u202eb"), "eventId", "bad_event_id"),
    "placeholder user": (event(userId="undefined"), "userId", "placeholder_id"),
    "placeholder visitor": (event(userId=None, anonymousId="null"), "anonymousId", "placeholder_id"),
    "nobody": (event(userId=None), "userId", "missing_user"),
    "long visitor": (event(userId=None, anonymousId="v" * 257), "anonymousId", "bad_user_id"),
    "tenant with a colon": (event(tenantId="a:b"), "tenantId", "bad_tenant_id"),
    "session is a number": (event(sessionId=3), "sessionId", "bad_session_id"),
    "no type": (event(eventType=None), "eventType", "missing_event_type"),
    "name is a list": (event(name=[1]), "name", "bad_name"),
    "no time": (event(timestamp=None), "timestamp", "missing_timestamp"),
    "no zone": (event(timestamp="2026-03-02T09:00:05"), "timestamp", "bad_timestamp"),
    "the year 1970": (event(timestamp="1970-01-01T00:00:00Z"), "timestamp", "timestamp_out_of_range"),
    "payload is text": (event(payload="x"), "payload", "bad_payload"),
    "payload is large": (event(payload={"x": "y" * 33_000}), "payload", "payload_too_large"),
    "payload is deep": (event(payload=json.loads('{"a":' * 40 + "1" + "}" * 40)), "payload", "bad_payload"),
    "version": (event(schemaVersion=3), "schemaVersion", "future_schema_version"),
    "version is text": (event(schemaVersion="1"), "schemaVersion", "unsupported_schema_version"),
    "refusal": (event(eventType="preferences_changed", payload={"guidance": "perhaps"}), "payload.guidance", "bad_payload"),
    "traits": (event(eventType="identify", payload={"traits": 3}), "payload.traits", "bad_payload"),
    "previous id": (event(eventType="identity_merged", payload={"previousId": "null"}), "payload.previousId", "placeholder_id"),
}


@pytest.mark.parametrize("name", ODD)
def test_a_single_fault_is_named_with_its_field_and_reason(name: str) -> None:
    sent, field, code = ODD[name]
    now = 1_772_000_000_000 + 10**9
    value = json.dumps(sent, ensure_ascii=False).encode()
    found = check(value, now)
    assert not isinstance(found, Event)
    faults = faults_of(found, value, now, ByteBudget(MOST_LOOKED_AT))
    assert [(fault.field, fault.code) for fault in faults] == [(field, code)]
    assert code in REJECTIONS
    assert Fault(*faults[0]).message


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_events"),
        (b"null", 400, "invalid_events"),
        (b'"text"', 400, "invalid_events"),
        (b"{", 400, "invalid_events"),
        (b"\xff\xfe", 400, "invalid_events"),
        (b"[", 400, "not_json"),
        (b"[1,]", 400, "not_json"),
        (b"[" * 100_000, 400, "not_json"),
        (b'{"a":' * 100_000, 400, "invalid_events"),
        (b"[" + b"{}," * 1000 + b"{}]", 413, "too_large"),
        (b" " * 1_048_577, 413, "too_large"),
    ],
)
def test_a_body_that_is_no_batch_of_events_is_refused(gateway: Gateway, server_key: str, body: bytes, status: int, code: str) -> None:
    answer = gateway.post("/v1/events", content=body, key=server_key)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert gateway.log.records == []


def test_gzip_is_read_and_its_limit_holds_after_inflation(gateway: Gateway, server_key: str) -> None:
    small = gzip.compress(json.dumps([event()]).encode())
    assert gateway.post("/v1/events", content=small, key=server_key, content_encoding="gzip").status_code == 202
    two_members = gzip.compress(b"[") + gzip.compress(json.dumps(event("e2")).encode() + b"]")
    assert gateway.post("/v1/events", content=two_members, key=server_key, content_encoding="gzip").json() == {"stored": ["e2"]}
    bomb = gzip.compress(b" " * 100_000_000)
    assert len(bomb) < 200_000
    assert gateway.post("/v1/events", content=bomb, key=server_key, content_encoding="gzip").status_code == 413
    assert gateway.post("/v1/events", content=small[:-9], key=server_key, content_encoding="gzip").json()["code"] == "bad_gzip"
    assert gateway.post("/v1/events", content=b"[]", key=server_key, content_encoding="gzip").json()["code"] == "bad_gzip"
    assert gateway.post("/v1/events", content=b"[]", key=server_key, content_encoding="br").status_code == 415
    assert [each["eventId"] for each in gateway.stored()] == ["e1", "e2"]


def test_the_field_at_fault_is_named_however_many_events_are_rejected(gateway: Gateway, server_key: str) -> None:
    answer = gateway.post("/v1/events", [event(f"e{n}", timestamp="yesterday") for n in range(120)], key=server_key)
    faults = [each["faults"] for each in answer.json()["rejected"]]
    assert [[fault["field"] for fault in each] for each in faults] == [["timestamp"]] * 120


def test_a_body_without_a_length_is_limited_too(gateway: Gateway, server_key: str) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * 65_536

    answer = gateway.client.post("/v1/events", content=chunks(), headers={"authorization": f"Bearer {server_key}"})
    assert answer.status_code == 413


def test_an_address_or_method_that_is_not_there_is_json_too(gateway: Gateway) -> None:
    assert (gateway.get("/v2/events").status_code, gateway.get("/v2/events").json()["code"]) == (404, "not_found")
    answer = gateway.get("/v1/events")
    assert (answer.status_code, answer.json()["code"], answer.headers["allow"]) == (405, "method_not_allowed", "POST")


@pytest.mark.parametrize("path", ["/v1/events/", "/v1/batch/", "/v1/onboarding/start/", "/v1/stream/", "/healthz/"])
def test_an_address_with_a_slash_too_many_is_not_there(gateway: Gateway, server_key: str, path: str) -> None:
    """Behind TLS a redirection would name http://, and make clients send the event again in clear text."""
    for answer in (gateway.post(path, event(), key=server_key), gateway.get(path, key=server_key)):
        assert (answer.status_code, answer.json()["code"], answer.headers.get("location")) == (404, "not_found", None)


def test_bytes_that_are_no_http_end_only_their_connection(gateway: Gateway, server_key: str) -> None:
    assert b"400" in raw_request(gateway, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10).splitlines()[0]
    assert gateway.post("/v1/events", event(), key=server_key).status_code == 202


# ------------------------------------------------------------------------------------------------------------ limits and failure


def test_a_key_beyond_its_rate_is_told_when_to_come_back(tmp_path: Path) -> None:
    with run_gateway(tmp_path, events_per_second=10.0, clock=lambda: NOW) as gateway:
        key, other = gateway.key(), gateway.key()
        assert gateway.post("/v1/events", [event(f"e{n}") for n in range(20)], key=key).status_code == 202
        refused = gateway.post("/v1/events", [event(f"f{n}") for n in range(15)], key=key)
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (429, "too_many_requests", "2")
        assert gateway.post("/v1/events", event("g"), key=other).status_code == 202
        assert len(gateway.log.records) == 21


def test_a_rate_counts_every_kib_as_an_event(tmp_path: Path) -> None:
    """A few large events fill the log as fast as many small ones."""
    with run_gateway(tmp_path, events_per_second=10.0, clock=lambda: NOW) as gateway:
        key = gateway.key()
        large = [event(f"e{n}", payload={"text": "x" * 10_000}) for n in range(2)]
        assert gateway.post("/v1/events", large[:1], key=key).status_code == 202
        refused = gateway.post("/v1/events", large, key=key)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        packed = gzip.compress(json.dumps(large).encode())
        assert gateway.post("/v1/events", content=packed, key=key, content_encoding="gzip").status_code == 429
        calls = [{"type": "track", "userId": "u", "event": "e", "properties": {"text": "x" * 10_000}}] * 2
        assert gateway.post("/v1/batch", {"batch": calls}, key=key).status_code == 429
        assert gateway.post("/v1/batch", {"batch": calls[:1]}, key=key).status_code == 200


def test_a_clock_that_is_set_back_costs_nobody_their_rate() -> None:
    now = [100.0]
    limiter = RateLimiter(per_second=10, burst=20, clock=lambda: now[0])
    assert limiter.take("k", 1) == 0
    now[0] = 0.0
    assert limiter.take("k", 19) == 0
    now[0] = 1.0
    assert limiter.take("k", 10) == 0


def test_a_log_that_fails_is_503_and_the_next_commit_is_tried(gateway: Gateway, server_key: str) -> None:
    gateway.log.failure = "the disk is full"
    try:
        refused = gateway.post("/v1/events", event(), key=server_key)
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "unavailable", "5")
        assert "the disk is full" in refused.json()["message"]
        assert gateway.get("/readyz").status_code == 503
        assert gateway.get("/healthz").status_code == 200
    finally:
        gateway.log.failure = None
    assert gateway.post("/v1/events", event(), key=server_key).status_code == 202
    assert gateway.get("/readyz").status_code == 200


def test_a_log_that_does_not_acknowledge_in_time_is_503(tmp_path: Path) -> None:
    with run_gateway(tmp_path, acknowledge_seconds=0.05) as gateway:
        key = gateway.key()
        gateway.log.gate.clear()
        refused = gateway.post("/v1/events", event(), key=key)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        gateway.log.gate.set()
        wait_until(lambda: len(gateway.log.records) == 1, "the commit that came too late")


def test_requests_that_wait_share_one_commit(tmp_path: Path) -> None:
    """Nothing is acknowledged before its commit has ended, and what waits is one commit."""
    stored = FakeLog()
    committed = GroupCommitLog(stored, acknowledge_seconds=PATIENCE, failures=(FakeLogError,))
    answers: list[int] = []
    with run_gateway(tmp_path, log=committed) as gateway:
        key = gateway.key()

        def send(event_id: str) -> Thread:
            thread = Thread(target=lambda: answers.append(gateway.post("/v1/events", event(event_id), key=key).status_code), daemon=True)
            thread.start()
            return thread

        stored.gate.clear()
        try:
            senders = [send("first")]
            assert stored.entered.wait(PATIENCE)
            senders += [send(f"e{n}") for n in range(10)]
            wait_until(lambda: committed.waiting == 10, "ten requests that wait in the log")
            assert gateway.get("/healthz").status_code == 200  # a commit does not block the event loop
            assert answers == []
        finally:
            stored.gate.set()
        for sender in senders:
            join(sender, "an answer")
    assert answers == [202] * 11
    assert stored.commits == [1, 10]


class PickyLog:
    """A log with a limit for the size of an event, as a topic of Kafka has one."""

    def __init__(self) -> None:
        self.stored: list[bytes] = []

    async def append(self, records: Sequence[Record]) -> None:
        large = [record.value for record in records if len(record.value) > 1_000]
        self.stored += (record.value for record in records if record.value not in large)
        if large:
            raise OversizeError(large)

    async def fault(self) -> str | None:
        return None

    async def close(self) -> None:
        return None


def test_an_event_that_is_larger_than_the_log_takes_is_413_and_the_others_are_stored(tmp_path: Path) -> None:
    log, large = PickyLog(), {"text": "x" * 2_000}
    with run_gateway(tmp_path, log=log) as gateway:
        key = gateway.key()
        answer = gateway.post("/v1/events", [event("a"), event("b", payload=large), event("c")], key=key)
        assert (answer.status_code, answer.json()["code"], answer.json()["stored"]) == (413, "too_large", ["a", "c"])
        assert [(each["index"], each["eventId"], each["faults"][0]["code"]) for each in answer.json()["rejected"]] == [
            (1, "b", "too_large")
        ]
        mixed = [event("d", timestamp="yesterday"), event("e", payload=large), event("f"), event("g", timestamp="yesterday")]
        answer = gateway.post("/v1/events", mixed, key=key)
        assert (answer.status_code, answer.json()["code"], answer.json()["stored"]) == (400, "invalid_events", ["f"])
        assert [(each["index"], each["eventId"]) for each in answer.json()["rejected"]] == [(0, "d"), (1, "e"), (3, "g")]
        call = {"type": "track", "userId": "u", "event": "e", "messageId": "m", "properties": large}
        answer = gateway.post("/v1/batch", {"batch": [call]}, key=key)
        assert (answer.status_code, answer.json()["code"]) == (400, "too_large")  # SDKs send again after a 413
    assert [json.loads(value)["eventId"] for value in log.stored] == ["a", "c", "f"]


# ------------------------------------------------------------------------------------------------------------------ credentials


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer sk_unknown", "Basic !!!", "Basic c2tfOg==", "Digest x", "Bearer \xff", "Bearer " + "x" * 9000],
)
def test_without_a_known_key_nothing_is_taken(gateway: Gateway, authorization: str) -> None:
    headers = {b"authorization": authorization.encode("latin-1")} if authorization else {}
    answer = gateway.client.post("/v1/events", content=json.dumps(event()).encode(), headers=headers)
    assert (answer.status_code, answer.json()["code"], answer.headers["www-authenticate"]) == (401, "unauthorized", "Bearer")
    assert gateway.log.records == []


def test_a_key_works_as_the_user_of_basic_auth(gateway: Gateway, server_key: str) -> None:
    answer = gateway.client.post("/v1/events", content=json.dumps(event()).encode(), auth=(server_key, ""))
    assert answer.status_code == 202


def test_a_revoked_key_is_refused(gateway: Gateway) -> None:
    text = gateway.key()
    assert gateway.post("/v1/events", event(), key=text).status_code == 202
    gateway.store.revoke(gateway.store.all_keys()[-1].id)
    assert gateway.post("/v1/events", event(), key=text).status_code == 401


def test_a_key_writes_into_its_own_tenant_only(gateway: Gateway) -> None:
    acme = gateway.key(tenant="acme")
    assert gateway.post("/v1/events", event(), key=acme).status_code == 202
    assert gateway.post("/v1/events", event("e2", tenantId="acme"), key=acme).status_code == 202
    assert [each["tenantId"] for each in gateway.stored()] == ["acme", "acme"]
    for other in ("default", "globex"):
        refused = gateway.post("/v1/events", event("e3", tenantId=other), key=acme)
        assert (refused.status_code, refused.json()["rejected"][0]["faults"][0]["field"]) == (403, "tenantId")
    twice = b'{"tenantId":"acme","tenantId":"globex",' + json.dumps(event("e4")).encode()[1:]
    assert gateway.post("/v1/events", content=twice, key=acme).status_code == 403
    assert len(gateway.log.records) == 2


@pytest.mark.parametrize("kind", ["preferences_changed", "user_deleted", "identity_merged"])
def test_a_publishable_key_changes_no_preferences_and_deletes_and_merges_nobody(gateway: Gateway, kind: str) -> None:
    payload = {"guidance": False} if kind == "preferences_changed" else {"previousId": "cookie-1"}
    page_key = gateway.key("publishable")
    refused = gateway.post("/v1/events", [event("a"), event("b", eventType=kind, payload=payload)], key=page_key)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert refused.json()["stored"] == ["a"]
    assert [each["eventId"] for each in gateway.stored()] == ["a"]


@pytest.mark.parametrize("kind", ["publishable", "server", "user token"])
def test_no_credential_switches_guidance(gateway: Gateway, kind: str) -> None:
    if kind == "user token":
        signing = gateway.store.create("signing")[0]
        key = mint(signing.secret or "", key_id=signing.id, tenant="default", user="u-17", now=time.time())
    else:
        key = gateway.key("publishable" if kind == "publishable" else "server")
    switch = event("b", eventType="guidance_switched", payload={"action": "pause"})
    refused = gateway.post("/v1/events", [event("a"), switch], key=key)
    assert (refused.status_code, refused.json()["code"], refused.json()["stored"]) == (403, "forbidden", ["a"])
    assert refused.json()["rejected"][0]["faults"][0]["field"] == "eventType"
    assert [each["eventId"] for each in gateway.stored()] == ["a"]


def test_a_publishable_key_reports_only_recommendations_that_were_issued(gateway: Gateway) -> None:
    page_key = gateway.key("publishable")
    issued = SIGNING.recommendation_id("5b1f0c9e7a3d42f68b90a1c2", "moderate_tooltip")
    for number, payload in enumerate(
        [{}, {"recommendationId": issued[:-1] + "x"}, {"recommendationId": None}, {"recommendationId": [issued]}]
    ):
        refused = gateway.post("/v1/events", event(f"e{number}", eventType="recommendation_shown", payload=payload), key=page_key)
        assert refused.status_code == 403, payload
    good = event(eventType="recommendation_clicked", payload={"recommendationId": issued})
    assert gateway.post("/v1/events", good, key=page_key).status_code == 202
    assert gateway.post("/v1/events", event("s", eventType="recommendation_shown"), key=gateway.key()).status_code == 202
