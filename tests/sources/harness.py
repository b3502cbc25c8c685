"""Drives a source as one Bytewax worker does, and a consumer that registers timers."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from bytewax.inputs import StatefulSourcePartition

from sources.batching import BatchPolicy
from sources.files.source import TICK_MS, JsonlSource
from state.messages import Message, Peeked, Tick
from state.timer_wheel import TimerWheel
from tests.support.waiting import pause

NOW = 1_800_000_000_000
LOOKAHEAD = 3 * TICK_MS


class _Line(msgspec.Struct, gc=False):
    t: int | None = None


_DECODER = msgspec.json.Decoder(_Line)


def peek(value: bytes) -> Peeked:
    """The tests' lines are ``{"t": ms}``."""
    try:
        return Peeked(_DECODER.decode(value).t)
    except msgspec.DecodeError:
        return Peeked(None)


def line(at: int | None, **more: object) -> bytes:
    return json.dumps({"t": at, **more}).encode()


class Consumer:
    """Registers timers on messages and on fired timers, never for earlier than the lookahead allows; logs what happens in which order."""

    def __init__(self) -> None:
        self.wheel = TimerWheel()
        self.log: list[tuple[Any, ...]] = []
        self.messages: list[Message] = []

    def take(self, items: Iterable[Message | Tick]) -> None:
        for item in items:
            if isinstance(item, Message):
                self.messages.append(item)
                self.message(item.value, item.log_time, item.offset, item.seq)
            else:
                self.fire(item.partition, item.at)

    def message(self, value: bytes, log_time: int, number: int, seq: int) -> None:
        self.log.append(("message", value, log_time, number, seq))
        self._register(str(seq), log_time)

    def fire(self, partition: int, at: int) -> None:
        for deadline, key, _ in self.wheel.pop_due_timers(partition, at):
            if not key.startswith("stale"):
                self.log.append(("timer", deadline, key))
                if len(key) < 6:
                    self._register(key + "+", deadline)

    def _register(self, key: str, now: int) -> None:
        draw = zlib.crc32(key.encode())
        if draw % 3:
            self.wheel.register(0, key, now + LOOKAHEAD + draw % (4 * LOOKAHEAD))


Part = StatefulSourcePartition[Message | Tick, Any]


def drain(part: Part, take: Callable[[list[Message | Tick]], None], batches: int | None = None, seconds: float = 20.0) -> bool:
    """Feed ``take`` until the source ends (True), ``batches`` were taken, or nothing came for a while."""
    taken, deadline = 0, time.monotonic() + seconds
    while (batches is None or taken < batches) and time.monotonic() < deadline:
        try:
            batch = list(part.next_batch())
        except StopIteration:
            return True
        if batch:
            taken += 1
            take(batch)
            deadline = time.monotonic() + seconds
        else:
            pause(0.001, "Bytewax asks again after this long")
    return False


def file_part(path: Any, snapshot: Any, consumer: Consumer, batch_size: int = 100, **more: Any) -> tuple[JsonlSource, Part]:
    policy = BatchPolicy(consumer.wheel.next_due, lambda _: LOOKAHEAD, batch_size)
    source = JsonlSource(path, peek, policy, now=more.pop("now", lambda: NOW), **more)
    return source, source.build_part("input", "input", snapshot)


def read_file(path: Any, snapshot: Any = None, **more: Any) -> tuple[list[Message], Any]:
    """All messages of a file, and the snapshot at its end."""
    consumer = Consumer()
    _, part = file_part(path, snapshot, consumer, **more)
    assert drain(part, consumer.take)
    after = part.snapshot()
    part.close()
    return consumer.messages, after
