"""The Segment-compatible way in over a real socket: calls, batches, webhooks, settings, and the official SDK."""

from __future__ import annotations

import gzip
import hmac
import json
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest

from flows.catalogs import load_catalog
from gateway.errors import RefusedError
from gateway.segment.mapping import TrackNames
from gateway.segment.write_key import find_write_key
from gateway.validation import check
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.event import Event
from tests.support.gateway import SIGNING, Gateway, run_gateway
from tests.support.waiting import PATIENCE, join, uses_at_most

NOW = 1_772_442_005_000
"""2026-03-02T09:00:05Z."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    own = load_catalog("saas").model_copy(update={"track_names": {"Payment Failed": "error", "Form Sent": "form_submit"}})
    with run_gateway(
        tmp_path_factory.mktemp("gateway"), clock=lambda: NOW, plans=ByTenant(Plan(load_catalog("saas")), {"default": Plan(own)})
    ) as running:
        yield running


@pytest.fixture
def gateway(shared: Gateway) -> Gateway:
    shared.log.records.clear()
    return shared


@pytest.fixture(scope="module")
def key(shared: Gateway) -> str:
    return shared.key("server")


@pytest.fixture(scope="module")
def page_key(shared: Gateway) -> str:
    return shared.key("publishable")


def call(**fields: Any) -> dict[str, Any]:
    return {"messageId": "m1", "userId": "u-17", "timestamp": "2026-03-02T09:00:00.000Z", **fields}


def send(gateway: Gateway, path: str, body: Any, key: str, **headers: str) -> Any:
    return gateway.client.post(path, content=json.dumps(body).encode(), auth=(key, ""), headers=headers)


CALLS: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
    (
        "track",
        call(event="Dashboard Created", properties={"charts": 2}),
        [{"eventType": "track", "name": "Dashboard Created", "payload": {"charts": 2}}],
    ),
    (
        "track",
        call(event="Signed Up", properties={"plan": "free"}, context={"traits": {"persona": "analyst"}}),
        [
            {"eventType": "track", "name": "Signed Up", "payload": {"plan": "free"}},
            {"eventId": "m1:signup", "eventType": "signup", "payload": {"traits": {"tier": "free", "persona": "analyst"}}},
        ],
    ),
    (
        "track",
        call(event="Payment Failed", properties={"code": "declined", "amount": 3}),
        [
            {"eventType": "track", "name": "Payment Failed", "payload": {"code": "declined", "amount": 3}},
            {"eventId": "m1:error", "eventType": "error", "name": "Payment Failed", "payload": {"code": "declined", "amount": 3}},
        ],
    ),
    (
        "track",
        call(event="Form Sent", properties={"form": 7}),
        [
            {"eventType": "track", "name": "Form Sent", "payload": {"form": 7}},
            {"eventId": "m1:form_submit", "eventType": "form_submit", "name": "Form Sent", "payload": {"form": "Form Sent"}},
        ],
    ),
    (
        "page",
        call(name="Pricing", context={"page": {"path": "/pricing", "title": "All prices"}}),
        [{"eventType": "page_view", "name": "Pricing", "payload": {"path": "/pricing", "title": "All prices"}}],
    ),
    (
        "page",
        call(properties={"url": "https://x.example/a/b?c=d", "ref": 1}),
        [{"eventType": "page_view", "payload": {"url": "https://x.example/a/b?c=d", "ref": 1, "path": "/a/b"}}],
    ),
    ("screen", call(name="Home"), [{"eventType": "page_view", "name": "Home", "payload": {"path": "Home", "title": "Home"}}]),
    (
        "identify",
        call(
            traits={"first_name": "Ana", "plan": "pro", "company": {"employee_count": 9}, "tags": ["x"]},
            context={"timezone": "Europe/Rome"},
        ),
        [
            {
                "eventType": "identify",
                "payload": {"traits": {"timezone": "Europe/Rome", "firstName": "Ana", "tier": "pro", "companySize": 9}},
            }
        ],
    ),
    (
        "identify",
        call(anonymousId="cookie-1"),
        [
            {"eventType": "identify", "payload": {"traits": {}}},
            {"eventId": "m1:merge", "eventType": "identity_merged", "payload": {"previousId": "cookie-1"}},
        ],
    ),
    ("identify", call(anonymousId="undefined"), [{"eventType": "identify", "payload": {"traits": {}}}]),
    ("alias", call(previousId="cookie-1"), [{"eventType": "identity_merged", "payload": {"previousId": "cookie-1"}}]),
    ("group", call(groupId=7, traits={"size": 3}), [{"eventType": "identify", "payload": {"traits": {"groupId": "7", "group_size": 3}}}]),
]


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize(("kind", "sent", "expected"), CALLS)
def test_a_call_becomes_events_of_the_contract(
    gateway: Gateway, key: str, kind: str, sent: dict[str, Any], expected: list[dict[str, Any]], short: bool
) -> None:
    answer = send(gateway, f"/v1/{kind[0] if short else kind}", sent, key)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    stored = gateway.stored()
    for found, wanted in zip(stored, expected, strict=True):
        whole = {"eventId": "m1", "userId": "u-17", "timestamp": "2026-03-02T09:00:00.000Z", **wanted}
        assert {name: value for name, value in found.items() if value != ""} == whole
    assert all(isinstance(check(record.value, NOW), Event) for record in gateway.log.records)


def test_numbers_are_ids_and_a_visitor_is_kept(gateway: Gateway, key: str) -> None:
    send(gateway, "/v1/track", call(userId=17, event="a"), key)
    send(gateway, "/v1/track", call(userId=None, anonymousId="cookie-1", event="a"), key)
    first, second = gateway.stored()
    assert (first["userId"], second["anonymousId"]) == ("17", "cookie-1")
    assert "userId" not in second


def test_sent_at_corrects_the_clock_of_the_sender(gateway: Gateway, key: str) -> None:
    """The sender's clock is an hour ahead; the event happened five seconds before it was sent."""
    sent = call(event="a", timestamp="2026-03-02T10:00:00Z", sentAt="2026-03-02T10:00:05Z")
    send(gateway, "/v1/track", sent, key)
    send(gateway, "/v1/batch", {"batch": [{**sent, "type": "track"}], "sentAt": "2026-03-02T10:00:05"}, key)
    send(gateway, "/v1/batch", {"batch": [{**sent, "type": "track", "timestamp": None}]}, key)
    assert [each["timestamp"] for each in gateway.stored()] == [
        "2026-03-02T09:00:00.000Z",
        "2026-03-02T09:00:00.000Z",
        "2026-03-02T09:00:05.000Z",
    ]


