"""Places for model calls over all processes, on a real server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llm.semaphore import Lease, Semaphore, SemaphoreSettings
from tests.support.valkey import Valkey, run_valkey

SETTINGS = SemaphoreSettings(places=3, local_places=1, hold_seconds=5, answer_seconds=0.5, away_seconds=0.03)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with run_valkey(tmp_path_factory.mktemp("places")) as server:
        yield server


def client(valkey: Valkey) -> Redis:
    return Redis.from_url(valkey.url, retry=None, socket_timeout=1)


def later(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


def test_two_processes_share_the_places_and_a_released_one_serves_the_other(valkey: Valkey) -> None:
    async def scenario() -> None:
        async with client(valkey) as one, client(valkey) as other:
            first, second = Semaphore(one, "shared", SETTINGS), Semaphore(other, "shared", SETTINGS)
            leases = [await first.acquire(0), await second.acquire(0), await first.acquire(0)]
            assert all(leases)
            assert await second.acquire(0) is None
            assert await first.in_flight() == 3
            assert isinstance(leases[0], Lease)
            waiting = asyncio.ensure_future(second.acquire(later(5)))
            await asyncio.sleep(0.02)
            assert not waiting.done()
            await first.release(leases[0])
            await first.release(leases[0])  # twice does no harm
            assert await waiting is not None
            assert await second.acquire(0) is None

    asyncio.run(scenario())


def test_a_wait_ends_at_its_deadline(valkey: Valkey) -> None:
    async def scenario() -> None:
        async with client(valkey) as one:
            semaphore = Semaphore(one, "deadline", SETTINGS)
            for _ in range(3):
                assert await semaphore.acquire(0)
            start = later(0)
            assert await semaphore.acquire(start + 0.05) is None
            assert 0.05 <= later(0) - start < 0.5

    asyncio.run(scenario())


def test_the_place_of_a_killed_process_frees_itself(valkey: Valkey) -> None:
    async def scenario() -> None:
        async with client(valkey) as one:
            killed = Semaphore(one, "killed", SETTINGS.model_copy(update={"places": 1, "hold_seconds": 0.05}))
            assert await killed.acquire(0)
            assert await killed.acquire(0) is None
            assert await killed.acquire(later(1)) is not None
            assert 0 < await one.pttl(killed.key) <= 50

    asyncio.run(scenario())


def test_never_more_than_the_places_are_taken_whoever_hurries(valkey: Valkey) -> None:
    async def scenario() -> None:
        async with client(valkey) as one, client(valkey) as other:
            pair = [Semaphore(one, "hurry", SETTINGS), Semaphore(other, "hurry", SETTINGS)]
            at_once = most = 0

            async def call(semaphore: Semaphore) -> None:
                nonlocal at_once, most
                lease = await semaphore.acquire(later(10))
                assert lease is not None
                at_once += 1
                most = max(most, at_once)
                await asyncio.sleep(0.001)
                at_once -= 1
                await semaphore.release(lease)

            await asyncio.gather(*(call(pair[number % 2]) for number in range(24)))
            assert most == 3
            assert await pair[0].in_flight() == 0

    asyncio.run(scenario())


def test_cancelled_waits_leave_no_place_behind(valkey: Valkey) -> None:
    async def scenario() -> None:
        async with client(valkey) as one:
            semaphore = Semaphore(one, "cancelled", SETTINGS)
            left = 0
            for yields in range(40):  # cancelled at every point of the conversation with the server
                task = asyncio.ensure_future(semaphore.acquire(later(5)))
                for _ in range(yields):
                    await asyncio.sleep(0)
                if task.done():
                    left = 1
                    break
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert await semaphore.in_flight() == left
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())


def test_without_redis_each_process_keeps_to_its_own_limit_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Valkey) -> None:
        async with client(server) as one:
            semaphore = Semaphore(one, "away", SETTINGS)
            before = await semaphore.acquire(0)
            assert before == Lease(before.token if before else "")
            server.kill()
            lease = await semaphore.acquire(0)
            assert lease is not None
            assert lease.local
            assert await semaphore.acquire(later(0.05)) is None
            assert await semaphore.in_flight() is None
            await semaphore.release(before)  # no error: it frees itself
            await semaphore.release(lease)
            again = await semaphore.acquire(0)
            assert again is not None
            assert again.local
            server.start()  # with its data, without its scripts
            await asyncio.sleep(SETTINGS.away_seconds)
            back = await semaphore.acquire(0)
            assert back is not None
            assert not back.local

    with caplog.at_level(logging.INFO, "llm.semaphore"), run_valkey(tmp_path) as server:
        asyncio.run(scenario(server))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "correct-horse" not in caplog.text


def test_a_server_that_hangs_costs_one_answer_time_and_not_one_for_each_call() -> None:
    async def scenario() -> None:
        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.transport.abort()

        silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        settings = SETTINGS.model_copy(update={"answer_seconds": 0.05, "away_seconds": 5, "local_places": 10})
        async with Redis.from_url(f"redis://127.0.0.1:{port}/0", retry=None) as one:
            semaphore = Semaphore(one, "hangs", settings)
            start = later(0)
            for _ in range(10):
                assert await semaphore.acquire(0)
            assert later(0) - start < 0.3
        silent.close()
        await asyncio.sleep(0.02)  # the other end sees the connection close

    asyncio.run(scenario())
