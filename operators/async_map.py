"""async_map: calls that take seconds, beside a flow that must not feel them. Generic; ``enrich`` is what it is used for.

Items are spread over lanes, keys of a ``stateful_batch``. A lane hands each item to one asyncio loop, in a thread of its own, and goes on;
it looks for results every few dozen milliseconds, as long as it waits for any. What it waits for is its snapshot: a crash loses no call,
and calls are made again after it, so they must be idempotent. Results are values: nothing that a call does can raise in the flow.

Bounds: ``in_flight`` calls at a time for the process, by a semaphore on the loop; ``most_pending`` items waiting or in flight, above which
items fail at once (``shed``); a deadline for each call, the wait for its turn included; and at the end of the input one deadline for all of
them. Nothing here ever blocks a worker but that last wait.
"""

from __future__ import annotations

import asyncio
import threading
import time
import zlib
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from bytewax.operators import StatefulBatchLogic
from typing_extensions import override

T = TypeVar("T")
R = TypeVar("R")

SHED: Final = "shed"
TIMEOUT: Final = "timeout"
DRAINED: Final = "drained"

_HALTS_KEPT: Final = 10_000
"""Keys of a lane whose lasting halts are remembered: what they overtook comes within the same epoch."""

_HALTS_OF_A_KEY: Final = 4


def nothing(_: Any) -> None:
    """The default of ``AsyncCalls.give_up``."""


def never() -> bool:
    """The default of ``AsyncCalls.stopping``."""
    return False


@dataclass(frozen=True)
class AsyncPolicy:
    """Bounds. ``low_water`` is the share of ``in_flight`` below which a shut gate opens again."""

    in_flight: int = 128
    most_pending: int = 1_000
    deadline_seconds: float = 20.0
    drain_seconds: float = 30.0
    poll_seconds: float = 0.03
    low_water: float = 0.5


@dataclass(frozen=True)
class Halt:
    """Nobody waits any more for what is pending under ``key`` and ``concerns`` (an item) is true of, for ``reason``.

    ``lasting``: nor for such items that come later, where the halt may have overtaken them on its way here.
    """

    key: str
    reason: str
    concerns: Callable[[Any], bool] = lambda _: True
    lasting: bool = False


@dataclass(frozen=True)
class Returned(Generic[T, R]):
    """A call ended with ``result``; or for ``reason``, with what it had come to until then, where it had come to anything."""

    item: T
    result: R | None
    reason: str = ""


class DeadlineError(TimeoutError):
    """A call took too long. ``so_far`` is what it had come to."""

    def __init__(self, so_far: Any) -> None:
        super().__init__()
        self.so_far = so_far


class Gate:
    """How many items are pending in the process. A source that is read faster than life may ask it whether to hold back."""

    def __init__(self, policy: AsyncPolicy) -> None:
        self._high, self._low = policy.in_flight, int(policy.in_flight * policy.low_water)
        self._lock = threading.Lock()
        self._shut = False
        self.pending = 0

    def add(self, count: int) -> None:
        """Count items in, or out with a negative number. From any thread."""
        with self._lock:
            self.pending += count

    def open(self) -> bool:
        """Whether there is room: shut from ``in_flight`` on, until it has gone down to the low-water mark."""
        self._shut = self.pending > self._low if self._shut else self.pending >= self._high
        return not self._shut


@dataclass
class AsyncCalls(Generic[T, R]):
    """What a process's lanes share: the call, how to name and write down an item, the bounds, the gate.

    ``call`` runs on the loop; ``give_up`` tells, from any thread and at once, what an item has come to whose call is about to be cancelled,
    or nothing. ``name`` gives an item's key (of which only the newest item counts) and its id. ``encode`` and ``decode``
    write pending items down. ``stopping``: the job was asked to stop; what is pending then stays in the snapshot, for the next run.
    """

    call: Callable[[T], Awaitable[R]]
    name: Callable[[T], tuple[str, str]]
    encode: Callable[[list[T]], bytes]
    decode: Callable[[bytes], list[T]]
    policy: AsyncPolicy = field(default_factory=AsyncPolicy)
    stopping: Callable[[], bool] = never
    give_up: Callable[[T], R | None] = nothing

    def __post_init__(self) -> None:
        self.gate = Gate(self.policy)
        self._places: asyncio.Semaphore | None = None
        self._drain_until = 0.0

    async def run(self, item: T) -> R:
        """One call, in its turn. On the loop."""
        if self._places is None:
            self._places = asyncio.Semaphore(self.policy.in_flight)
        try:
            async with asyncio.timeout(self.policy.deadline_seconds), self._places:
                return await self.call(item)
        except TimeoutError as error:
            raise DeadlineError(self.give_up(item)) from error

    def drain_until(self) -> float:
        """The monotonic time at which waiting at the end of the input ends: one for all lanes, set by the first that asks."""
        self._drain_until = self._drain_until or time.monotonic() + self.policy.drain_seconds
        return self._drain_until


