"""The clients of Redis while it changes its address or cannot be found."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from gateway import records
from gateway.errors import RefusedError
from gateway.quota import Quota
from gateway.records import Records
from gateway.updates import Updates
from tests.support.gateway import event, run_gateway
from tests.support.waiting import run_async, until


class Client:
    """Answers until it is closed, and takes its time to close."""

    def __init__(self, made: list[Client]) -> None:
        made.append(self)
        self.fails = False
        self.closed = False

    async def get(self, _key: bytes) -> None:
        await asyncio.sleep(0)
        if self.fails:
            raise OSError("the server is gone")

    async def aclose(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        self.closed = True


def test_a_change_of_address_leaves_one_client_open(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Client] = []
    urls = ["redis://one"]
    monkeypatch.setattr(records, "connect_async", lambda *_: Client(made))

    async def read() -> None:
        both: Any = Records(lambda: urls[0])
        await both.recommendation("default", "ana")
        made[0].fails = True
        with pytest.raises(RefusedError):
            await both.recommendation("default", "ana")
        urls[0] = "redis://two"
        await asyncio.gather(*(both.recommendation("default", "ana") for _ in range(5)))
        assert [client.closed for client in made] == [True, False]
        await both.close()
        assert all(client.closed for client in made)

    run_async(read())


def test_an_address_that_cannot_be_read_does_not_end_the_listener(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[None] = []

    def url_of() -> str | None:
        asked.append(None)
        if len(asked) == 1:
            raise PermissionError("address.json")
        return None

    async def listen() -> None:
        updates = Updates(url_of)
        updates.start()
        await until(lambda: len(asked) > 1, "a second look")
        await updates.stop()

    with caplog.at_level(logging.WARNING):
        run_async(listen())
    assert "address.json" in caplog.text


def test_an_address_that_cannot_be_read_is_503(caplog: pytest.LogCaptureFixture) -> None:
    def url_of() -> str | None:
        raise PermissionError("address.json")

    async def read() -> None:
        with pytest.raises(RefusedError) as caught:
            await Records(url_of).recommendation("default", "ana")
        assert caught.value.status == 503

    run_async(read())
    assert "address.json" in caplog.text


def test_a_cluster_of_which_no_node_answers_is_503_and_the_quota_goes_on_counting(tmp_path: Path) -> None:
    with run_gateway(tmp_path, redis_url=lambda: "redis+cluster://127.0.0.1:1", events_per_day=2) as gateway:
        key = gateway.key()
        for path in ("/v1/recommendations/u-17", "/v1/users/u-17/progress"):
            answer = gateway.get(path, key=key)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert gateway.get("/readyz").json() == {"status": "ok", "recommendations": "unavailable"}
        assert gateway.post("/v1/onboarding/start", {"userId": "u-17"}, key=key).status_code == 202
        assert [gateway.post("/v1/events", event(), key=key).status_code for _ in range(2)] == [202, 429]


def test_a_quota_outlives_a_cluster_that_is_away() -> None:
    async def scenario() -> None:
        away = Records(lambda: "redis+cluster://127.0.0.1:1")
        asked: list[None] = []

        async def add(key: str, by: int) -> int:
            asked.append(None)
            return await away.add(key, by, keep_seconds=60)

        quota = Quota(lambda _: 10, add, lambda: 0)
        quota.count("t", 1)
        quota.start()
        await until(lambda: len(asked) > 1, "a second try")
        await quota.stop()

    run_async(scenario())
