"""Judges a line that is far ahead of log time by the lines after it, so that one fast clock does not move time for everybody.

A line *leaps* if its time is more than ``LEAP_MS`` past log time. After a quiet night that is right; from a device with a wrong clock it is
not. The next lines tell: each person among them has one vote, with the person's first line. The vote is for the leap if that line is not
more than ``LEAP_MS`` older than the one that leaps. The count ends when one side leads by ``LEAD``, after ``LINES`` lines, or at the end of
the input. The person who leapt votes only if nobody else is there. Without any vote, time follows a leap of up to ``ALONE_MS``.

The verdict depends on these lines alone. So it is the same for every division into batches and wherever the job resumes in the file. Only a
file that is cut right after a leap and continued later may be judged with fewer votes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

LEAP_MS = 3_600_000
"""Networks disorder events by up to an hour, so less than that is no leap."""
LINES = 256
LEAD = 3
ALONE_MS = 7 * 86_400_000


class Verdict(NamedTuple):
    """What a line that leaps does to log time."""

    log_time: int
    """The log time of the line."""
    neighbours: int | None
    """The time of the lines around, if enough people contradict the leap; the line's own time is then checked against this one."""


def judge(own: int, person: object, log_time: int, following: Iterable[tuple[int, object]], *, unknown: int) -> Verdict:
    """Judge a line of ``person`` at ``own``. ``following``: time and person of the lines after it; None is somebody unknown.

    ``log_time`` is ``unknown`` before the first line with a time. A first line that is contradicted has the earliest time of the voters.
    """
    voters: set[object] = set()
    votes: list[int] = []
    alone: list[int] = []
    lead = 0
    for time, who in following:
        if who is not None:
            if who == person:
                alone.append(time)
                continue
            if who in voters:
                continue
            voters.add(who)
        votes.append(time)
        lead += 1 if time >= own - LEAP_MS else -1
        if abs(lead) == LEAD:
            break
    votes = votes or alone
    if not votes:
        return Verdict(own if log_time == unknown or own - log_time <= ALONE_MS else log_time, None)
    if 2 * sum(time >= own - LEAP_MS for time in votes) > len(votes):
        return Verdict(own, None)
    kept = min(own, *votes) if log_time == unknown else log_time
    return Verdict(kept, sorted(votes)[len(votes) // 2] if lead == -LEAD else None)
