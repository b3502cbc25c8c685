"""Recommendations and progress over a real socket, from a real Valkey: reads, the stream, and who may have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest
import redis

from gateway import stream_route
from state.records.progress import PublishProgress
from state.records.recommendation import Publish, ReplaceText, redis_key
from tests.gateway.read_setup import NOON, Setup, running
from tests.sinks.recommendation_samples import erase, progress, publish
from tests.support.gateway import Gateway, run_gateway
from tests.support.waiting import PATIENCE, join, wait_until


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    with running(tmp_path_factory.mktemp("gateway")) as setup:
        yield setup


@pytest.fixture
def setup(shared: Setup) -> Setup:
    client = redis.Redis.from_url(shared.valkey.url)
    client.flushall()
    client.close()
    shared.clock.now = NOON
    return shared


# ------------------------------------------------------------------------------------------------------------------------- reads


def test_a_recommendation_is_the_record_of_redis_with_an_entity_tag(setup: Setup) -> None:
    setup.write(publish("acme", "ana", 7))
    answer = setup.gateway.get("/v1/recommendations/ana", key=setup.token())
    tag = answer.headers["etag"]
    assert (answer.status_code, tag[:5]) == (200, '"7.0.')
    assert (answer.json()["userId"], answer.json()["version"], answer.json()["uiComponent"]) == ("ana", 7, "tooltip")
    again = setup.gateway.get("/v1/recommendations/ana", key=setup.token(), if_none_match=f'"6.0.00000000", W/{tag}')
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    setup.write(publish("acme", "ana", 8))
    assert setup.gateway.get("/v1/recommendations/ana", key=setup.token(), if_none_match=tag).json()["version"] == 8


def test_another_record_of_the_same_version_has_another_entity_tag(setup: Setup) -> None:
    """After a crash of the job a replay may have drawn another arm for the same version."""
    setup.write(publish("acme", "ana", 7, "one"))
    setup.progress("ana", 4, title="one")
    paths = ("/v1/recommendations/ana", "/v1/users/ana/progress")
    tags = [setup.gateway.get(path, key=setup.token()).headers["etag"] for path in paths]
    setup.write(publish("acme", "ana", 7, "two"))
    setup.progress("ana", 4, title="two")
    for path, tag in zip(paths, tags, strict=True):
        answer = setup.gateway.get(path, key=setup.token(), if_none_match=tag)
        assert (answer.status_code, answer.json().get("message", answer.json().get("title"))) == (200, "two")
        assert answer.headers["etag"] != tag


def test_nothing_to_show_is_204(setup: Setup) -> None:
    def status(user: str) -> int:
        return setup.gateway.get(f"/v1/recommendations/{user}", key=setup.token(user)).status_code

    assert status("nobody") == 204
    setup.write(erase("acme", "gone", 3))
    assert status("gone") == 204
    record = publish("acme", "hidden", 3).recommendation
    setup.write(Publish(record.__class__(**{**{name: getattr(record, name) for name in record.__struct_fields__}, "ui_component": "none"})))
    assert status("hidden") == 204
    setup.write(publish("acme", "late", 3))
    assert status("late") == 200
    setup.clock.now += 86_400
    assert status("late") == 204
    client = redis.Redis.from_url(setup.valkey.url)
    client.set(redis_key("acme", "odd"), b"\xff not a record")
    client.close()
    assert status("odd") == 204


def test_progress_is_read_and_its_absence_is_204(setup: Setup) -> None:
    assert setup.gateway.get("/v1/users/ana/progress", key=setup.token()).status_code == 204
    setup.progress("ana", 4, title="Start")
    answer = setup.gateway.get("/v1/users/ana/progress", key=setup.token())
    assert (answer.status_code, answer.json()["title"], answer.headers["etag"][:5]) == (200, "Start", '"4.0.')
    assert setup.gateway.get("/v1/users/ana/progress", key=setup.token(), if_none_match=answer.headers["etag"]).status_code == 304


@pytest.mark.parametrize("user", ["a/b", "ü@x.org", "a%2Fb", "..", "a b?c=d#e", "progress", "a/progress", "a\nb"])
def test_a_user_id_may_hold_what_an_address_must_escape(setup: Setup, user: str) -> None:
    setup.write(publish("acme", user, 1))
    setup.progress(user, 2)
    escaped = "".join(f"%{byte:02X}" for byte in user.encode())
    assert setup.gateway.get(f"/v1/recommendations/{escaped}", key=setup.token(user)).json()["userId"] == user
    assert setup.gateway.get(f"/v1/users/{escaped}/progress", key=setup.token(user)).json()["version"] == 2


@pytest.mark.parametrize("path", ["/v1/recommendations/ana", "/v1/users/ana/progress", "/v1/stream?userId=ana"])
def test_only_the_user_and_the_tenant_s_server_read(setup: Setup, path: str) -> None:
    setup.write(publish("acme", "ana", 1))
    setup.progress("ana", 1, title="secret")

    def status(key: str | None) -> int:
        with setup.gateway.client.stream("GET", path, headers={"authorization": f"Bearer {key}"} if key else {}) as answer:
            if answer.status_code >= 400:
                assert b"secret" not in answer.read()
            return answer.status_code

    assert status(None) == 401
    assert status("sk_unknown") == 401
    assert status(setup.gateway.key("publishable", "acme")) == 403
    assert status(setup.token("ben")) == 403
    assert status(setup.token("ana")) == 200
    assert status(setup.gateway.key("server", "acme")) == 200
    if "stream" not in path:
        assert status(setup.gateway.key("server", "globex")) == 204
    expired = setup.token("ana", seconds=60)
    setup.clock.now += 61
    assert status(expired) == 401


def test_while_redis_is_away_reads_are_503_and_work_again_afterwards(tmp_path: Path) -> None:
    with running(tmp_path) as setup:
        setup.write(publish("acme", "ana", 1))
        assert setup.gateway.get("/v1/recommendations/ana", key=setup.token()).status_code == 200
        setup.valkey.kill()
        answer = setup.gateway.get("/v1/recommendations/ana", key=setup.token())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert setup.gateway.get("/readyz").json() == {"status": "ok", "recommendations": "unavailable"}
        setup.valkey.start()
        wait_until(lambda: setup.gateway.get("/v1/recommendations/ana", key=setup.token()).status_code == 200, "a read after the restart")


# ------------------------------------------------------------------------------------------------------------------------ stream


@dataclass
class Reader:
    """A stream in a thread. ``events`` has what came, as (id, event, data)."""

    gateway: Gateway
    key: str
    path: str = "/v1/stream"
    headers: dict[str, str] = field(default_factory=dict)
    events: list[tuple[str, str, Any]] = field(default_factory=list)
    answer: httpx2.Response | None = None
    raw: bytes = b""
    ended: bool = False

    def __enter__(self) -> Reader:
        self._client = httpx2.Client(base_url=self.gateway.url, timeout=PATIENCE)
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()
        wait_until(lambda: self.raw, "the beginning of the stream")
        return self

    def __exit__(self, *_: object) -> None:
        if self.answer is not None and not self.ended:
            self.gateway.stopping.stop()
        join(self._thread, "the end of the stream")
        self._client.close()
        self.gateway.stopping._stopped = False

    def _read(self) -> None:
        with self._client.stream("GET", self.path, headers={"authorization": f"Bearer {self.key}", **self.headers}) as self.answer:
            for chunk in self.answer.iter_raw():
                self.raw += chunk
                self.events = [each for block in self.raw.decode().split("\n\n") if (each := _event(block)) is not None]
        self.ended = True

    def wait(self, count: int) -> list[tuple[str, str, Any]]:
        wait_until(lambda: len(self.events) >= count, f"{count} events")
        return self.events


def _event(block: str) -> tuple[str, str, Any] | None:
    fields = dict(line.partition(": ")[::2] for line in block.splitlines())
    return (fields["id"], fields["event"], json.loads(fields["data"])) if "data" in fields else None


def _summary(events: list[tuple[str, str, Any]]) -> list[tuple[str, str, Any]]:
    return [(_places(event_id), name, data.get("message", data.get("title"))) for event_id, name, data in events]


def _places(event_id: str) -> str:
    """The versions in an id, without the digests."""
    return event_id.rsplit(".", 2)[0]


def improve(version: int, message: str) -> ReplaceText:
    record = publish("acme", "ana", version, message).recommendation
    return ReplaceText(record.__class__(**{**{name: getattr(record, name) for name in record.__struct_fields__}, "source": "llm"}))


def test_a_stream_begins_with_what_is_stored_and_follows_every_write(setup: Setup) -> None:
    setup.write(publish("acme", "ana", 1, "one"))
    setup.progress("ana", 1, title="start")
    with Reader(setup.gateway, setup.token()) as reader:
        assert reader.answer is not None
        assert reader.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert reader.answer.headers["x-accel-buffering"] == "no"
        reader.wait(2)
        setup.write(publish("acme", "ana", 2, "two"))
        reader.wait(3)
        setup.write(improve(2, "better"))
        reader.wait(4)
        setup.progress("ana", 2, title="next")
        reader.wait(5)
        setup.write(publish("acme", "ben", 9, "not for ana"))
        setup.write(erase("acme", "ana", 1))
        reader.wait(7)
        setup.write(publish("acme", "ana", 3, "anew"))
        reader.wait(8)
        assert _summary(reader.events) == [
            ("1.0.0", "recommendation", "one"),
            ("1.0.1", "progress", "start"),
            ("2.0.1", "recommendation", "two"),
            ("2.1.1", "recommendation", "better"),
            ("2.1.2", "progress", "next"),
            ("1.0.2", "recommendation", None),
            ("1.0.0", "progress", None),
            ("3.0.0", "recommendation", "anew"),
        ]
        assert reader.events[5][2] == {"deleted": True, "version": 1}


@pytest.mark.parametrize(
    ("last", "missing"),
    [
        ("5.0.3", []),
        ("5.0.2", ["three"]),
        ("4.1.3", ["five"]),
        ("9.0.9", ["five", "three"]),
        ("5.0.3.0.0", ["five", "three"]),
        ("5.0.3.0.0.0", ["five", "three"]),
        ("odd", ["five", "three"]),
        ("5.0", ["five", "three"]),
    ],
)
def test_a_reader_that_comes_back_gets_what_it_does_not_have(setup: Setup, last: str, missing: list[str]) -> None:
    setup.write(publish("acme", "ana", 5, "five"))
    setup.progress("ana", 3, title="three")
    with Reader(setup.gateway, setup.token(), headers={"last-event-id": last}) as reader:
        reader.wait(len(missing))
        setup.write(publish("acme", "ana", 10, "ten"))
        assert [message for _, _, message in _summary(reader.wait(len(missing) + 1))] == [*missing, "ten"]


def test_a_reader_that_comes_back_gets_another_record_of_the_same_version(setup: Setup) -> None:
    """After a crash of the job a replay may have drawn another arm for the same version."""
    setup.write(publish("acme", "ana", 5, "one"))
    setup.progress("ana", 3, title="start")
    with Reader(setup.gateway, setup.token()) as reader:
        last = same = reader.wait(2)[-1][0]
    for title, missing in (("start", ["two"]), ("anew", ["two", "anew"])):
        setup.write(publish("acme", "ana", 5, "two"))
        setup.progress("ana", 3, title=title)
        with Reader(setup.gateway, setup.token(), headers={"last-event-id": last}) as reader:
            assert [message for _, _, message in _summary(reader.wait(len(missing)))] == missing
            same = reader.events[-1][0]
    with Reader(setup.gateway, setup.token(), headers={"last-event-id": same}) as reader:
        setup.write(publish("acme", "ana", 6, "six"))
        assert [message for _, _, message in _summary(reader.wait(1))] == ["six"], "what it has is not sent again"


def test_a_reader_that_comes_back_is_told_that_there_is_nothing_any_more(setup: Setup) -> None:
    """The tombstone in Redis may have expired meanwhile. It is told once, of both records."""
    with Reader(setup.gateway, setup.token(), headers={"last-event-id": "5.1.3"}) as reader:
        reader.wait(2)
        assert [(_places(event_id), name, data) for event_id, name, data in reader.events] == [
            ("0.0.3", "recommendation", {"deleted": True, "version": 5}),
            ("0.0.0", "progress", {"deleted": True, "version": 3}),
        ]
    for nothing in ("0.0.0", "odd"):
        with Reader(setup.gateway, setup.token(), headers={"last-event-id": nothing}) as reader:
            setup.write(publish("acme", "ana", 6, "six"))
            assert [message for _, _, message in _summary(reader.wait(1))] == ["six"]
        client = redis.Redis.from_url(setup.valkey.url)
        client.flushall()
        client.close()


def test_a_reader_is_told_when_a_recommendation_has_run_out(setup: Setup) -> None:
    setup.write(publish("acme", "ana", 1, "one"))
    setup.progress("ana", 1, title="start")
    key = setup.gateway.key("server", "acme")
    with Reader(setup.gateway, key, "/v1/stream?userId=ana") as reader:
        reader.wait(2)
        setup.clock.now += 86_400
        setup.progress("ana", 2, title="next")
        reader.wait(4)
        assert _summary(reader.events)[2:] == [("0.0.1", "recommendation", None), ("0.0.2", "progress", "next")]


def test_progress_that_is_removed_is_told_and_begins_anew(setup: Setup) -> None:
    with Reader(setup.gateway, setup.token()) as reader:
        for version, record in ((1, True), (2, False), (3, True)):
            setup.write(progress("acme", "ana", version) if record else PublishProgress("acme", "ana", version, None))
            reader.wait(version)
        assert [(_places(event_id), data.get("deleted", False)) for event_id, _, data in reader.events] == [
            ("0.0.1", False),
            ("0.0.0", True),
            ("0.0.3", False),
        ]


def test_a_server_key_follows_a_user_of_its_tenant(setup: Setup) -> None:
    setup.write(publish("acme", "ana", 5, "five"))
    key = setup.gateway.key("server", "acme")
    with Reader(setup.gateway, key, "/v1/stream?userId=ana") as reader:
        assert [name for _, name, _ in reader.wait(1)] == ["recommendation"]
    assert setup.gateway.get("/v1/stream", key=key).status_code == 400


def test_a_stream_ends_when_its_token_does(setup: Setup) -> None:
    with Reader(setup.gateway, setup.token(seconds=2)) as reader:
        wait_until(lambda: reader.ended, "the end of the token")
        assert reader.events == []


def test_a_user_has_a_bounded_number_of_streams(setup: Setup) -> None:
    readers = [Reader(setup.gateway, setup.token("many")) for _ in range(20)]
    for reader in readers:
        reader.__enter__()
    refused = setup.gateway.get("/v1/stream", key=setup.token("many"))
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
    for reader in readers:
        reader.__exit__()
    with Reader(setup.gateway, setup.token("many")):
        pass


def test_one_of_several_tenants_has_half_of_the_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_route, "MOST_STREAMS", 4)
    with run_gateway(tmp_path) as gateway, ExitStack() as streams:

        def opened(key: str, user: str) -> httpx2.Response:
            headers = {"authorization": f"Bearer {key}"}
            return streams.enter_context(gateway.client.stream("GET", f"/v1/stream?userId={user}", headers=headers))

        key = gateway.key()
        assert [opened(key, f"u{number}").status_code for number in range(3)] == [200, 200, 200], "the only tenant has all"
        other = gateway.key(tenant="acme")
        refused = opened(key, "u4")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        assert refused.read()
        assert refused.json()["code"] == "too_many_streams"
        assert opened(other, "u1").status_code == 200
        assert opened(other, "u2").status_code == 503, "all are open"


def test_a_stream_survives_the_loss_of_redis_and_goes_on(tmp_path: Path) -> None:
    with running(tmp_path) as setup:
        setup.write(publish("acme", "ana", 1, "one"))
        with Reader(setup.gateway, setup.token()) as reader:
            reader.wait(1)
            setup.valkey.kill()
            setup.valkey.start()
            setup.write(publish("acme", "ana", 2, "two"))
            assert [message for _, _, message in _summary(reader.wait(2))] == ["one", "two"]
