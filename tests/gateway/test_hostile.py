"""Bodies and headers that no honest client sends: no fault of the gateway, and nothing is stored that the job would not reject too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.validation import check
from tests.support.gateway import Gateway, event, raw_request, run_gateway

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8
)
NAMES = [
    *("eventId userId anonymousId tenantId sessionId eventType name timestamp payload schemaVersion".split()),
    *("messageId type event properties traits context previousId groupId sentAt originalTimestamp batch writeKey".split()),
]
USUAL = st.sampled_from(
    [
        "u-17",
        "track",
        "page_view",
        "identify",
        "alias",
        "page",
        "2026-03-02T09:00:00Z",
        "undefined",
        "9" * 400,
        "\u202e",
        "\ud83d",
        {},
        {"path": "/"},
    ]
)
CALLS = st.dictionaries(st.sampled_from(NAMES), USUAL | VALUES, max_size=8)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("gateway"), events_per_second=1e9) as running:
        yield running


@pytest.fixture(scope="module")
def keys(gateway: Gateway) -> dict[str, str]:
    return {"server": gateway.key("server", "acme"), "publishable": gateway.key("publishable", "acme")}


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=CALLS | st.lists(CALLS, max_size=3) | VALUES, kind=st.sampled_from(["server", "publishable"]), data=st.data())
def test_no_body_is_a_fault_of_the_gateway(gateway: Gateway, keys: dict[str, str], body: Any, kind: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(["/v1/events", "/v1/track", "/v1/i", "/v1/page", "/v1/alias", "/v1/g", "/v1/batch"]))
    sent = {"batch": body if isinstance(body, list) else [body]} if path == "/v1/batch" else body
    gateway.log.records.clear()
    answer = gateway.post(path, content=json.dumps(sent).encode(), key=keys[kind])
    assert answer.status_code in {200, 202, 400, 403}, answer.text
    if answer.status_code in {400, 403}:
        assert answer.json()["code"]
        assert answer.json()["message"]
    for record in gateway.log.records:
        assert getattr(check(record.value, 2**41), "tenant", "acme") == "acme"


ODD = [
    b"[" * 200_000,
    b'{"payload":' * 50_000 + b"1" + b"}" * 50_000,
    b'{"eventId": ' + b"9" * 100_000 + b"}",
    b'{"eventId": NaN}',
    b'{"batch": [' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"]}",
    b'{"batch": [1e999]}',
    b'{"batch": [' + b"9" * 5_000 + b"]}",
    b"\x00" * 1000,
    b"\xef\xbb\xbf{}",
    b"\xff" * 100,
    json.dumps(
        {"batch": [{"type": "track", "event": "x", "userId": "u", "timestamp": "9999-12-31T23:59:59+00:01", "sentAt": "0001-01-01"}]}
    ).encode(),
]


@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("path", ["/v1/events", "/v1/track", "/v1/batch"])
def test_odd_bytes_are_refused(gateway: Gateway, keys: dict[str, str], path: str, body: bytes) -> None:
    answer = gateway.post(path, content=body, key=keys["server"])
    assert answer.status_code in {200, 400}, answer.text


def test_odd_requests_leave_the_gateway_running(gateway: Gateway, keys: dict[str, str]) -> None:
    key = keys["server"].encode()
    for data in (
        b"POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + key + b"\r\ncontent-length: 999999\r\n\r\n{",
        b"POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + key + b"\r\ncontent-length: " + b"9" * 5_000 + b"\r\n\r\n{}",
        b"POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + key + b"\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v1/recommendations/%ff%fe%00 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + key + b"\r\nconnection: close\r\n\r\n",
        b"GET /v1/stream?userId=%ff HTTP/1.1\r\nhost: x\r\nlast-event-id: " + b"9" * 300 + b".0.0\r\n\r\n",
        b"GET /v1/events/../../keys.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"X" * 70_000,
        b"GET /v1/stream HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    ):
        assert b" 500 " not in raw_request(gateway, data)
    assert gateway.post("/v1/events", event(), key=keys["server"]).status_code == 202