class Lane(StatefulBatchLogic[T | Halt, Returned[T, R], bytes]):
    """One lane of the dataflow."""

    def __init__(self, calls: AsyncCalls[T, R], resume_state: bytes | None) -> None:
        """Called for the first item of a lane, and after a restart for every lane that was ever written down: its calls start again."""
        self._calls = calls
        self._pending: dict[tuple[str, str], tuple[T, Future[R]]] = {}
        self._ended: deque[tuple[tuple[str, str], Future[R]]] = deque()
        self._halts: OrderedDict[str, deque[Halt]] = OrderedDict()
        self._some = threading.Event()
        for item in calls.decode(resume_state) if resume_state is not None else []:
            self._start(item)

    @override
    def on_batch(self, values: list[T | Halt]) -> tuple[list[Returned[T, R]], bool]:
        returned: list[Returned[T, R]] = []
        for value in values:
            if isinstance(value, Halt):
                returned += self._halt(value)
                self._remember(value)
                continue
            key, name = self._calls.name(value)
            if (key, name) in self._pending:
                continue  # a replay asks again for what is under way
            if overtaken := next((halt for halt in self._halts.get(key, ()) if halt.concerns(value)), None):
                returned.append(Returned(value, None, overtaken.reason))
                continue
            returned += self._halt(Halt(key, "superseded"))
            if self._calls.gate.pending >= self._calls.policy.most_pending:
                returned.append(Returned(value, None, SHED))
            else:
                self._start(value)
        return returned + self._collect(), False

    @override
    def on_notify(self) -> tuple[list[Returned[T, R]], bool]:
        return self._collect(), False

    @override
    def on_eof(self) -> tuple[list[Returned[T, R]], bool]:
        returned = self._collect()
        until = self._calls.drain_until()
        while self._pending and not self._calls.stopping():
            left = until - time.monotonic()
            if left <= 0:
                for key, _ in list(self._pending):
                    returned += self._halt(Halt(key, DRAINED))
                break
            self._some.wait(min(left, 0.05))
            self._some.clear()
            returned += self._collect()
        return returned, False

    @override
    def notify_at(self) -> datetime | None:
        return datetime.now(UTC) + timedelta(seconds=self._calls.policy.poll_seconds) if self._pending else None

    @override
    def snapshot(self) -> bytes:
        return self._calls.encode([item for item, _ in self._pending.values()])

    def _start(self, item: T) -> None:
        name = self._calls.name(item)
        self._calls.gate.add(1)
        future = asyncio.run_coroutine_threadsafe(self._calls.run(item), background_loop())
        self._pending[name] = item, future
        future.add_done_callback(lambda done: self._note(name, done))

    def _note(self, name: tuple[str, str], done: Future[R]) -> None:
        """On the loop's thread."""
        self._ended.append((name, done))
        self._some.set()

    def _collect(self) -> list[Returned[T, R]]:
        returned: list[Returned[T, R]] = []
        while self._ended:
            name, done = self._ended.popleft()
            entry = self._pending.get(name)
            if entry is None or entry[1] is not done:
                continue  # it was halted, and counted, before
            del self._pending[name]
            self._calls.gate.add(-1)
            returned.append(_what_came(entry[0], done))
        return returned

    def _remember(self, halt: Halt) -> None:
        if halt.lasting:
            self._halts.setdefault(halt.key, deque(maxlen=_HALTS_OF_A_KEY)).append(halt)
            self._halts.move_to_end(halt.key)
            if len(self._halts) > _HALTS_KEPT:
                self._halts.popitem(last=False)

    def _halt(self, halt: Halt) -> list[Returned[T, R]]:
        returned: list[Returned[T, R]] = []
        for name in [name for name, (item, _) in self._pending.items() if name[0] == halt.key and halt.concerns(item)]:
            item, future = self._pending.pop(name)
            so_far = self._calls.give_up(item)
            if not future.cancel():  # it ended before
                so_far = _what_came(item, future).result
            self._calls.gate.add(-1)
            returned.append(Returned(item, so_far, halt.reason))
        return returned


def _what_came(item: T, done: Future[R]) -> Returned[T, R]:
    if done.cancelled():
        return Returned(item, None, "cancelled")
    error = done.exception()
    if error is None:
        return Returned(item, done.result())
    if isinstance(error, DeadlineError):
        return Returned(item, error.so_far, TIMEOUT)
    return Returned(item, None, TIMEOUT if isinstance(error, TimeoutError) else f"error:{type(error).__name__}")


def lane_of(key: str, lanes: int) -> str:
    """The lane that all items of ``key`` go through, in order."""
    return str(zlib.crc32(key.encode()) % lanes)


_loop: asyncio.AbstractEventLoop | None = None
_loop_lock = threading.Lock()


def background_loop() -> asyncio.AbstractEventLoop:
    """The process's one loop for calls, in a daemon thread; started when it is first asked for. From any thread."""
    global _loop  # noqa: PLW0603 - one a process is the point
    with _loop_lock:
        if _loop is None:
            ready = threading.Event()
            made = asyncio.new_event_loop()

            def serve() -> None:
                asyncio.set_event_loop(made)
                made.call_soon(ready.set)
                made.run_forever()

            threading.Thread(target=serve, daemon=True, name="onramp-calls").start()
            ready.wait()
            _loop = made
        return _loop


def run_in_background(work: Awaitable[Any], timeout: float = 10.0) -> Any:
    """Run ``work`` on that loop and wait for it, ``timeout`` seconds at most. Not from the loop itself."""

    async def whole() -> Any:
        return await work

    return asyncio.run_coroutine_threadsafe(whole(), background_loop()).result(timeout)
