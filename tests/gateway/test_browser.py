"""The snippet and the demo page on the real gateway and a real Valkey: what tests/browser does with a small fake."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from starlette.requests import Request
from starlette.routing import Route

from gateway.browser_routes import BROWSER, demo_routes, is_loopback
from gateway.errors import RefusedError
from gateway.keys import KeyStore
from sinks.redis.writer import RecommendationWriter, WritePolicy
from state.records.progress import Progress, PublishProgress
from state.records.recommendation import Publish, Recommendation
from tests.browser.conftest import CHROMIUM, DRIVER, HINT
from tests.support.demo_engine import DemoEngine
from tests.support.gateway import SIGNING, Gateway, run_gateway
from tests.support.valkey import run_valkey
from tests.support.waiting import PATIENCE, join, run_async, wait_until

if TYPE_CHECKING:
    from tests.browser.chromium import Browser


class Engine:
    """What the job does between the log and Redis, as far as the demo needs it."""

    def __init__(self, gateway: Gateway, redis_url: str) -> None:
        self._gateway = gateway
        self._writer = RecommendationWriter(redis_url, WritePolicy(give_up_seconds=PATIENCE))
        self._engine = DemoEngine(self)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def recommend(self, user: str, record: dict[str, Any]) -> None:
        decision = f"{record['version']:024x}"
        whole = {**record, "userId": user, "decisionId": decision, "recommendationId": SIGNING.recommendation_id(decision, record["arm"])}
        whole |= {"createdAt": "2026-01-01T00:00:00Z", "expiresAt": "2036-01-01T00:00:00Z"}
        self._writer.write([Publish(msgspec.convert(whole, Recommendation))])

    def advance(self, user: str, record: dict[str, Any]) -> None:
        steps = [{**step, "completedAt": None} for step in record["steps"]]
        whole = msgspec.convert({**record, "steps": steps, "tenantId": "default", "userId": user}, Progress)
        self._writer.write([PublishProgress("default", user, whole.version, whole)])

    def stop(self) -> None:
        self._ended.set()
        join(self._thread, "the end of the engine")
        self._writer.close()

    def _run(self) -> None:
        done = 0
        while not (ended := self._ended.wait(0.005)):
            for record in self._gateway.log.records[done:]:
                done += 1
                self._engine(msgspec.json.decode(record.value))
        assert ended


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("gateway")
    store = KeyStore(directory / "keys.json", reload_seconds=0.0)
    _, publishable = store.create("publishable")
    store.create("signing")
    routes = demo_routes(store, publishable_key=publishable, tenant="default")
    with run_valkey(directory) as valkey, run_gateway(directory, redis_url=lambda: valkey.url, more_routes=routes) as gateway:
        engine = Engine(gateway, valkey.url)
        try:
            yield gateway
        finally:
            engine.stop()


@pytest.fixture(scope="module")
def browser(gateway: Gateway) -> Iterator[Browser]:
    pytest.importorskip("selenium", reason="the browser tests need selenium, which is among the packages for development")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip(f"the browser tests need Chromium and its driver; {HINT}")
    from tests.browser.chromium import Browser

    browser = Browser(gateway.url, chromium=CHROMIUM, driver=DRIVER)
    yield browser
    browser.quit()


def types(gateway: Gateway) -> list[str]:
    return [event["eventType"] for event in gateway.stored()]


def test_stuck_help_click_complete_next(gateway: Gateway, browser: Browser) -> None:
    browser.open("/demo/")
    browser.until("return document.querySelector('#first-name')", "the welcome")
    browser.click("#view button")
    assert "good to have you here" in browser.shown(".tooltip")
    browser.until("return onramp.connection === 'stream'", "the stream")
    browser.click(".guide .row a")
    browser.run("document.getElementById('fail').click()")
    browser.shown("dialog")
    browser.click("dialog .row a")
    browser.gone("dialog")
    browser.run("document.getElementById('complete').click()")
    assert "Nicely done" in browser.shown(".side")
    browser.until("return document.querySelectorAll('#progress .done').length === 1", "the progress")
    wait_until(lambda: types(gateway).count("recommendation_shown") == 3, "three exposures in the log")
    assert types(gateway).count("recommendation_clicked") == 2
    assert "refused" not in browser.run("return document.getElementById('feed').textContent")
    assert browser.complaints() == []


def test_the_snippet_is_served_to_every_page_and_the_demo_to_its_own(gateway: Gateway) -> None:
    for name, kind, file in (
        ("onramp.js", "text/javascript", "onramp.js"),
        ("onramp.mjs", "text/javascript", "onramp.mjs"),
        ("onramp.d.mts", "text/plain", "onramp.d.ts"),  # the name under which TypeScript looks for the types of onramp.mjs
        ("onramp.d.ts", "text/plain", "onramp.d.ts"),
    ):
        answer = gateway.get(f"/{name}", origin="https://app.example")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.content == (BROWSER / file).read_bytes()
        assert gateway.get(f"/{name}", accept_encoding="identity").content == answer.content
        assert gateway.get(f"/{name}", if_none_match=answer.headers["etag"]).status_code == 304
        assert gateway.get(f"/{name}", if_none_match='"old"').status_code == 200
    page = gateway.get("/demo/")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert gateway.get("/demo").headers["location"] == "/demo/"
    for path in ("/demo/../keys.json", "/demo/%2e%2e/build.json", "/browser/src/queue.ts", "/demo/nothing"):
        assert gateway.get(path).status_code == 404


def test_a_session_is_for_users_of_the_demo_only(gateway: Gateway) -> None:
    mine = gateway.post("/demo/session", {}).json()
    assert mine["userId"].startswith("demo-")
    assert gateway.post("/demo/session", {"userId": mine["userId"]}).json()["userId"] == mine["userId"]
    for other in ("u-17", "demo-", "demo-0123456789ab\n", 7, None, ["demo-0123456789ab"]):
        assert gateway.post("/demo/session", {"userId": other}).json()["userId"] != other
    for odd in (b"", b"[]", b"{", b"\xff"):
        assert gateway.post("/demo/session", content=odd).status_code == 200
    assert gateway.post("/demo/session", content=b"x" * 2_000).status_code == 413
    assert gateway.post("/demo/session", {}, origin="https://evil.example").status_code == 403
    assert gateway.get(f"/v1/users/{mine['userId']}/progress", key=mine["token"]).status_code == 204


def demo_of(directory: Path, *, for_all: bool = False) -> tuple[KeyStore, list[Route]]:
    store = KeyStore(directory / "keys.json", reload_seconds=0.0)
    _, publishable = store.create("publishable")
    store.create("signing")
    routes = demo_routes(store, publishable_key=publishable, tenant="default", for_all=for_all)
    return store, [route for route in routes if isinstance(route, Route)]


def status(route: Route, client: str | None, **headers: str) -> int:
    """Status of the answer to a request from ``client`` with these headers."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}"}

    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": route.path, "headers": sent, "client": (client, 50_000) if client else None}
    try:
        return int(run_async(route.endpoint(Request(scope, receive))).status_code)
    except RefusedError as error:
        return error.status