def test_a_batch_stores_what_is_valid_and_the_rest_become_dead_letters(gateway: Gateway, key: str) -> None:
    batch = [
        {**call(messageId="a", event="x"), "type": "track"},
        {**call(messageId="b", event="x", timestamp="yesterday"), "type": "track"},
        {**call(messageId="c"), "type": "nonsense"},
        {**call(messageId="d"), "type": "track"},
        17,
        {**call(messageId="e", event="x", properties={"x": "y" * 33_000}), "type": "track"},
        {**call(messageId="f", previousId="undefined"), "type": "alias"},
        {**call(messageId="g", name="Home"), "type": "page"},
    ]
    answer = send(gateway, "/v1/batch", {"batch": batch, "context": {}}, key)
    assert (answer.status_code, answer.json()["success"]) == (200, True)
    assert [each["index"] for each in answer.json()["rejected"]] == [2, 3, 4, 1, 5, 6]
    found = [check(record.value, NOW) for record in gateway.log.records]
    assert [each.id for each in found if isinstance(each, Event)] == ["a", "g"]
    letters = sorted((each.reason, each.detail.partition(":")[0]) for each in found if not isinstance(each, Event))
    assert [reason for reason, _ in letters if reason != "rejected_by_gateway"] == ["bad_timestamp", "payload_too_large", "placeholder_id"]
    told = [code for reason, code in letters if reason == "rejected_by_gateway"]
    assert told == ["missing_event", "unknown_type", "unknown_type"], "the code that the sender was told"


