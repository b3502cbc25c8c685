"""Runs a module as a program whose clock, and moment of death, a test controls.

``python -m tests.chaos.controlled_process PLAN MODULE ARGUMENTS…``, where PLAN is the JSON of a ``Control``.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

import flows.forget
import flows.inputs
import flows.replay
import flows.replay_letters
import system.wall_clock
from flows.places.clickhouse import Tables
from flows.places.redis import UserRecords
from local.audit_log import AuditLog
from sinks.clickhouse.inserter import ClickHouseInserter
from sinks.clickhouse.segment import SegmentWriter
from sinks.clickhouse.sink import FactPartition
from sinks.redis.sink import RecommendationPartition
from sinks.redis.writer import RecommendationWriter
from sources.local_log import source as local_log
from sources.local_log.log import EventLog
from state.duration import SECOND


class Moment(msgspec.Struct, frozen=True):
    """A call in which a process dies: before it does anything, or after all of it."""

    owner: Any
    method: str
    after: bool


MOMENTS: Final[dict[str, Moment]] = {
    "epoch: the records are in Redis, the epoch is not durable": Moment(RecommendationPartition, "write_batch", after=True),
    "snapshot: the segment is pending, the engine has no position": Moment(FactPartition, "snapshot", after=True),
    "flush: the segment is half written": Moment(SegmentWriter, "finish", after=False),
    "flush: some records of the epoch are not in Redis": Moment(RecommendationWriter, "write", after=False),
    "drain: the rows are in, the segment is not removed": Moment(ClickHouseInserter, "insert", after=True),
    "drain: the rows of a person are half erased": Moment(ClickHouseInserter, "erase", after=False),
    "dlq replay: nothing was sent": Moment(EventLog, "append", after=False),
    "dlq replay: all was sent, nothing is recorded": Moment(EventLog, "append", after=True),
    "replay: in the middle": Moment(local_log._Partition, "_take", after=True),
    "forget: begun, not sent": Moment(flows.forget, "ask_to_forget", after=False),
    "forget: sent": Moment(flows.forget, "ask_to_forget", after=True),
    "forget: Redis is erased": Moment(UserRecords, "erase", after=True),
    "forget: the tables are erased": Moment(Tables, "erase", after=True),
    "forget: all is erased, the receipt is not recorded": Moment(flows.forget, "verify", after=True),
    "forget: before the receipt": Moment(AuditLog, "append", after=False),
}
"""What happens → where a process dies so that it is at that moment."""


class Control(msgspec.Struct):
    """``clock``: file with what the wall clock says (ms), and how far it jumped back (s). ``at``: file for the job's offset.

    ``moment`` is a key of ``MOMENTS``; the process dies in the ``call``-th of these calls.
    """

    clock: str | None = None
    at: str | None = None
    moment: str | None = None
    call: int = 1


def main(plan: Control, module: str, arguments: list[str]) -> None:
    """Take over what the plan names, and run the module."""
    if plan.clock is not None:
        _replace_clock(Path(plan.clock))
    if plan.at is not None:
        _tell_offset(Path(plan.at))
    if plan.moment is not None:
        _die_in(MOMENTS[plan.moment], plan.call)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def read_clock(file: Path) -> tuple[int, int]:
    """What the clock says (ms), and how far it jumped back (s)."""
    now, _, back = file.read_text().partition(" ")
    return int(now), int(back or 0)


def _replace_clock(file: Path) -> None:
    real = time.time_ns

    def wall_clock() -> int:
        now, back = read_clock(file)
        return now - min(back, 240) * SECOND  # further back the job rightly takes the writer's clock for wrong

    system.wall_clock.wall_clock = wall_clock  # for what is imported from here on
    flows.inputs.wall_clock = wall_clock  # type: ignore[attr-defined]
    time.time_ns = lambda: real() - read_clock(file)[1] * 1_000_000_000  # names of segments, pauses of idle partitions


def _tell_offset(file: Path) -> None:
    take: Callable[..., Any] = local_log._Partition._take
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)

    def telling(self: Any, until: int) -> Any:
        batch = take(self, until)
        os.pwrite(descriptor, b"%12d" % self._offset, 0)
        return batch

    local_log._Partition._take = telling  # type: ignore[method-assign]


def _die_in(moment: Moment, call: int) -> None:
    method: Callable[..., Any] = getattr(moment.owner, moment.method)
    calls = 0

    def deadly(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and not moment.after:
            os.kill(os.getpid(), signal.SIGKILL)
        found = method(*arguments, **named)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(moment.owner, moment.method, deadly)


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Control), sys.argv[2], sys.argv[3:])
