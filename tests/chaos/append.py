"""Appends the lines of a file to an event log, in order, each group with the time of its last event, and goes on where it was killed.

``python -m tests.chaos.append LOG LINES CLOCK PACE``. CLOCK is the file of the clock of ``tests.chaos.bend``: the time of the group that
comes next. PACE is lines a second. Each line of its output is how many lines were acknowledged.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from sources.local_log.log import EventLog, Record
from tests.chaos.bend import read_clock
from tests.support.waiting import pause

GROUP = 10


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


def set_clock(file: Path, now: int, back: int) -> None:
    """Let the clock say ``now`` (ms), after a jump back by ``back`` (s)."""
    new = file.with_suffix(".new")
    new.write_text(f"{now} {back}")
    new.rename(file)


def main(directory: Path, source: Path, clock: Path, pace: float) -> None:
    """Append what is not in the log yet."""
    lines = source.read_bytes().splitlines()
    times = stamps(lines)
    with EventLog(directory, partitions=1, retention=None, now=lambda: stamp) as log:
        done = log._store.bounds(0).end
        began, first = time.monotonic(), done
        while done < len(lines):
            group = lines[done : done + GROUP]
            stamp = times[done + len(group) - 1]
            set_clock(clock, stamp, read_clock(clock)[1])
            log.append([Record(key_of(line), line) for line in group])
            done += len(group)
            sys.stdout.write(f"{done}\n")
            sys.stdout.flush()
            pause(max(0.0, began + (done - first) / pace - time.monotonic()), "the pace of the writer")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
