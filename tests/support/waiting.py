"""Waiting in tests: for a named condition, up to a deadline.

``tests/test_waiting.py`` forbids sleeping and blocking without a deadline everywhere else in the tests.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import IO, Any, AnyStr, TypeVar

T = TypeVar("T")

#: Seconds. Conditions in tests hold within milliseconds; a machine that does other work gets this much.
PATIENCE = 60.0
#: No test may claim that something takes less than this by the wall clock: a loaded machine can pause a process for seconds.
LEAST_BOUND = 5.0
_PAUSE = 0.005
_LONGEST_PAUSE = 0.2


def wait_until(
    condition: Callable[[], T],
    what: str,
    *,
    within: float = PATIENCE,
    every: float | None = None,
    process: subprocess.Popen[Any] | None = None,
) -> T:
    """Return the first true value of ``condition``, asked ``every`` so many seconds; by default after pauses that fit what it costs.

    Raises ``AssertionError`` with ``what`` and the last value after the deadline; and at once, with what ``process`` wrote, when the
    condition depends on that process and it has ended.
    """
    deadline = time.monotonic() + within
    ended = False
    asked = time.monotonic()
    while not (seen := condition()):
        if ended and process is not None:
            said = [text[-4000:] for text in process.communicate(timeout=PATIENCE) if text]
            raise AssertionError(f"the process ended with {process.returncode} before {what}; last seen: {seen!r}; it wrote: {said}")
        if time.monotonic() > deadline:
            raise AssertionError(too_late(what, within, seen))
        ended = process is not None and process.poll() is not None  # the condition may have come true meanwhile: ask once more
        time.sleep(_pause_after(asked) if every is None else every)
        asked = time.monotonic()
    return seen


def _pause_after(asked: float) -> float:
    """Twice as long as the question took, so that an expensive one leaves the processor to what it waits for."""
    return min(max(_PAUSE, 2 * (time.monotonic() - asked)), _LONGEST_PAUSE)


async def until(condition: Callable[[], Any], what: str, *, within: float = PATIENCE) -> Any:
    """``wait_until`` on an event loop; the condition may be awaitable."""
    asked = time.monotonic()
    deadline = asked + within
    while not (seen := await _value(condition())):
        if time.monotonic() > deadline:
            raise AssertionError(too_late(what, within, seen))
        await asyncio.sleep(_pause_after(asked))
        asked = time.monotonic()
    return seen


async def _value(found: Any) -> Any:
    return await found if isinstance(found, Awaitable) else found


def too_late(what: str, within: float, seen: object) -> str:
    """The message of a wait that was given up."""
    return f"waited {within:g} s for {what}; last seen: {seen!r}"


def run_async(main: Coroutine[Any, Any, T], *, within: float = 2 * PATIENCE) -> T:
    """``asyncio.run`` with a deadline for all that ``main`` awaits."""

    async def bounded() -> T:
        deadline = asyncio.timeout(within)
        try:
            async with deadline:
                return await main
        except TimeoutError as error:
            if deadline.expired():
                raise AssertionError(f"{main!r} did not end within {within:g} s") from error
            raise

    return asyncio.run(bounded())


def suspend(pid: int) -> None:
    """Stop a process with SIGSTOP. Return once all its threads stand still: until then one of them may still answer."""
    os.kill(pid, signal.SIGSTOP)
    threads = Path(f"/proc/{pid}/task")
    if threads.exists():
        wait_until(lambda: all(_state(thread) in "Tt" for thread in threads.iterdir()), f"process {pid} to stand still")


def _state(thread: Path) -> str:
    """The letter of a thread's state, as ``ps`` has it."""
    return (thread / "stat").read_text().rpartition(")")[2].split()[0]


def pause(seconds: float, because: str) -> None:
    """Let real time pass where the subject under test reads a real clock. Never a substitute for a condition."""
    assert because
    time.sleep(seconds)


async def let_pass(seconds: float, because: str) -> None:
    """``pause`` on an event loop."""
    assert because
    await asyncio.sleep(seconds)


async def never() -> None:
    """Stand in for a call without an answer: return only when cancelled."""
    await asyncio.Event().wait()


def join(thread: Thread, what: str, *, within: float = PATIENCE) -> None:
    """Wait for the end of ``thread``."""
    thread.join(within)
    assert not thread.is_alive(), too_late(what, within, thread)


def read_line(stream: IO[AnyStr] | None, what: str, *, within: float = PATIENCE) -> AnyStr:
    """Read the next line of a pipe."""
    assert stream is not None
    return _read(stream.readline, what, within)


def read_to_end(stream: IO[AnyStr] | None, what: str, *, within: float = PATIENCE) -> AnyStr:
    """Read a pipe until its last writer has closed it."""
    assert stream is not None
    return _read(stream.read, what, within)


def _read(read: Callable[[], AnyStr], what: str, within: float) -> AnyStr:
    found: list[AnyStr] = []
    reader = Thread(target=lambda: found.append(read()), daemon=True)  # a pipe's read takes no deadline
    reader.start()
    join(reader, what, within=within)
    return found[0]


@contextmanager
def running(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """A process for the block; killed at the end of it if it still runs. ``with Popen(…)`` would wait for it without a deadline."""
    try:
        yield process
    finally:
        stop(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None and not pipe.closed:
                with suppress(BrokenPipeError):  # what was written and not read
                    pipe.close()


def stop(process: subprocess.Popen[Any]) -> None:
    """Kill a process, if it still runs, and take its exit code."""
    process.kill()
    process.wait(PATIENCE)


@contextmanager
def ends_within(seconds: float, what: str) -> Iterator[None]:
    """Assert that the block takes at most ``seconds`` of wall time: for what would take far longer, or for ever, when broken."""
    assert seconds >= LEAST_BOUND, f"a loaded machine may take {LEAST_BOUND:g} s for anything"
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took <= seconds, f"{what} took {took:.1f} s, and may take {seconds:g} s"


@contextmanager
def uses_at_most(seconds: float, what: str) -> Iterator[None]:
    """Assert that the block takes at most ``seconds`` of CPU time on the reference machine, and in proportion on a slower one.

    How slow the machine is now is measured beside the block, before and after it: by a fixed piece of work.
    """
    before = _slowness()
    began = time.thread_time()
    yield
    took = time.thread_time() - began
    allowed = seconds * max(before, _slowness(), 1.0)
    assert took <= allowed, f"{what} took {took:.3f} s of CPU time, and may take {allowed:.3f} s"


#: CPU seconds of the fixed piece of work on the reference machine, an ordinary server core.
_YARDSTICK = 0.035


def _slowness() -> float:
    began = time.thread_time()
    text = "the quick brown fox jumps over the lazy dog " * 40
    for number in range(60):
        re.sub(r"(\w+) (\w+)", r"\2 \1", text)
        sum(each * number for each in range(2_000))
    return (time.thread_time() - began) / _YARDSTICK
