"""One damaged event costs no other: half an emoji is mended as the job mends it, and what is no JSON is rejected by its index."""

from __future__ import annotations

import gc
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.byte_budget import ByteBudget
from gateway.split_json import split_array
from gateway.tokens import mint
from gateway.validation import check, faults_of
from state.decode import decode
from state.event import Event
from state.messages import Message
from state.records.dead_letter import DeadLetter
from state.records.fact_builders import dead_letter_fact
from tests.support.gateway import Gateway, event, run_gateway
from tests.support.waiting import uses_at_most

HALF = b'"caf\\ud83d"'
"""What ``JSON.stringify`` writes for a text that was cut within an emoji."""
NOW = 1_772_442_005_000
"""The time of ``event``."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("gateway"), events_per_second=1e9) as running:
        yield running


@pytest.fixture
def gateway(shared: Gateway) -> Gateway:
    shared.log.records.clear()
    return shared


def with_label(text: bytes, event_id: str = "odd", **fields: Any) -> bytes:
    """An event whose payload holds ``text``, as it is."""
    return json.dumps(event(event_id, payload={"label": "LABEL"}, **fields)).encode().replace(b'"LABEL"', text)


def array(*events: bytes) -> bytes:
    return b"[" + b", ".join(events) + b"]"


GOOD, ALSO_GOOD = (json.dumps(event(each)).encode() for each in ("a", "b"))


# ------------------------------------------------------------------------------------------------------------- half an emoji


def test_half_an_emoji_is_stored_as_it_was_sent_with_the_events_beside_it(gateway: Gateway) -> None:
    answer = gateway.post("/v1/events", content=array(GOOD, with_label(HALF), ALSO_GOOD), key=gateway.key())
    assert (answer.status_code, answer.json()) == (202, {"stored": ["a", "odd", "b"]})
    assert [record.value for record in gateway.log.records] == [GOOD, with_label(HALF), ALSO_GOOD]
    found = check(gateway.log.records[1].value, NOW)
    assert isinstance(found, Event)
    assert found.payload == {"label": "caf\ufffd"}


@pytest.mark.parametrize("several", [False, True])
def test_a_user_token_and_the_key_of_a_tenant_complete_what_holds_half_an_emoji(gateway: Gateway, several: bool) -> None:
    signing = gateway.store.create("signing", tenant="acme")[0]
    token = mint(signing.secret or "", key_id=signing.id, tenant="acme", user="ana", now=time.time())
    body = with_label(HALF, userId=None)
    assert gateway.post("/v1/events", content=array(body) if several else body, key=token).status_code == 202
    body = with_label(HALF)
    assert gateway.post("/v1/events", content=array(body) if several else body, key=gateway.key(tenant="acme")).status_code == 202
    found = [check(record.value, NOW) for record in gateway.log.records]
    assert [(each.tenant, each.user, each.payload) for each in found if isinstance(each, Event)] == [
        ("acme", "ana", {"label": "caf\ufffd"}),
        ("acme", "u-17", {"label": "caf\ufffd"}),
    ]


def test_the_faults_of_an_event_with_half_an_emoji_are_named_with_its_id(gateway: Gateway) -> None:
    answer = gateway.post("/v1/events", content=with_label(HALF, timestamp="yesterday", sessionId=7), key=gateway.key())
    (rejected,) = answer.json()["rejected"]
    assert rejected["eventId"] == "odd"
    assert {fault["code"] for fault in rejected["faults"]} == {"bad_timestamp", "bad_session_id"}


def test_a_large_event_with_many_faults_is_read_again_as_far_as_the_budget_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counted(message: Message) -> Event | DeadLetter:
        read.append(len(message.value))
        return decode(message)

    monkeypatch.setattr("gateway.validation.decode", counted)
    value = with_label(b'"' + b"\\\\" * 400_000 + b'\\ud800"', timestamp="yesterday", sessionId=7, name=[], tenantId=5)
    letter = check(value, NOW)
    assert isinstance(letter, DeadLetter)
    for size, looks in ((1_048_576, 1), (3_000_000, 3)):
        read.clear()
        faults = faults_of(letter, value, NOW, ByteBudget(size))
        assert len(read) == looks
        assert len(faults) == looks + 1


def test_half_an_emoji_keeps_no_user_from_starting(gateway: Gateway) -> None:
    body = b'{"userId": "u-17", "traits": {"firstName": ' + HALF + b"}}"
    assert gateway.post("/v1/onboarding/start", content=body, key=gateway.key()).status_code == 202
    assert gateway.stored()[0]["payload"] == {"traits": {"firstName": "caf\ufffd"}}


def call(event_id: str, text: bytes = b'"x"') -> bytes:
    whole = {"type": "track", "messageId": event_id, "userId": "u-17", "event": "e", "properties": {"a": "TEXT"}}
    return json.dumps({**whole, "timestamp": "2026-03-02T09:00:00Z"}).encode().replace(b'"TEXT"', text)


def webhook(gateway: Gateway, body: bytes, signed: bytes) -> httpx2.Response:
    secret = gateway.key("webhook")
    signature = hmac.new(secret.encode(), signed, "sha1").hexdigest()
    return gateway.post("/v1/webhooks/segment", content=body, authorization=f"Bearer {secret}", x_signature=signature)


def test_half_an_emoji_is_mended_in_every_call_of_segment(gateway: Gateway) -> None:
    key = gateway.key()
    assert gateway.post("/v1/track", content=call("one", HALF), key=key).status_code == 200
    assert gateway.post("/v1/batch", content=b'{"batch": ' + array(call("a"), call("b", HALF)) + b"}", key=key).status_code == 200
    assert webhook(gateway, call("two", HALF), call("two", HALF)).status_code == 200
    assert webhook(gateway, array(call("c", HALF), call("d"), call("e", HALF)), call("c", HALF)).status_code == 200
    found = {each["eventId"]: each["payload"]["a"] for each in gateway.stored()}
    assert found == {"one": "caf\ufffd", "a": "x", "b": "caf\ufffd", "two": "caf\ufffd", "c": "caf\ufffd", "d": "x", "e": "caf\ufffd"}


def test_the_signature_of_a_webhook_covers_the_bytes_that_came(gateway: Gateway) -> None:
    mended = call("a").replace(b'"x"', b'"caf\\ufffd"')
    assert webhook(gateway, array(call("a", HALF), call("b")), mended).status_code == 401
    assert webhook(gateway, array(call("a", b"NaN"), call("b")), call("a", b"NaN")).status_code == 200
    assert webhook(gateway, array(call("a", b'"\xff"'), call("b")), call("a", b'"\xff"')).status_code == 200


# ---------------------------------------------------------------------------------------------------------------- no JSON at all

NO_JSON = {
    "NaN": (b"NaN", "not_json"),
    "Infinity": (b"-Infinity", "not_json"),
    "bytes that are not UTF-8": (b'"\xff\xfe"', "bad_encoding"),
    "bytes that are not UTF-8 in a name": (b'{"\xff": 1}', "bad_encoding"),
    "a line end in a text": (b'"a\nb"', "not_json"),
    "half an emoji beside NaN": (b"[" + HALF + b", NaN]", "not_json"),
    "a number that is too large": (b"1e999", "bad_payload"),
    "a long number": (b"9" * 5_000, "bad_payload"),
    "a long number beside NaN": (b"[" + b"9" * 5_000 + b", NaN]", "not_json"),
}


@pytest.mark.parametrize("name", NO_JSON)
@pytest.mark.parametrize("tenant", ["default", "acme"])
def test_an_event_that_is_no_json_is_rejected_by_its_index_and_costs_no_other(gateway: Gateway, name: str, tenant: str) -> None:
    text, reason = NO_JSON[name]
    good = json.dumps(event("a", payload={"n": 1.5, "text": "Zoë, [{"}), ensure_ascii=False).encode()
    body = b" [ " + good + b"\n,\t" + with_label(text) + b"," + ALSO_GOOD + b" ]\r\n"
    answer = gateway.post("/v1/events", content=body, key=gateway.key(tenant=tenant))
    assert (answer.status_code, answer.json()["stored"]) == (400, ["a", "b"])
    assert [(each["index"], each["faults"][0]["code"]) for each in answer.json()["rejected"]] == [(1, reason)]
    if tenant == "default":
        assert [record.value for record in gateway.log.records] == [good, ALSO_GOOD]
    alone = gateway.post("/v1/events", content=with_label(text), key=gateway.key(tenant=tenant))
    assert (alone.status_code, alone.json()["rejected"][0]["faults"][0]["code"]) == (400, reason)


@pytest.mark.parametrize("name", NO_JSON)
@pytest.mark.parametrize("by_webhook", [False, True])
def test_a_call_that_is_no_json_costs_no_other_and_becomes_a_dead_letter(gateway: Gateway, name: str, by_webhook: bool) -> None:
    text, _ = NO_JSON[name]
    calls = array(call("a"), call("odd", text), call("b", HALF))
    if by_webhook:
        answer = webhook(gateway, calls, call("a"))
    else:
        answer = gateway.post("/v1/batch", content=b'{"context": {}, "batch": ' + calls + b', "x": NaN}', key=gateway.key())
    assert (answer.status_code, answer.json()["success"]) == (200, True)
    assert [(each["index"], each["faults"][0]["code"]) for each in answer.json()["rejected"]] == [(1, "not_json")]
    found = [check(record.value, NOW) for record in gateway.log.records]
    assert [each.id for each in found if isinstance(each, Event)] == ["a", "b"]
    (letter,) = (each for each in found if not isinstance(each, Event))
    assert call("odd", text) in letter.raw
    row = dead_letter_fact(letter)
    assert (row.user_ids, row.tenant_ids) == (("u-17",), ("default",)), "a deletion finds it"


@pytest.mark.parametrize("name", NO_JSON)
def test_alone_a_call_that_is_no_json_is_refused(gateway: Gateway, name: str) -> None:
    text, _ = NO_JSON[name]
    key = gateway.key()
    for answer in (
        gateway.post("/v1/track", content=call("odd", text), key=key),
        gateway.post("/v1/onboarding/start", content=b'{"userId": "u", "traits": {"a": ' + text + b"}}", key=key),
        webhook(gateway, call("odd", text), call("odd", text)),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, "not_json")
    assert gateway.log.records == []


# --------------------------------------------------------------------------------------------------------------------- the scan


SCALARS = st.none() | st.booleans() | st.text() | st.floats() | st.integers()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8)


@given(events=st.lists(VALUES, max_size=5), ascii_only=st.booleans())
def test_an_array_is_split_into_the_bytes_of_its_elements(events: list[Any], ascii_only: bool) -> None:
    values = [json.dumps(each, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") for each in events]
    assert split_array(b"[" + b" ,\n".join(values) + b"]") == values
    assert split_array(array(b"NaN", *values)) == [b"NaN", *values]


NO_ARRAY = b'[NaN|[NaN,]|[,NaN]|[NaN NaN]|[NaN]]|[NaN]x|[NaN}|[NaN, "a]|[nan]|[NaN:1]|{}||[NaN, {]'.split(b"|")
DEEP = [b"[" * 1_000_000, b'[{"a":' * 150_000, b"[NaN," + b"[" * 500_000 + b"]" * 500_000 + b"]", b'["' + b"\\" * 1_000_000]


@pytest.mark.parametrize("body", NO_ARRAY + DEEP, ids=lambda body: repr(body[:20]))
def test_what_nobody_can_tell_the_elements_of_is_no_array(body: bytes) -> None:
    assert split_array(body) is None


PARTS = [*b'[],|[[],[],[]],|{"":{}},|"",|1,|1.5,|NaN,|{"a":1},|"\\\\",|"\\ud83d",| '.split(b"|"), b"9" * 4_000 + b","]


@pytest.fixture
def frozen() -> Iterator[None]:
    """The garbage collector passes over what is loaded, as in the gateway (``gateway/serve.py``). A test run has loaded more."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize("part", PARTS, ids=lambda part: repr(part[:20]))
@pytest.mark.parametrize("nested", [False, True])
def test_a_hostile_array_costs_half_a_second_at_most(part: bytes, nested: bool) -> None:
    inner = part * (1_048_000 // len(part)) + b"NaN"
    with uses_at_most(0.5, "the split"):
        assert split_array(b"[[" + inner + b"]]" if nested else b"[" + inner + b"]") is not None


def test_more_events_than_a_request_may_have_are_refused_also_where_one_is_no_json(gateway: Gateway) -> None:
    answer = gateway.post("/v1/events", content=b"[NaN" + b",{}" * 1_000 + b"]", key=gateway.key())
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert gateway.post("/v1/events", content=b"[NaN" + b",{}" * 999 + b"]", key=gateway.key()).json()["code"] == "invalid_events"