def test_half_a_character_costs_one_call_no_other(gateway: Gateway, key: str) -> None:
    calls = ",".join(f'{{"type": "track", "messageId": "{each}", "userId": "u", "event": "cut \\ud83d"}}' for each in "ab")
    body = f'{{"batch": [{calls}]}}'.encode()
    assert gateway.client.post("/v1/batch", content=body, auth=(key, "")).status_code == 200
    assert [each["eventId"] for each in gateway.stored()] == ["a", "b"]


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/track", call(), "missing_event"),
        ("/v1/track", call(event="x", userId=None), "invalid_event"),
        ("/v1/track", call(event="x", timestamp="1970-01-01T00:00:00Z"), "invalid_event"),
        ("/v1/page", call(), "missing_path"),
        ("/v1/alias", call(), "missing_previous_id"),
        ("/v1/group", call(), "missing_group"),
        ("/v1/track", [], "not_json"),
        ("/v1/track", None, "not_json"),
        ("/v1/track", call(event="x", properties={"x": "y" * 33_000}), "too_large"),
        ("/v1/batch", {}, "bad_batch"),
        ("/v1/batch", {"batch": {}}, "bad_batch"),
        ("/v1/batch", {"batch": [call(properties={"x": "y" * 30_000})] * 20}, "too_large"),
        ("/v1/batch", {"batch": [{}] * 1001}, "too_large"),
    ],
)
def test_a_call_that_is_no_good_is_400_with_code_and_message(gateway: Gateway, key: str, path: str, body: Any, code: str) -> None:
    answer = send(gateway, path, body, key)
    assert answer.status_code == 400
    found = answer.json()
    assert found["message"]
    assert code in {found["code"], *(fault["code"] for each in found.get("rejected", ()) for fault in each["faults"])}
    assert gateway.log.records == []


def test_text_gzip_and_a_key_in_the_body_are_read(gateway: Gateway, page_key: str) -> None:
    body = {**call(event="a"), "writeKey": page_key}
    assert gateway.post("/v1/t", body, content_type="text/plain;charset=UTF-8").status_code == 200
    assert gateway.post("/v1/t", content=gzip.compress(json.dumps(body).encode()), content_encoding="gzip").status_code == 200
    batch = {"batch": [{**call(event="a"), "type": "track"}], "writeKey": page_key}
    assert gateway.post("/v1/b", batch, content_type="text/plain").status_code == 200
    for odd in ({**body, "writeKey": "pk_unknown"}, {**body, "writeKey": 7}, call(event="a")):
        answer = gateway.post("/v1/t", odd)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert len(gateway.log.records) == 3


def test_the_key_in_a_body_is_looked_for_before_the_rest_is_read(gateway: Gateway, page_key: str) -> None:
    odd = b'{"batch": [NaN, ' + json.dumps({**call(event="a\ud800"), "type": "track"}).encode() + b'], "writeKey": "%b"}'
    for key in (b"pk_unknown", b"", b"x" * 300):
        answer = gateway.post("/v1/batch", content=odd % key)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert gateway.post("/v1/batch", content=b'{"batch": [NaN]}').status_code == 401
    answer = gateway.post("/v1/batch", content=odd % page_key.encode())
    assert (answer.status_code, [each["index"] for each in answer.json()["rejected"]]) == (200, [0])
    answer = gateway.post("/v1/batch", content=b"\xef\xbb\xbf" + odd.replace(b"NaN, ", b"") % page_key.encode())
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    found = [check(record.value, NOW) for record in gateway.log.records]
    assert [each.name for each in found if isinstance(each, Event)] == ["a\ufffd"] * 2


