"""A user starts, and completes steps: what is stored, and what is answered once the job has published, or has not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest
import redis

from gateway.onboarding_route import WAIT_SECONDS
from gateway.records import Records, Stored
from gateway.stream_route import MOST_OF_ONE_USER
from gateway.tokens import mint
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from tests.gateway.read_setup import NOON, Setup, running
from tests.state.lives import catalog, plan
from tests.support.gateway import run_gateway
from tests.support.waiting import PATIENCE, join, let_pass, never, wait_until

PLAN = plan()
START, COMPLETE = "/v1/onboarding/start", "/v1/onboarding/step/complete"
PATIENT = 5.0
"""Seconds in which an answer that waited for the job has come, on a busy machine."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    with running(tmp_path_factory.mktemp("gateway"), plans=ByTenant(PLAN)) as setup:
        yield setup


@pytest.fixture
def setup(shared: Setup) -> Setup:
    client = redis.Redis.from_url(shared.valkey.url)
    client.flushall()
    client.close()
    shared.clock.now = NOON
    shared.gateway.log.records.clear()
    return shared


def steps(**status: str) -> list[dict[str, Any]]:
    return [{"id": name, "title": name, "link": "/", "status": value} for name, value in status.items()]


class Asked:
    """A request in a thread. It has begun when its event is stored: the job has it then."""

    def __init__(self, setup: Setup, path: str, body: Any) -> None:
        before, token = len(setup.gateway.log.records), setup.token()
        self._found: list[httpx2.Response] = []
        self._thread = Thread(target=lambda: self._found.append(setup.gateway.post(path, body, key=token)), daemon=True)
        self._thread.start()
        wait_until(lambda: len(setup.gateway.log.records) > before, "the event in the log")

    def answer(self) -> httpx2.Response:
        join(self._thread, "the answer")
        return self._found[0]


def publish(setup: Setup, version: int, **status: str) -> None:
    """What the job does."""
    setup.progress("ana", version, steps=steps(**status), nextStep=next((name for name, each in status.items() if each == "current"), None))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The route waits for the job for longer than a second, which a busy machine may need."""
    monkeypatch.setattr("gateway.onboarding_route.WAIT_SECONDS", PATIENCE)


@pytest.mark.usefixtures("patient")
def test_a_start_is_a_signup_and_answers_with_the_path(setup: Setup) -> None:
    asked = Asked(setup, START, {"traits": {"persona": "analyst"}, "sessionId": "s1"})
    (stored,) = setup.gateway.stored()
    assert stored == {
        "eventId": stored["eventId"], "userId": "ana", "tenantId": "acme", "sessionId": "s1", "eventType": "signup",
        "timestamp": "2026-01-01T12:00:00.000Z", "payload": {"traits": {"persona": "analyst"}},
    }  # fmt: skip
    publish(setup, 3, connect="current", explore="open")
    found = asked.answer()
    assert (found.status_code, found.json()["stored"]) == (200, [stored["eventId"]])
    assert (found.json()["progress"]["nextStep"], found.json()["progress"]["version"]) == ("connect", 3)


@pytest.mark.usefixtures("patient")
def test_what_the_job_makes_of_a_start_is_not_taken_for_what_was_before(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the first read is slower than to store the event, as when the connection to Redis must be made first."""
    plain = Records.progress

    async def slow(self: Records, tenant: str, user: str) -> Stored | None:
        await let_pass(0.5, "the read is slow")
        return await plain(self, tenant, user)

    monkeypatch.setattr(Records, "progress", slow)
    asked = Asked(setup, START, {"traits": {}})
    publish(setup, 3, connect="current")
    assert asked.answer().json()["progress"]["version"] == 3


