"""Requests of pages: preflights, and the origin of the real request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.origins import OriginError, read_origin
from tests.support.gateway import Gateway, event, run_gateway

HOME = "https://app.example.com"
PREFLIGHT = {"origin": "https://anywhere.example", "access-control-request-method": "POST"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.mark.parametrize("path", ["/v1/events", "/v1/stream", "/v1/recommendations/u"])
def test_a_preflight_is_answered_without_a_credential(gateway: Gateway, path: str) -> None:
    answer = gateway.client.request("OPTIONS", path, headers=PREFLIGHT)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*")
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers


SENT_BY_SDKS = {
    "onramp.js": "authorization content-type last-event-id",
    "@rudderstack/analytics-js 3.34": "anonymousid authorization content-type rsa-recovered rsa-retry-attempt rsa-retry-reason"
    " rsa-since-first-attempt rsa-since-last-attempt sentat",
    "@segment/analytics-next 1.84": "authorization content-type x-retry-count",
}


def allows_header(allowed: str, name: str, *, wildcard: bool) -> bool:
    """Whether a browser sends the header after this preflight. One that does not know the wildcard takes it for a name."""
    names = {each.strip() for each in allowed.split(",")}
    return name in names or (wildcard and "*" in names and name != "authorization")


@pytest.mark.parametrize("sdk", SENT_BY_SDKS)
@pytest.mark.parametrize("wildcard", [True, False])
def test_a_preflight_allows_what_sdks_send(gateway: Gateway, sdk: str, wildcard: bool) -> None:
    allowed = gateway.client.request("OPTIONS", "/v1/track", headers=PREFLIGHT).headers["access-control-allow-headers"]
    assert [name for name in SENT_BY_SDKS[sdk].split() if not allows_header(allowed, name, wildcard=wildcard)] == []


def test_a_preflight_allows_headers_that_nobody_knows_yet(gateway: Gateway) -> None:
    """The next version of an SDK, or the tracing of a page, adds a header; without credentials none of them opens anything."""
    allowed = gateway.client.request("OPTIONS", "/v1/track", headers=PREFLIGHT).headers["access-control-allow-headers"]
    assert allows_header(allowed, "x-of-tomorrow", wildcard=True)


def test_a_tenant_with_origins_takes_requests_of_their_pages_only(gateway: Gateway) -> None:
    key = gateway.key("publishable", tenant="acme", origins=["https://App.Example.com:443/", "http://localhost:3000"])
    for origin in (HOME, "http://localhost:3000"):
        answer = gateway.post("/v1/events", event(), key=key, origin=origin)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (202, "*")
        assert "vary" not in answer.headers  # a cache may give the same answer to every page
    for origin in (
        "https://evil.example",
        "null",
        "https://app.example.com.evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
    ):
        answer = gateway.post("/v1/events", event(), key=key, origin=origin)
        assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
        assert "`onramp keys create publishable --origin https://…`" in answer.json()["message"]
        assert answer.headers["access-control-allow-origin"] == "*"  # so that the page's console shows the reason
    answer = gateway.post("/v1/events", event(), key=key)  # an app on a phone has no origin, and no use for the header
    assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (202, False)


def test_a_tenant_without_origins_takes_requests_of_all_pages(gateway: Gateway) -> None:
    key = gateway.key("publishable", tenant="open")
    assert gateway.post("/v1/events", event(), key=key, origin="https://anywhere.example").status_code == 202


def test_a_tenant_whose_origins_are_lifted_takes_requests_of_all_pages_again(gateway: Gateway) -> None:
    key = gateway.key("publishable", tenant="lifted", origins=[HOME])
    assert gateway.post("/v1/events", event(), key=key, origin="https://anywhere.example").status_code == 403
    other = gateway.key("publishable", tenant="lifted", origins=["all"])
    for each in (key, other):
        assert gateway.post("/v1/events", event(), key=each, origin="https://anywhere.example").status_code == 202


def test_a_server_key_in_a_page_is_refused(gateway: Gateway) -> None:
    answer = gateway.post("/v1/events", event(), key=gateway.key("server"), origin=HOME)
    assert (answer.status_code, answer.json()["code"]) == (403, "server_key_in_page")


def test_an_error_is_readable_for_a_page(gateway: Gateway) -> None:
    answer = gateway.post("/v1/events", event(), key="pk_unknown", origin=HOME)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, "*")
    assert gateway.get("/nowhere", origin=HOME).headers["access-control-allow-origin"] == "*"


def test_an_answer_is_the_same_with_and_without_an_origin(gateway: Gateway) -> None:
    """A script that a cache got for a page of the gateway's own origin must be of use for every other page."""
    for path in ("/onramp.mjs", "/openapi.json", "/nowhere"):
        plain, foreign = gateway.get(path), gateway.get(path, origin=HOME)
        assert plain.headers["access-control-allow-origin"] == "*"
        assert {**plain.headers, "date": ""} == {**foreign.headers, "date": ""}
        assert "access-control-allow-credentials" not in plain.headers


