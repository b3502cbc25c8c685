"""One call for everybody who asks the same while it runs."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import pytest

from llm.coalesce import CallEndedError, Flights


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

    asyncio.run(watched())
    assert complaints == []


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_everybody_gets_the_answer_of_one_call() -> None:
    async def test() -> None:
        flights, call = Flights[str](), Call()
        waiters = [asyncio.create_task(flights.share("k", call)) for _ in range(20)]
        await _settle()
        assert (call.begun, len(flights)) == (1, 1)
        call.end.set_result("text")
        answers = await asyncio.gather(*waiters)
        assert [text for text, _ in answers] == ["text"] * 20
        assert sum(shared for _, shared in answers) == 19
        assert (flights.begun, flights.joined, len(flights)) == (1, 19, 0)

    run(test())


def test_other_keys_and_later_calls_are_calls_of_their_own() -> None:
    async def test() -> None:
        flights, call = Flights[str](), Call()
        call.end.set_result("text")
        await asyncio.gather(flights.share("a", call), flights.share("b", call))
        assert await flights.share("a", call) == ("text", False)
        assert (call.begun, flights.joined) == (3, 0)

    run(test())


def test_what_a_call_raises_reaches_every_waiter_and_is_not_kept() -> None:
    async def test() -> None:
        flights, call = Flights[str](), Call()
        waiters = [asyncio.create_task(flights.share("k", call)) for _ in range(3)]
        await _settle()
        call.end.set_exception(ValueError("no"))
        ends = await asyncio.gather(*waiters, return_exceptions=True)
        assert [type(end) for end in ends] == [ValueError] * 3
        again = Call()
        again.end.set_result("well")
        assert await flights.share("k", again) == ("well", False)

    run(test())


@pytest.mark.parametrize("leaving", [0, 1])
def test_the_call_goes_on_when_one_of_several_leaves(leaving: int) -> None:
    """Also when it is the one who began it."""

    async def test() -> None:
        flights, call = Flights[str](), Call()
        waiters = [asyncio.create_task(flights.share("k", call)) for _ in range(2)]
        await _settle()
        waiters[leaving].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiters[leaving]
        assert call.cancelled == 0
        call.end.set_result("text")
        assert (await waiters[1 - leaving])[0] == "text"
        assert (call.begun, call.cancelled) == (1, 0)

    run(test())


def test_the_call_ends_when_all_have_left_and_a_newcomer_begins_afresh() -> None:
    async def test() -> None:
        flights, call = Flights[str](), Call()
        waiters = [asyncio.create_task(flights.share("k", call)) for _ in range(3)]
        await _settle()
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
        fresh = Call()
        fresh.end.set_result("fresh")
        assert await flights.share("k", fresh) == ("fresh", False)
        await _settle()
        assert (call.cancelled, fresh.cancelled, len(flights)) == (1, 0, 0)

    run(test())


def test_a_call_that_fails_while_it_is_being_cancelled_leaves_no_complaint() -> None:
    async def test() -> None:
        flights = Flights[str]()

        async def stubborn() -> str:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ValueError("broke while ending") from None
            return ""

        waiter = asyncio.create_task(flights.share("k", stubborn))
        await _settle()
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        await _settle()
        assert len(flights) == 0

    run(test())


def test_a_call_cancelled_from_within_is_an_error_not_a_cancellation_of_its_waiters() -> None:
    async def test() -> None:
        flights = Flights[str]()

        async def gives_up() -> str:
            raise asyncio.CancelledError

        with pytest.raises(CallEndedError):
            await flights.share("k", gives_up)
        assert len(flights) == 0

    run(test())


def test_make_that_raises_at_once_is_an_error_of_the_call() -> None:
    async def test() -> None:
        flights = Flights[str]()

        def broken() -> Any:
            raise ValueError("not even begun")

        with pytest.raises(ValueError, match="not even begun"):
            await flights.share("k", broken)
        assert len(flights) == 0

    run(test())


def test_close_ends_every_call() -> None:
    async def test() -> None:
        flights, call = Flights[str](), Call()
        waiters = [asyncio.create_task(flights.share(key, call)) for key in ("a", "b")]
        await _settle()
        await flights.close()
        ends = await asyncio.gather(*waiters, return_exceptions=True)
        assert [type(end) for end in ends] == [CallEndedError] * 2
        assert (call.cancelled, len(flights)) == (2, 0)

    run(test())