HERE = [("127.0.0.1", "localhost:8080"), ("127.0.0.1", "127.0.0.1:8080"), ("::1", "[::1]:8080"), ("::ffff:127.0.0.1", "LOCALHOST")]
ELSEWHERE = [
    ("192.0.2.7", {"host": "192.0.2.1:8080"}),
    ("192.0.2.7", {"host": "localhost:8080"}),
    ("127.0.0.1", {"host": "evil.example:8080", "origin": "http://evil.example:8080"}),
    ("127.0.0.1", {"host": "localhost.evil.example"}),
    ("127.0.0.1", {"host": "localhost@evil.example"}),
    ("127.0.0.1", {"host": "[::1"}),
    ("127.0.0.1", {}),
    (None, {"host": "localhost"}),
    ("127.0.0.1", {"host": "localhost:8080", "x_forwarded_for": "192.0.2.7"}),
    ("127.0.0.1", {"host": "localhost:8080", "forwarded": "for=192.0.2.7"}),
]


@pytest.mark.parametrize(("client", "host"), HERE)
def test_the_demo_and_its_sessions_are_for_this_machine(tmp_path: Path, client: str, host: str) -> None:
    _, routes = demo_of(tmp_path)
    assert {status(route, client, host=host) for route in routes} == {200, 307}


@pytest.mark.parametrize(("client", "headers"), ELSEWHERE)
def test_nobody_else_gets_a_session_of_the_demo_or_a_page_of_it(tmp_path: Path, client: str | None, headers: dict[str, str]) -> None:
    _, routes = demo_of(tmp_path)
    assert len(routes) > 4
    assert {status(route, client, **headers) for route in routes} == {403}


def test_a_demo_that_is_opened_to_everyone_gives_sessions_to_its_own_page_alone(tmp_path: Path) -> None:
    _, routes = demo_of(tmp_path, for_all=True)
    session = next(route for route in routes if route.path == "/demo/session")
    assert {status(route, "192.0.2.7", host="192.0.2.1:8080") for route in routes} == {200, 307}
    assert status(session, "192.0.2.7", host="192.0.2.1:8080", origin="http://192.0.2.1:8080") == 200
    assert status(session, "192.0.2.7", host="192.0.2.1:8080", origin="https://evil.example") == 403


def test_a_demo_whose_key_was_revoked_gives_no_sessions_any_more(tmp_path: Path) -> None:
    store, routes = demo_of(tmp_path)
    session = next(route for route in routes if route.path == "/demo/session")
    assert status(session, "127.0.0.1", host="localhost") == 200
    store.revoke(next(key.id for key in store.all_keys() if key.kind == "publishable"))
    assert status(session, "127.0.0.1", host="localhost") == 403


def test_a_name_of_this_machine_alone_is_loopback() -> None:
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"))
    others = ("", "0.0.0.0", "::", "192.0.2.7", "127.0.0.1.evil.example", "localhost.example", "::ffff:192.0.2.7")
    assert not any(is_loopback(host) for host in others)
