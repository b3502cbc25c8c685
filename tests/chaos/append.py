"""Appends the lines of a file to an event log, in order, each group with the time of its last event, and goes on where it was killed.

``python -m tests.chaos.append LOG LINES CLOCK AT AHEAD``. CLOCK is the file of the clock of ``tests.chaos.controlled_process``: the time of
the group that comes next. The writer stays at most AHEAD lines ahead of the job, whose offset is in the file AT, so that a fault of either
hits it at work. Each line of its output is how many lines were acknowledged.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from sources.local_log.log import EventLog, Record
from tests.chaos.controlled_process import read_clock
from tests.support.waiting import wait_until

GROUP = 10
_LONG = 3600.0


class _Sent(msgspec.Struct):
    timestamp: str = ""
    userId: str = ""  # noqa: N815 - the wire's name
    anonymousId: str = ""  # noqa: N815 - the wire's name


def stamps(lines: Sequence[bytes]) -> list[int]:
    """The append time of each line (ms): of the newest event up to it."""
    found, newest = list[int](), 0
    for line in lines:
        with contextlib.suppress(ValueError):
            newest = max(newest, round(datetime.fromisoformat(_sent(line).timestamp).timestamp() * 1000))
        found.append(newest)
    return found


def key_of(line: bytes) -> bytes:
    """The key of a line: who sent it."""
    sent = _sent(line)
    return (sent.userId or sent.anonymousId).encode()


def _sent(line: bytes) -> _Sent:
    try:
        return msgspec.json.decode(line, type=_Sent)
    except (msgspec.MsgspecError, ValueError):
        return _Sent()


def read_offset(at: Path) -> int:
    """How many messages the job has read, by what it says in the file ``at``."""
    return int(at.read_text() or 0) if at.exists() else 0


def set_clock(file: Path, now: int, back: int) -> None:
    """Let the clock say ``now`` (ms), after a jump back by ``back`` (s)."""
    new = file.with_suffix(".new")
    new.write_text(f"{now} {back}")
    new.rename(file)


def main(directory: Path, source: Path, clock: Path, at: Path, ahead: int) -> None:
    """Append what is not in the log yet."""
    lines = source.read_bytes().splitlines()
    times = stamps(lines)
    with EventLog(directory, partitions=1, retention=None, now=lambda: stamp) as log:
        done = log._store.bounds(0).end
        while done < len(lines):
            group = lines[done : done + GROUP]
            stamp = times[done + len(group) - 1]
            set_clock(clock, stamp, read_clock(clock)[1])
            log.append([Record(key_of(line), line) for line in group])
            done += len(group)
            sys.stdout.write(f"{done}\n")
            sys.stdout.flush()
            wait_until(lambda: done <= read_offset(at) + ahead, "the job to follow", within=_LONG)  # noqa: B023 - called before the next turn


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5]))
