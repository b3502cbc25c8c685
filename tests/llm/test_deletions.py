"""What was written for a deleted person alone goes, also where Redis is away when they are deleted, and by itself where all else fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from llm.deletions import Deletions
from llm.service import WordingService
from tests.llm.wording_service import a_request, model, run, service
from tests.support import model_server as scripts
from tests.support.model_server import ModelServer
from tests.support.valkey import run_valkey
from tests.support.waiting import run_async, until

__all__ = ["model"]  # fixtures

NOTE = "E42 the warehouse said no"


async def written_for_ann(made: WordingService, model: ModelServer) -> None:
    """One text of hers is cached, another one waits for a review."""
    model.script = scripts.good()
    assert (await made.answer(a_request("t", "ann", NOTE))).source == "call"
    model.script = scripts.changed(confidence=0.2)
    assert (await made.answer(a_request("t", "ann", "E43 again"))).reason == "low_confidence"
    assert await held(made) == 2


async def held(made: WordingService) -> int:
    """How many texts Redis has in all."""
    client = made.cache._client
    assert client is not None
    cached = [key async for key in client.scan_iter(match="onramp:llm:{t}:*") if await client.type(key) == b"string"]
    return len(cached) + (await made.review_queue.waiting("t")).total


def test_a_removal_that_fails_is_repeated_until_redis_answers(tmp_path: Path, model: ModelServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llm.deletions")
    with run_valkey(tmp_path) as server:

        async def test() -> None:
            async with service(server.url, model) as made:
                await written_for_ann(made, model)
                server.kill()
                await made.forget("t", "ann")
                await made.forget("t", "ben")
                server.start()
                await until(lambda: "removed from Redis now" in caplog.text, "the repetition")
                assert await held(made) == 0

        run(test)
    assert [record.levelname for record in caplog.records if record.name == "llm.deletions"] == ["WARNING", "INFO"], "said once"
    assert "ann" not in caplog.text


def test_a_removal_that_failed_is_tried_once_more_at_the_end(tmp_path: Path, model: ModelServer, caplog: pytest.LogCaptureFixture) -> None:
    with run_valkey(tmp_path) as server:

        async def test() -> None:
            async with service(server.url, model) as made:
                await written_for_ann(made, model)
                server.kill()
                await made.forget("t", "ann")
                server.start()
            async with service(server.url, model) as another:
                assert await held(another) == 0

        run(test)
    assert "within a day" not in caplog.text


def test_the_end_of_the_run_says_what_is_left(tmp_path: Path, model: ModelServer, caplog: pytest.LogCaptureFixture) -> None:
    with run_valkey(tmp_path) as server:

        async def test() -> None:
            async with service(server.url, model) as made:
                server.kill()
                await made.forget("t", "ann")

        run(test)
    assert "the texts of 1 deleted user could not be removed from Redis; they expire within a day" in caplog.text


def test_a_call_that_runs_on_for_a_deleted_person_leaves_nothing_even_if_redis_is_away(tmp_path: Path, model: ModelServer) -> None:
    with run_valkey(tmp_path) as server:

        async def test() -> None:
            async with service(server.url, model) as made:
                await written_for_ann(made, model)
                await made.forget("t", "ann")
                gone = made.review_queue.forget

                async def fails_once(tenant: str, user: str) -> bool:
                    made.review_queue.forget = gone  # type: ignore[method-assign]
                    return False

                made.review_queue.forget = fails_once  # type: ignore[method-assign]
                assert (await made.answer(a_request("t", "ann", "E44 low"))).reason == "low_confidence"
                await until(lambda: held_none(made), "the repetition")

        async def held_none(made: WordingService) -> bool:
            return await held(made) == 0

        run(test)


def test_no_text_for_one_person_stays_in_redis_for_longer_than_a_day(tmp_path: Path, model: ModelServer) -> None:
    with run_valkey(tmp_path) as server:

        async def test() -> None:
            async with service(server.url, model) as made:
                await written_for_ann(made, model)
                client = made.cache._client
                assert client is not None
                lives = {key.decode(): await client.pttl(key) async for key in client.scan_iter(match="onramp:llm:{t}:*")}
                assert {key for key, life in lives.items() if not 0 < life <= 86_400_000} == set()
                assert len(lives) == 4, "the text, its index, the queue and its order"

        run(test)


class Away:
    """A store that can be away."""

    def __init__(self) -> None:
        self.away = True
        self.tried: list[str] = []
        self.gone: list[str] = []

    async def remove(self, tenant: str, user: str) -> bool:
        self.tried.append(user)
        if not self.away:
            self.gone.append(user)
        return not self.away


def deletions(test: Callable[[Deletions, Away], Awaitable[None]], most: int = 10) -> None:
    async def main() -> None:
        store = Away()
        await test(Deletions(store.remove, most=most, first_pause=0.01), store)

    run_async(main())


def test_of_too_many_failures_the_oldest_is_given_up_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def test(people: Deletions, store: Away) -> None:
        for number in range(5):
            await people.forget("t", f"u{number}")
        store.away = False
        await until(lambda: len(store.gone) == 3, "the repetition")
        await people.close()
        assert store.gone == ["u2", "u3", "u4"]

    deletions(test, most=3)
    assert caplog.text.count("the oldest are not tried again") == 1


def test_while_redis_is_away_only_one_removal_is_tried_at_a_time() -> None:
    async def test(people: Deletions, store: Away) -> None:
        for number in range(4):
            await people.forget("t", f"u{number}")
        del store.tried[:]
        await until(lambda: len(store.tried) >= 2, "two repetitions")
        assert set(store.tried) == {"u0"}
        await people.close()

    deletions(test)


def test_who_was_deleted_is_known_until_too_many_others_were() -> None:
    async def test(people: Deletions, store: Away) -> None:
        store.away = False
        for number in range(4):
            await people.forget("t", f"u{number}")
        assert [people.include("t", f"u{number}") for number in range(4)] == [False, True, True, True]
        assert not people.include("elsewhere", "u3")
        await people.close()

    deletions(test, most=3)


def test_nothing_is_tried_after_the_end() -> None:
    async def test(people: Deletions, store: Away) -> None:
        await people.forget("t", "ann")
        await people.close()
        tried = len(store.tried)
        await people.forget("t", "ben")
        assert len(asyncio.all_tasks()) == 1
        assert len(store.tried) == tried + 1

    deletions(test)