def test_an_answer_to_a_bug_is_readable_for_a_page(tmp_path: Path) -> None:
    async def broken(_request: Request) -> Response:
        raise ZeroDivisionError

    with run_gateway(tmp_path, more_routes=[Route("/broken", broken)]) as gateway:
        answer = gateway.get("/broken", origin=HOME)
        assert (answer.status_code, answer.json()["code"], answer.headers["access-control-allow-origin"]) == (500, "internal", "*")


@pytest.mark.parametrize(
    "origin",
    [
        *("", "app.example.com", "https://", "https://a/b", "https://u:p@a", "ftp://a", "https://a:99999", "*", "null"),
        *(
            "file://localhost",
            "wss://a.example",
            "data:text",
            "https://a b",
            "https://a..b",
            "https://a.example.",
            "https://a%2eb",
            "https://a:0",
            "https://a:0443",
            "https://a:",
        ),
        *("https://1.2.3", "https://0x7f.1", "https://127.0.0.01", "https://[::g]", "https://[fe80::1%25eth0]", "https://" + "a" * 64),
        *("https://a*.example.com", "https://app.*.com", "https://*", "https://**.example.com", "https://*.*.example.com"),
        *("https://*.10.0.0.1", "https://*.[::1]", "https://" + "a." * 127 + "com"),
        *("https://.", "http://.", "app://..", "app://*..", "app://.example"),
    ],
)
def test_what_no_browser_sends_as_an_origin_is_refused(origin: str) -> None:
    with pytest.raises(OriginError, match="is not an origin"):
        read_origin(origin)


def test_the_origin_of_sandboxed_frames_and_local_files_is_refused_with_the_reason() -> None:
    with pytest.raises(OriginError, match="sandboxed frame and every local file"):
        read_origin("null")


def test_a_host_with_other_letters_must_be_written_as_browsers_send_it() -> None:
    with pytest.raises(OriginError, match="xn--"):
        read_origin("https://bücher.example")
    assert read_origin("https://xn--bcher-kva.example") == "https://xn--bcher-kva.example"


@pytest.mark.parametrize("origin", ["https://*.com", "https://*.localhost:3000"])
def test_subdomains_of_a_name_without_a_dot_are_refused(origin: str) -> None:
    with pytest.raises(OriginError, match="two labels"):
        read_origin(origin)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (" HTTPS://App.Example.com:443/ ", "https://app.example.com"),
        ("http://localhost:80", "http://localhost"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000"),
        ("https://my_app.example.com", "https://my_app.example.com"),
        ("https://*.Example.com:8443", "https://*.example.com:8443"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("ionic://localhost", "ionic://localhost"),
        ("tauri://localhost", "tauri://localhost"),
        ("app://.", "app://."),
        ("App://./", "app://."),
        ("chrome-extension://abcdefghijklmnopabcdefghijklmnop", "chrome-extension://abcdefghijklmnopabcdefghijklmnop"),
    ],
)
def test_an_origin_is_stored_as_browsers_and_apps_send_it(written: str, sent: str) -> None:
    assert read_origin(written) == sent
