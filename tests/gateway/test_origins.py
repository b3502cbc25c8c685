"""Requests of pages: preflights, and the origin of the real request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.gateway import Gateway, event, run_gateway

HOME = "https://app.example.com"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.mark.parametrize("path", ["/v1/events", "/v1/stream", "/v1/recommendations/u"])
def test_a_preflight_is_answered_without_a_credential(gateway: Gateway, path: str) -> None:
    headers = {"origin": "https://anywhere.example", "access-control-request-method": "POST"}
    answer = gateway.client.request("OPTIONS", path, headers=headers)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*")
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers


def test_a_tenant_with_origins_takes_requests_of_their_pages_only(gateway: Gateway) -> None:
    key = gateway.key("publishable", tenant="acme", origins=["https://App.Example.com:443/", "http://localhost:3000"])
    for origin in (HOME, "http://localhost:3000"):
        answer = gateway.post("/v1/events", event(), key=key, origin=origin)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (202, origin)
        assert answer.headers["vary"] == "Origin"
    for origin in (
        "https://evil.example",
        "null",
        "https://app.example.com.evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
    ):
        answer = gateway.post("/v1/events", event(), key=key, origin=origin)
        assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
        assert answer.headers["access-control-allow-origin"] == origin  # so that the page's console shows the reason
    assert gateway.post("/v1/events", event(), key=key).status_code == 202  # an app on a phone has no origin


def test_a_tenant_without_origins_takes_requests_of_all_pages(gateway: Gateway) -> None:
    key = gateway.key("publishable", tenant="open")
    assert gateway.post("/v1/events", event(), key=key, origin="https://anywhere.example").status_code == 202


def test_a_server_key_in_a_page_is_refused(gateway: Gateway) -> None:
    answer = gateway.post("/v1/events", event(), key=gateway.key("server"), origin=HOME)
    assert (answer.status_code, answer.json()["code"]) == (403, "server_key_in_page")


def test_an_error_is_readable_for_a_page(gateway: Gateway) -> None:
    answer = gateway.post("/v1/events", event(), key="pk_unknown", origin=HOME)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, HOME)
    assert gateway.get("/nowhere", origin=HOME).headers["access-control-allow-origin"] == HOME