DAMAGED = {"half an emoji": b'"cut \\ud83d"', "no JSON": b"NaN", "a line end in a text": b'"a\nb"'}
MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("mark", [b"", MARK], ids=["", "a byte order mark"])
@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("own_is_first", [False, True])
def test_a_field_that_is_named_like_the_key_costs_no_batch_for_a_damaged_call(
    gateway: Gateway, page_key: str, own_is_first: bool, damaged: bytes, mark: bytes
) -> None:
    good = json.dumps({**call(event="a", properties={"writeKey": "src_1"}), "type": "track"}).encode()
    odd = good.replace(b'"src_1"', b'"src_2", "title": ' + damaged).replace(b'"m1"', b'"m2"')
    key, batch = b'"writeKey": "%b"' % page_key.encode(), b'"batch": [' + odd + b", " + good + b"]"
    body = mark + b"{" + b", ".join([key, batch] if own_is_first else [batch, key]) + b"}"
    assert gateway.post("/v1/batch", content=body).status_code == 200
    found = [check(record.value, NOW) for record in gateway.log.records]
    stored = [each.id for each in found if isinstance(each, Event)]
    assert stored == (["m2", "m1"] if damaged.startswith(b'"cut') else ["m1"])
    assert len(found) == 2


@pytest.mark.parametrize("damage", ["half an emoji", "a byte order mark"])
def test_a_field_that_is_named_like_the_key_costs_no_call_with_a_damaged_text(gateway: Gateway, page_key: str, damage: str) -> None:
    body = json.dumps({**call(event="a", properties={"writeKey": "src_1", "title": "TITLE"}), "writeKey": page_key}).encode()
    odd = MARK + body if damage == "a byte order mark" else body.replace(b'"TITLE"', DAMAGED[damage])
    assert gateway.post("/v1/track", content=odd).status_code == 200
    assert len(gateway.log.records) == 1
    odd = body.replace(b'"TITLE"', b"NaN")
    assert gateway.post("/v1/track", content=odd).json()["code"] == "not_json"


@pytest.mark.parametrize("known", [True, False])
def test_a_body_that_is_cut_or_has_something_behind_it_is_no_json_for_whoever_has_the_key(
    gateway: Gateway, page_key: str, known: bool
) -> None:
    key = page_key if known else "pk_unknown"
    whole = json.dumps({"batch": [{**call(event="a"), "type": "track"}], "writeKey": key}).encode()
    for odd in (whole[:-1], whole + b"17", whole + whole, MARK + whole[:-1], b"[" + whole):
        answer = gateway.post("/v1/batch", content=odd)
        assert (answer.status_code, answer.json()["code"]) == ((400, "not_json") if known else (401, "unauthorized")), odd
    assert gateway.log.records == []


def test_a_key_that_is_not_that_of_the_body_counts_for_nothing(gateway: Gateway, page_key: str) -> None:
    nested = b'{"type": "track", "writeKey": "%b", "x": NaN}' % page_key.encode()
    for more in (b"", b', "writeKey": "pk_unknown"'):
        assert gateway.post("/v1/batch", content=b'{"batch": [' + nested + b"]" + more + b"}").status_code == 401
    assert gateway.log.records == []


COSTLY = [b"[[],[],[]],", b'"\\ud83d",', b'{"writeKey":"a"},']


