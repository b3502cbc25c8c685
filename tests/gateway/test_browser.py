"""The snippet and the demo page on the real gateway and a real Valkey: what tests/browser does with a small fake."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from gateway.browser_routes import BROWSER, demo_routes
from gateway.keys import KeyStore
from sinks.redis.writer import RecommendationWriter, WritePolicy
from state.records.progress import Progress, PublishProgress
from state.records.recommendation import Publish, Recommendation
from tests.browser.conftest import CHROMIUM, DRIVER, HINT
from tests.support.demo_engine import DemoEngine
from tests.support.gateway import SIGNING, Gateway, run_gateway
from tests.support.valkey import run_valkey
from tests.support.waiting import PATIENCE, join, wait_until

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
