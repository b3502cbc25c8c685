"""Readiness checks are cheap, however many come."""

from __future__ import annotations

import asyncio

from gateway.recent_answer import KEPT_SECONDS, RecentAnswer
from tests.support.waiting import run_async


def test_who_asks_at_once_or_soon_after_gets_the_same_answer() -> None:
    now = [0.0]
    asked: list[float] = []

    async def ask() -> int:
        asked.append(now[0])
        await asyncio.sleep(0)
        return len(asked)

    async def look() -> None:
        recent = RecentAnswer(ask, clock=lambda: now[0])
        assert await asyncio.gather(*(recent.answer() for _ in range(10))) == [1] * 10
        now[0] = KEPT_SECONDS - 0.01
        assert await recent.answer() == 1
        now[0] = KEPT_SECONDS
        assert await asyncio.gather(*(recent.answer() for _ in range(2))) == [2, 2]

    run_async(look())


def test_one_who_goes_away_takes_the_answer_from_nobody() -> None:
    async def look() -> None:
        going_on = asyncio.get_running_loop().create_future()

        async def ask() -> str:
            return str(await going_on)

        recent = RecentAnswer(ask)
        first, second = asyncio.create_task(recent.answer()), asyncio.create_task(recent.answer())
        await asyncio.sleep(0)
        first.cancel()
        going_on.set_result("ok")
        assert await second == "ok"

    run_async(look())
