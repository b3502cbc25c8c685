"""One call for everybody who asks the same while it runs."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import pytest

from llm.limits.single_flight import CallEndedError, SingleFlight
from tests.support.waiting import run_async


class Call:
    """A call that ends when told to, and remembers how it went."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.begun += 1
        try:
            return await asyncio.shield(self.end)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run ``test``; anything that the loop has to complain of afterwards fails it."""
    complaints: list[Any] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await test
        gc.collect()
        await asyncio.sleep(0)

    run_async(watched())
    assert complaints == []


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_everybody_gets_the_answer_of_one_call() -> None:
    async def test() -> None:
        calls, call = SingleFlight[str](), Call()
        waiters = [asyncio.create_task(calls.share("k", call)) for _ in range(20)]
        await _settle()
        assert (call.begun, len(calls)) == (1, 1)
        call.end.set_result("text")
        answers = await asyncio.gather(*waiters)
        assert answers == ["text"] * 20
        assert (call.begun, len(calls)) == (1, 0)

    run(test())


def test_other_keys_and_later_calls_are_calls_of_their_own() -> None:
    async def test() -> None:
        calls, call = SingleFlight[str](), Call()
        call.end.set_result("text")
        await asyncio.gather(calls.share("a", call), calls.share("b", call))
        assert await calls.share("a", call) == "text"
        assert call.begun == 3

    run(test())


def test_what_a_call_raises_reaches_every_waiter_and_is_not_kept() -> None:
    async def test() -> None:
        calls, call = SingleFlight[str](), Call()
        waiters = [asyncio.create_task(calls.share("k", call)) for _ in range(3)]
        await _settle()
        call.end.set_exception(ValueError("no"))
        ends = await asyncio.gather(*waiters, return_exceptions=True)
        assert [type(end) for end in ends] == [ValueError] * 3
        again = Call()
        again.end.set_result("well")
        assert await calls.share("k", again) == "well"

    run(test())


@pytest.mark.parametrize("leaving", [0, 1])
def test_the_call_goes_on_when_one_of_several_leaves(leaving: int) -> None:
    """Also when it is the one who began it."""

    async def test() -> None:
        calls, call = SingleFlight[str](), Call()
        waiters = [asyncio.create_task(calls.share("k", call)) for _ in range(2)]
        await _settle()
        waiters[leaving].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiters[leaving]
        assert call.cancelled == 0
        call.end.set_result("text")
        assert await waiters[1 - leaving] == "text"
        assert (call.begun, call.cancelled) == (1, 0)

    run(test())


def test_the_call_ends_when_all_have_left_and_a_newcomer_begins_afresh() -> None:
    async def test() -> None:
        calls, call = SingleFlight[str](), Call()
        waiters = [asyncio.create_task(calls.share("k", call)) for _ in range(3)]
        await _settle()
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
        fresh = Call()
        fresh.end.set_result("fresh")
        assert await calls.share("k", fresh) == "fresh"
        await _settle()
        assert (call.cancelled, fresh.cancelled, len(calls)) == (1, 0, 0)

    run(test())


def test_a_call_that_fails_while_it_is_being_cancelled_leaves_no_complaint() -> None:
    async def test() -> None:
        calls = SingleFlight[str]()

        async def stubborn() -> str:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ValueError("broke while ending") from None
            return ""

        waiter = asyncio.create_task(calls.share("k", stubborn))
        await _settle()
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        await _settle()
        assert len(calls) == 0

    run(test())


def test_a_call_cancelled_from_within_is_an_error_not_a_cancellation_of_its_waiters() -> None:
    async def test() -> None:
        calls = SingleFlight[str]()

        async def gives_up() -> str:
            raise asyncio.CancelledError

        with pytest.raises(CallEndedError):
            await calls.share("k", gives_up)
        assert len(calls) == 0

    run(test())


def test_make_that_raises_at_once_is_an_error_of_the_call() -> None:
    async def test() -> None:
        calls = SingleFlight[str]()

        def broken() -> Any:
            raise ValueError("not even begun")

        with pytest.raises(ValueError, match="not even begun"):
            await calls.share("k", broken)
        assert len(calls) == 0

    run(test())


def test_close_ends_every_call() -> None:
    async def test() -> None:
        calls, call = SingleFlight[str](), Call()
        waiters = [asyncio.create_task(calls.share(key, call)) for key in ("a", "b")]
        await _settle()
        await calls.close()
        ends = await asyncio.gather(*waiters, return_exceptions=True)
        assert [type(end) for end in ends] == [CallEndedError] * 2
        assert (call.cancelled, len(calls)) == (2, 0)

    run(test())