@pytest.mark.parametrize("part", COSTLY, ids=lambda part: part.decode())
def test_a_damaged_body_without_a_key_that_is_known_is_not_looked_into(part: bytes) -> None:
    body = b'{"batch":[' + part * (511_000 // len(part)) + b'NaN],"writeKey":"pk_unknown"}'
    with uses_at_most(0.03, "the search"), pytest.raises(RefusedError):
        find_write_key(body, lambda _: False)


def test_of_many_texts_that_may_be_the_key_a_thousand_are_tried() -> None:
    tried: list[str] = []

    def is_known(text: str) -> bool:
        tried.append(text)
        return False

    names = b",".join(b'{"writeKey":"%d"}' % number for number in range(5_000))
    with pytest.raises(RefusedError):
        find_write_key(b'{"batch":[NaN,' + names + b'],"writeKey":"own"}', is_known)
    assert len(tried) == 1_000


def test_a_publishable_key_cannot_merge_by_any_call_and_not_by_a_time_that_is_nearly_too_far_ahead(gateway: Gateway, page_key: str) -> None:
    assert send(gateway, "/v1/alias", call(previousId="victim"), page_key).status_code == 403
    assert send(gateway, "/v1/identify", call(anonymousId="cookie-1"), page_key).status_code == 200
    assert [each["eventType"] for each in gateway.stored()] == ["identify"]
    gateway.log.records.clear()
    for timestamp in ("2026-03-02T09:00:00Z", "2026-03-03T09:00:05.002Z"):
        alias = {
            **call(previousId="victim", timestamp=timestamp),
            "type": "alias",
            "eventType": "identity_merged",
            "payload": {"previousId": "victim"},
        }
        assert send(gateway, "/v1/batch", {"batch": [alias, {**alias, "type": "nonsense"}]}, page_key).status_code == 200
    later = [check(record.value, NOW + 60_000) for record in gateway.log.records]
    assert len(later) == 4
    assert not any(isinstance(each, Event) for each in later)


def test_an_exposure_is_reported_by_a_track_call_with_an_issued_id(gateway: Gateway, page_key: str) -> None:
    issued = SIGNING.recommendation_id("5b1f0c9e7a3d42f68b90a1c2", "moderate_tooltip")
    shown = call(event="Recommendation Shown", properties={"recommendationId": issued})
    assert send(gateway, "/v1/track", shown, page_key).status_code == 200
    assert (gateway.stored()[0]["eventType"], gateway.stored()[0]["payload"]) == ("recommendation_shown", {"recommendationId": issued})
    assert (
        send(gateway, "/v1/track", call(event="Recommendation Shown", properties={"recommendationId": "x.y.z"}), page_key).status_code
        == 403
    )


def test_a_log_that_fails_is_503_so_that_sdks_send_again(gateway: Gateway, key: str) -> None:
    gateway.log.failure = "the disk is full"
    try:
        answer = send(gateway, "/v1/track", call(event="a"), key)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    finally:
        gateway.log.failure = None


# ----------------------------------------------------------------------------------------------------------------------- webhook


def _signed(gateway: Gateway, secret: str, body: bytes, signed: bytes | None = None, **headers: str) -> Any:
    signature = hmac.new(secret.encode(), body if signed is None else signed, "sha1").hexdigest()
    return gateway.post("/v1/webhooks/segment", content=body, **{"authorization": f"Bearer {secret}", "x_signature": signature, **headers})


def test_a_webhook_needs_the_secret_and_the_signature(gateway: Gateway) -> None:
    secret = gateway.key("webhook", tenant="acme")
    one = json.dumps({**call(event="a", sentAt="2020-01-01T00:00:00Z"), "type": "track"}).encode()
    assert _signed(gateway, secret, one).json() == {"success": True}
    assert (gateway.stored()[0]["tenantId"], gateway.stored()[0]["timestamp"]) == ("acme", "2026-03-02T09:00:00.000Z")
    several = b"[" + one + b", " + one.replace(b'"m1"', b'"m2"') + b"]"
    assert _signed(gateway, secret, several, signed=one).status_code == 200
    assert [each["eventId"] for each in gateway.stored()] == ["m1", "m1", "m2"]
    for refused in (
        _signed(gateway, secret, one, signed=one + b" "),
        _signed(gateway, secret, one, x_signature=""),
        _signed(gateway, "wh_unknown", one),
        _signed(gateway, gateway.key("server"), one),
        gateway.post("/v1/webhooks/segment", content=one),
    ):
        assert refused.status_code == 401
    assert _signed(gateway, secret, b"[").status_code == 400
    assert _signed(gateway, secret, b"[]", signed=b"").status_code == 200
    assert len(gateway.log.records) == 3


def test_an_element_of_a_webhook_that_is_no_call_costs_no_other(gateway: Gateway) -> None:
    secret = gateway.key("webhook")
    first = json.dumps({**call(messageId="a", event="x"), "type": "track"}).encode()
    last = first.replace(b'"a"', b'"b"', 1)
    answer = _signed(gateway, secret, b"[" + first + b', 17, "text", [], null, ' + last + b"]", signed=first)
    assert answer.status_code == 200
    assert [(each["index"], each["faults"][0]["code"]) for each in answer.json()["rejected"]] == [(n, "unknown_type") for n in range(1, 5)]
    found = [check(record.value, NOW) for record in gateway.log.records]
    assert [each.id for each in found if isinstance(each, Event)] == ["a", "b"]
    assert _signed(gateway, secret, b"17").status_code == 400  # alone it is not a call


def test_a_webhook_that_is_too_large_is_never_sent_again(gateway: Gateway) -> None:
    secret = gateway.key("webhook")
    many = b"[" + b"{}, " * 1_000 + b"{}]"
    for body, signed in ((many, b"{}"), (b"[" + b" " * 600_000 + b"]", b"")):
        answer = _signed(gateway, secret, body, signed=signed)
        assert (answer.status_code, answer.json()["code"]) == (400, "too_large")


# ------------------------------------------------------------------------------------------------------------- ids of calls


def _ids(gateway: Gateway) -> list[str]:
    return [each["eventId"] for each in gateway.stored()]


def test_a_call_without_an_id_that_has_a_time_counts_once_however_often_it_is_sent(gateway: Gateway, key: str) -> None:
    sent = call(messageId=None, event="Signed Up", properties={"a": 1, "b": 2})
    again = dict(reversed({**sent, "properties": {"b": 2, "a": 1}, "sentAt": "2026-03-02T09:00:07Z"}.items()))
    assert send(gateway, "/v1/track", sent, key).status_code == 200
    assert send(gateway, "/v1/track", {**again, "writeKey": key}, key).status_code == 200
    assert send(gateway, "/v1/batch", {"batch": [{**again, "type": "track"}], "sentAt": "2026-03-02T09:00:09Z"}, key).status_code == 200
    ids = _ids(gateway)
    assert len(ids) == 6
    assert set(ids) == {ids[0], f"{ids[0]}:signup"}
    gateway.log.records.clear()
    for other in ({"event": "Other"}, {"userId": "u-18"}, {"timestamp": "2026-03-02T09:00:00.001Z"}, {"properties": {"a": 1}}):
        assert send(gateway, "/v1/track", {**sent, "event": "x", **other}, key).status_code == 200
    assert len({ids[0], *_ids(gateway)}) == 5


def test_a_call_without_an_id_and_a_time_counts_whenever_it_is_sent(gateway: Gateway, key: str) -> None:
    for _ in range(2):
        assert send(gateway, "/v1/track", {"userId": "u-17", "event": "x"}, key).status_code == 200
    assert len(set(_ids(gateway))) == 2


@pytest.mark.parametrize("length", [121, 122, 128])
def test_the_second_event_of_a_call_has_a_valid_id_where_the_first_has(gateway: Gateway, key: str, length: int) -> None:
    sent = call(messageId="m" * length, event="Signed Up")
    for _ in range(2):
        assert send(gateway, "/v1/track", sent, key).json() == {"success": True}
    first, second, *again = _ids(gateway)
    assert [first, second] == again
    assert first == "m" * length
    assert second.endswith(":signup")
    assert (second == f"{first}:signup") == (length == 121)
    assert all(isinstance(check(record.value, NOW), Event) for record in gateway.log.records)


@pytest.mark.parametrize("odd", ["m" * 129, 17, ["m"], {"a": 1}])
def test_no_part_of_a_call_with_an_odd_id_is_stored(gateway: Gateway, key: str, odd: object) -> None:
    answer = send(gateway, "/v1/track", call(messageId=odd, event="Signed Up"), key)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_event")
    batch = {"batch": [{**call(messageId=odd, event="Signed Up"), "type": "track"}]}
    assert send(gateway, "/v1/batch", batch, key).status_code == 200
    assert not any(isinstance(check(record.value, NOW), Event) for record in gateway.log.records)


# ---------------------------------------------------------------------------------------------------------------------- settings


def test_settings_name_this_gateway_and_are_for_publishable_keys(gateway: Gateway, key: str, page_key: str) -> None:
    found = gateway.get(f"/v1/projects/{page_key}/settings").json()
    assert found["integrations"]["Segment.io"]["apiHost"] == gateway.url.removeprefix("http://") + "/v1"
    assert found["integrations"]["Segment.io"]["protocol"] == "http"
    behind_tls = gateway.get(f"/v1/projects/{page_key}/settings", x_forwarded_proto="https").json()
    assert behind_tls["integrations"]["Segment.io"]["protocol"] == "https"
    assert gateway.get("/v1/projects/pk_unknown/settings").status_code == 401
    assert gateway.get(f"/v1/projects/{key}/settings").status_code == 403
    source = gateway.client.get("/sourceConfig/?p=npm", auth=(page_key, "")).json()["source"]
    assert source["enabled"] is True
    assert source["destinations"] == []
    assert gateway.get(f"/sourceConfig?writeKey={page_key}").status_code == 200
    assert gateway.get("/sourceConfig").status_code == 401
    assert gateway.post("/v1/m", {"series": []}).json() == {"success": True}


# --------------------------------------------------------------------------------------------------------------------------- SDK


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_official_python_sdk_sends_unchanged_but_for_its_host(gateway: Gateway, key: str, compressed: bool) -> None:
    from segment.analytics.client import Client

    failed: list[object] = []
    client = Client(key, host=gateway.url, gzip=compressed, on_error=lambda error, _batch: failed.append(error), timeout=PATIENCE)
    client.identify("ana", {"persona": "analyst"}, anonymous_id="cookie-1")
    client.track("ana", "Signed Up", {"plan": "free"})
    client.page("ana", None, "Pricing", {"path": "/pricing"})
    client.alias("cookie-2", "ana")
    ending = Thread(target=client.shutdown, daemon=True)  # it waits for its own threads without a deadline
    ending.start()
    join(ending, "the end of the SDK")
    assert failed == []
    found = [check(record.value, NOW) for record in gateway.log.records]
    kinds = [(each.type, each.user) for each in found if isinstance(each, Event)]
    assert kinds == [
        ("identify", "ana"),
        ("identity_merged", "ana"),
        ("track", "ana"),
        ("signup", "ana"),
        ("page_view", "ana"),
        ("identity_merged", "ana"),
    ]
    times = {each.timestamp for each in found if isinstance(each, Event)}
    assert all(abs(moment - NOW) < 600_000 for moment in times)


def test_a_track_name_means_what_the_tenants_catalog_says() -> None:
    own = load_catalog("saas").model_copy(update={"track_names": {"Paid": "error", "Signed Up": "track"}})
    names = TrackNames(ByTenant(None, {"acme": Plan(own), "beta": Plan(load_catalog("saas"))}))
    assert [names.of(tenant).get("Paid") for tenant in ("acme", "beta", "nobody")] == ["error", None, None]
    assert [names.of(tenant)["Signed Up"] for tenant in ("acme", "beta", "nobody")] == ["track", "signup", "signup"]
