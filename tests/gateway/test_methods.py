"""Every address, with every method: HEAD is answered like GET without a body, and ends; what an address does not take is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
from starlette.routing import BaseRoute, Route

from gateway.app import GatewayParts, build
from gateway.browser_routes import demo_routes
from gateway.keys import KeyStore
from gateway.stopping import Stopping
from gateway.stream_route import MOST_OF_ONE_USER
from tests.support.gateway import SIGNING, Gateway, run_gateway
from tests.support.waiting import PATIENCE

STREAM = "/v1/stream?userId=u"
REFUSED = {"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"}
CHANGING = {"date", "content-length", "transfer-encoding"}
"""Headers that may differ from answer to answer: /metrics counts them all. The stream has no length."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def demo(directory: Path) -> list[BaseRoute]:
    return demo_routes(KeyStore(directory / "keys.json"), publishable_key="pk", tenant="default")


@pytest.fixture(scope="module")
def gateway(directory: Path, demo: list[BaseRoute]) -> Iterator[Gateway]:
    with run_gateway(directory, more_routes=demo) as running:
        yield running


@pytest.fixture(scope="module")
def methods(gateway: Gateway, demo: list[BaseRoute]) -> dict[str, set[str]]:
    """Each address with the methods that it takes."""
    parts = GatewayParts(None, gateway.store, SIGNING, lambda: None, Stopping(), more_routes=demo)  # type: ignore[arg-type]
    key = gateway.key("publishable")
    found = {}
    for route in build(parts).routes:
        assert isinstance(route, Route)
        path = route.path.replace("{user:user_id}", "u").replace("{write_key}", key)
        found[STREAM if path == "/v1/stream" else path] = set(route.methods or ())
    return found


@contextmanager
def connection_to(gateway: Gateway) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(gateway.url.removeprefix("http://"), timeout=PATIENCE)
    try:
        yield connection
    finally:
        connection.close()


def ask(connection: HTTPConnection, method: str, path: str, key: str) -> HTTPResponse:
    connection.request(method, path, headers={"authorization": f"Bearer {key}"})
    return connection.getresponse()


def lasting(answer: HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.getheaders() if name.lower() not in CHANGING}


def test_head_is_answered_like_get_without_a_body_and_the_connection_goes_on(gateway: Gateway, methods: dict[str, set[str]]) -> None:
    key = gateway.key()
    read = [path for path, allowed in methods.items() if "GET" in allowed]
    assert {STREAM, "/metrics", "/healthz", "/readyz", "/onramp.js", "/demo/", "/v1/users/u/progress"} <= set(read)
    for path in read:
        with connection_to(gateway) as connection, connection_to(gateway) as other:
            head = ask(connection, "HEAD", path, key)
            assert head.read() == b""
            assert ask(connection, "GET", "/healthz", key).read() == b'{"status":"ok"}', f"the next request after HEAD {path}"
            get = ask(other, "GET", path, key)
            assert (path, head.status, lasting(head)) == (path, get.status, lasting(get))


def test_head_of_a_stream_holds_none_of_the_user_s_streams(gateway: Gateway) -> None:
    key = gateway.key()
    with connection_to(gateway) as connection:
        for _ in range(MOST_OF_ONE_USER + 1):
            answer = ask(connection, "HEAD", STREAM, key)
            assert (answer.read(), answer.status) == (b"", 200)
        assert ask(connection, "HEAD", "/v1/stream", key).status == 400
    with connection_to(gateway) as connection:
        assert ask(connection, "HEAD", STREAM, "sk_unknown").status == 401


def test_a_method_that_an_address_does_not_take_is_refused_and_the_right_ones_are_named(
    gateway: Gateway, methods: dict[str, set[str]]
) -> None:
    with connection_to(gateway) as connection:
        for path, allowed in methods.items():
            for method in (REFUSED | {"GET", "HEAD", "POST"}) - allowed:
                answer = ask(connection, method, path, "sk_unknown")
                assert (path, method, answer.status) == (path, method, 405)
                assert set((answer.getheader("allow") or "").split(", ")) == allowed
                assert answer.read() == b"" if method == "HEAD" else b"method_not_allowed" in answer.read()