def test_a_redis_that_does_not_answer_keeps_no_event_away(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(_self: Records, _tenant: str, _user: str) -> Stored | None:
        await never()
        return None

    monkeypatch.setattr(Records, "progress", hangs)
    found = Asked(setup, START, {"traits": {}}).answer()
    assert (found.status_code, found.json()["progress"]) == (202, None)


@pytest.mark.usefixtures("patient")
def test_a_second_start_waits_for_what_is_newer(setup: Setup) -> None:
    publish(setup, 3, connect="current")
    asked = Asked(setup, START, {"eventId": "again", "timestamp": "2026-01-01T11:00:00Z", "traits": {}})
    assert setup.gateway.stored()[0]["eventId"] == "again"
    publish(setup, 4, invite="current", connect="open")
    assert asked.answer().json()["progress"]["nextStep"] == "invite"


@pytest.mark.usefixtures("patient")
def test_a_completion_is_answered_when_the_step_is_done_and_not_before(setup: Setup) -> None:
    publish(setup, 3, connect="current", invite="open")
    asked = Asked(setup, COMPLETE, {"step": "connect"})
    (stored,) = setup.gateway.stored()
    assert (stored["eventType"], stored["payload"]) == ("step_completed", {"step": "connect"})
    publish(setup, 4, connect="current", invite="done")  # of an event before
    publish(setup, 5, connect="done", invite="done")
    assert asked.answer().json()["progress"]["version"] == 5


@pytest.mark.usefixtures("patient")
def test_a_step_that_must_wait_for_another_and_one_of_another_path_are_answered_too(setup: Setup) -> None:
    publish(setup, 3, connect="current", explore="open")
    early = Asked(setup, COMPLETE, {"step": "explore"})
    publish(setup, 4, connect="current", explore="open")
    assert early.answer().json()["progress"]["version"] == 4
    elsewhere = Asked(setup, COMPLETE, {"step": "invite"})
    publish(setup, 5, connect="current", explore="open")
    assert elsewhere.answer().json()["progress"]["version"] == 5


@pytest.mark.usefixtures("patient")
def test_requests_that_wait_for_the_job_are_no_streams(setup: Setup) -> None:
    asked = [Asked(setup, START, {"traits": {}}) for _ in range(MOST_OF_ONE_USER)]
    with setup.gateway.client.stream("GET", "/v1/stream", headers={"authorization": f"Bearer {setup.token()}"}) as answer:
        assert answer.status_code == 200
    publish(setup, 3, connect="current")
    assert {each.answer().status_code for each in asked} == {200}


@pytest.mark.timing
def test_what_is_done_already_is_answered_at_once(setup: Setup) -> None:
    publish(setup, 3, connect="done")
    answer = setup.gateway.post(COMPLETE, {"step": "connect", "eventId": "again"}, key=setup.token())
    assert (answer.status_code, answer.json()["progress"]["version"]) == (200, 3)
    assert answer.elapsed.total_seconds() < WAIT_SECONDS
    assert len(setup.gateway.stored()) == 1


@pytest.mark.timing
def test_without_the_job_the_answer_comes_after_a_second_and_says_where_to_look(setup: Setup) -> None:
    publish(setup, 3, connect="current")
    key = setup.gateway.key("server", "acme")
    answer = setup.gateway.post(START, {"userId": "ana", "eventId": "e1"}, key=key)
    assert WAIT_SECONDS <= answer.elapsed.total_seconds() < PATIENT
    assert (answer.status_code, answer.headers["location"]) == (202, "/v1/users/ana/progress")
    found = answer.json()
    assert found.pop("progress")["version"] == 3, "what is known: for an event that is sent again the job publishes nothing"
    assert found == {"stored": ["e1"], "progressUrl": "/v1/users/ana/progress"}
    odd = setup.gateway.post(COMPLETE, {"userId": "a/b?", "step": "invite"}, key=key)
    assert odd.headers["location"] == "/v1/users/a%2Fb%3F/progress"
    assert odd.json()["progress"] is None
    assert setup.gateway.get(odd.headers["location"], key=key).status_code == 204


@pytest.mark.timing
def test_the_newest_progress_is_answered_where_it_does_not_have_the_step_yet(setup: Setup) -> None:
    publish(setup, 3, connect="current")
    asked = Asked(setup, COMPLETE, {"step": "connect"})
    publish(setup, 4, connect="current")  # of an event before
    answer = asked.answer()
    assert (answer.status_code, answer.json()["progress"]["version"]) == (202, 4)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("version", [1, 2, 3, "2", None])
def test_the_version_of_the_contract_is_that_of_the_gateway(setup: Setup, version: object) -> None:
    asked = Asked(setup, START, {"traits": {"persona": "analyst"}, "schemaVersion": version})
    (stored,) = setup.gateway.stored()
    assert ("schemaVersion" in stored, stored["payload"]) == (False, {"traits": {"persona": "analyst"}})
    publish(setup, 3, connect="current")
    assert asked.answer().status_code == 200


@pytest.mark.timing
def test_without_redis_the_event_is_stored_and_nobody_waits_long(tmp_path: Path) -> None:
    with run_gateway(tmp_path, plans=ByTenant(PLAN)) as gateway:
        answer = gateway.post(START, {"userId": "u-17", "eventId": "e1"}, key=gateway.key("server"))
        assert (answer.status_code, answer.json()["stored"]) == (202, ["e1"])
        assert answer.elapsed.total_seconds() < PATIENT
        assert len(gateway.stored()) == 1


@pytest.mark.parametrize(
    ("path", "body", "field", "code"),
    [
        (START, {"traits": "analyst"}, "traits", "bad_payload"),
        (START, {"timestamp": "yesterday"}, "timestamp", "bad_timestamp"),
        (START, {"eventId": ""}, "eventId", "bad_event_id"),
        (START, {"userId": "undefined"}, "userId", "placeholder_id"),
        (COMPLETE, {}, "step", "bad_payload"),
        (COMPLETE, {"step": 7}, "step", "bad_payload"),
        (COMPLETE, {"step": ["connect"]}, "step", "bad_payload"),
        (COMPLETE, {"step": "conect"}, "step", "unknown_step"),
    ],
)
def test_what_is_not_valid_is_named_and_not_stored(setup: Setup, path: str, body: dict[str, Any], field: str, code: str) -> None:
    answer = setup.gateway.post(path, {"userId": "ana", **body}, key=setup.gateway.key("server", "acme"))
    assert (answer.status_code, answer.json()["code"], answer.json()["stored"]) == (400, "invalid_events", [])
    (fault,) = answer.json()["rejected"][0]["faults"]
    assert (fault["field"], fault["code"]) == (field, code)
    assert setup.gateway.stored() == []


@pytest.mark.parametrize("path", [START, COMPLETE])
@pytest.mark.parametrize("content", [b"", b"[]", b"nonsense", b'"text"', b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(setup: Setup, path: str, content: bytes) -> None:
    answer = setup.gateway.post(path, content=content, key=setup.token())
    assert answer.status_code in {400, 413}
    assert setup.gateway.stored() == []


@pytest.mark.parametrize(("path", "body"), [(START, {}), (COMPLETE, {"step": "connect"})])
def test_only_who_may_read_the_progress_may_ask(setup: Setup, path: str, body: dict[str, str]) -> None:
    def status(key: str | None, **more: str) -> int:
        return setup.gateway.post(path, {**body, **more}, key=key).status_code

    assert status(None) == 401
    assert status("sk_unknown") == 401
    assert status(setup.gateway.key("publishable", "acme"), userId="ana") == 403
    assert status(setup.token(), userId="ben") == 403
    assert status(setup.gateway.key("server", "globex"), userId="ana", tenantId="acme") == 403
    assert setup.gateway.stored() == []


def test_a_publishable_key_completes_no_step_by_its_name(setup: Setup) -> None:
    event = {
        "eventId": "e",
        "userId": "ana",
        "eventType": "step_completed",
        "timestamp": "2026-01-01T11:00:00Z",
        "payload": {"step": "connect"},
    }
    assert setup.gateway.post("/v1/events", event, key=setup.gateway.key("publishable", "acme")).status_code == 403
    assert setup.gateway.post("/v1/events", event, key=setup.token()).status_code == 202


def test_what_the_log_does_not_take_is_answered_like_other_events(tmp_path: Path) -> None:
    with run_gateway(tmp_path, plans=ByTenant(PLAN), events_per_second=0.001) as gateway:
        key = gateway.key("server")
        gateway.log.failure = "the disk is full"
        answer = gateway.post(START, {"userId": "u"}, key=key)
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "5")
        assert gateway.post(START, {"userId": "u"}, key=key).status_code == 429


def test_a_user_has_a_rate_here_too(setup: Setup) -> None:
    token = mint(setup.secret, key_id=setup.key_id, tenant="acme", user="zed", now=setup.clock.now, seconds=900)
    setup.gateway.post("/v1/events", [{}] * 200, key=token)
    answer = setup.gateway.post(START, {}, key=token)
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")


def test_each_tenant_may_name_the_steps_of_its_own_catalog(tmp_path: Path) -> None:
    other = Plan(catalog(change=lambda text: text.replace("invite", "welcome")))
    with run_gateway(tmp_path, plans=ByTenant(None, {"acme": PLAN, "beta": other})) as gateway:

        def status(tenant: str, step: str) -> int:
            return gateway.post(COMPLETE, {"userId": "ana", "step": step}, key=gateway.key("server", tenant)).status_code

        assert (status("acme", "welcome"), status("beta", "invite")) == (400, 400)
        assert (status("acme", "invite"), status("beta", "welcome"), status("gamma", "any")) == (202, 202, 202)
        assert [each["tenantId"] for each in gateway.stored()] == ["acme", "beta", "gamma"]
