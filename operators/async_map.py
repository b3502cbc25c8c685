"""async_map: runs calls that take seconds, without delaying the dataflow. Generic; ``enrich`` uses it.

Items are spread over lanes, which are keys of a ``stateful_batch``. ``PendingCalls`` is what a lane keeps. It starts each item on one
asyncio loop, which has its own thread, and polls for results every few dozen milliseconds while any call runs. The running items are its
snapshot: a crash loses none, and they start again after it, so calls must be idempotent. A call never raises in the dataflow: its error
becomes a reason.

Bounds: ``in_flight`` calls at a time for the process, the one limit on concurrent calls; ``most_pending`` items that wait or run, above
which items fail at once (``shed``); a deadline for each call, with the wait for its turn; and one deadline for all of them at the end of
the input. Only that last wait blocks a worker.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from bytewax.operators import StatefulBatchLogic
from typing_extensions import override

from state.never import never

T = TypeVar("T")
R = TypeVar("R")

SHED: Final = "shed"
TIMEOUT: Final = "timeout"
DRAINED: Final = "drained"

_CANCELS_KEPT: Final = 10_000
"""Keys of a lane whose lasting cancels are remembered: the items that they overtook arrive within the same epoch."""

_CANCELS_OF_A_KEY: Final = 4


def nothing(_: Any) -> None:
    """The default of ``AsyncCalls.on_cancel``."""


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
class Cancel:
    """Cancels the pending items of ``key`` for which ``concerns`` is true. ``reason`` goes into their rows.

    ``lasting``: also cancels such items that arrive later, because the cancel may have overtaken them.
    """

    key: str
    reason: str
    concerns: Callable[[Any], bool] = lambda _: True
    lasting: bool = False


@dataclass(frozen=True)
class CallEnded(Generic[T, R]):
    """A call ended with ``result``; or early, for ``reason``, with the partial result that ``on_cancel`` gave, if any."""

    item: T
    result: R | None
    reason: str = ""


class DeadlineError(TimeoutError):
    """A call took too long. ``so_far`` is its partial result."""

    def __init__(self, so_far: Any) -> None:
        super().__init__()
        self.so_far = so_far


class Gate:
    """Counts the pending items of the process. A source that replays faster than real time asks it whether to pause."""

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
        """Whether the source may read on: not from ``in_flight`` pending items on, until they have fallen to the low-water mark."""
        self._shut = self.pending > self._low if self._shut else self.pending >= self._high
        return not self._shut


@dataclass
class AsyncCalls(Generic[T, R]):
    """What all lanes of a process share.

    ``call`` runs on the loop. ``name`` returns an item's key (only the newest item of a key runs) and its id. ``encode`` and ``decode`` are
    for the snapshot. ``stopping``: the job was asked to stop; pending items then stay in the snapshot for the next run. ``on_cancel`` is
    called right before an item's call is cancelled, or after its deadline has cancelled it. It is called from any thread, must return at
    once, and returns a partial result or None.
    """

    call: Callable[[T], Awaitable[R]]
    name: Callable[[T], tuple[str, str]]
    encode: Callable[[list[T]], bytes]
    decode: Callable[[bytes], list[T]]
    policy: AsyncPolicy = field(default_factory=AsyncPolicy)
    stopping: Callable[[], bool] = never
    on_cancel: Callable[[T], R | None] = nothing

    def __post_init__(self) -> None:
        self.gate = Gate(self.policy)
        self._in_flight: asyncio.Semaphore | None = None
        self._drain_until = 0.0

    async def run(self, item: T) -> R:
        """Run one call when its turn comes. On the loop."""
        if self._in_flight is None:
            self._in_flight = asyncio.Semaphore(self.policy.in_flight)
        try:
            async with asyncio.timeout(self.policy.deadline_seconds), self._in_flight:
                return await self.call(item)
        except TimeoutError as error:
            raise DeadlineError(self.on_cancel(item)) from error

    def drain_until(self) -> float:
        """The monotonic time at which the wait at the end of the input ends: one for all lanes, set by the first call."""
        self._drain_until = self._drain_until or time.monotonic() + self.policy.drain_seconds
        return self._drain_until


class PendingCalls(StatefulBatchLogic[T | Cancel, CallEnded[T, R], bytes]):
    """The calls of one lane."""

    def __init__(self, calls: AsyncCalls[T, R], resume_state: bytes | None) -> None:
        """Called for the first item of a lane, and after a restart for every lane in the snapshot: its calls start again."""
        self._calls = calls
        self._pending: dict[tuple[str, str], tuple[T, Future[R]]] = {}
        self._ended: deque[tuple[tuple[str, str], Future[R]]] = deque()
        self._cancels: OrderedDict[str, deque[Cancel]] = OrderedDict()
        self._result_ready = threading.Event()
        for item in calls.decode(resume_state) if resume_state is not None else []:
            self._start(item)

    @override
    def on_batch(self, values: list[T | Cancel]) -> tuple[list[CallEnded[T, R]], bool]:
        returned: list[CallEnded[T, R]] = []
        for value in values:
            if isinstance(value, Cancel):
                returned += self._cancel(value)
                self._remember(value)
                continue
            key, name = self._calls.name(value)
            if (key, name) in self._pending:
                continue  # a replay repeats a running item
            if overtaken := next((cancel for cancel in self._cancels.get(key, ()) if cancel.concerns(value)), None):
                returned.append(CallEnded(value, None, overtaken.reason))
                continue
            returned += self._cancel(Cancel(key, "superseded"))
            if self._calls.gate.pending >= self._calls.policy.most_pending:
                returned.append(CallEnded(value, None, SHED))
            else:
                self._start(value)
        return returned + self._collect(), False

    @override
    def on_notify(self) -> tuple[list[CallEnded[T, R]], bool]:
        return self._collect(), False

    @override
    def on_eof(self) -> tuple[list[CallEnded[T, R]], bool]:
        returned = self._collect()
        until = self._calls.drain_until()
        while self._pending and not self._calls.stopping():
            left = until - time.monotonic()
            if left <= 0:
                for key, _ in list(self._pending):
                    returned += self._cancel(Cancel(key, DRAINED))
                break
            self._result_ready.wait(min(left, 0.05))
            self._result_ready.clear()
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
        """Called on the loop's thread."""
        self._ended.append((name, done))
        self._result_ready.set()

    def _collect(self) -> list[CallEnded[T, R]]:
        returned: list[CallEnded[T, R]] = []
        while self._ended:
            name, done = self._ended.popleft()
            entry = self._pending.get(name)
            if entry is None or entry[1] is not done:
                continue  # it was cancelled, and returned, before
            del self._pending[name]
            self._calls.gate.add(-1)
            returned.append(_call_ended(entry[0], done))
        return returned

    def _remember(self, cancel: Cancel) -> None:
        if cancel.lasting:
            self._cancels.setdefault(cancel.key, deque(maxlen=_CANCELS_OF_A_KEY)).append(cancel)
            self._cancels.move_to_end(cancel.key)
            if len(self._cancels) > _CANCELS_KEPT:
                self._cancels.popitem(last=False)

    def _cancel(self, cancel: Cancel) -> list[CallEnded[T, R]]:
        returned: list[CallEnded[T, R]] = []
        for name in [name for name, (item, _) in self._pending.items() if name[0] == cancel.key and cancel.concerns(item)]:
            item, future = self._pending.pop(name)
            partial = self._calls.on_cancel(item)
            if not future.cancel():  # the call ended before
                partial = _call_ended(item, future).result
            self._calls.gate.add(-1)
            returned.append(CallEnded(item, partial, cancel.reason))
        return returned


def _call_ended(item: T, done: Future[R]) -> CallEnded[T, R]:
    if done.cancelled():
        return CallEnded(item, None, "cancelled")
    error = done.exception()
    if error is None:
        return CallEnded(item, done.result())
    if isinstance(error, DeadlineError):
        return CallEnded(item, error.so_far, TIMEOUT)
    return CallEnded(item, None, TIMEOUT if isinstance(error, TimeoutError) else f"error:{type(error).__name__}")


_loop: asyncio.AbstractEventLoop | None = None
_loop_lock = threading.Lock()


def background_loop() -> asyncio.AbstractEventLoop:
    """The one loop of the process for calls, in a daemon thread that the first call starts. From any thread."""
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
