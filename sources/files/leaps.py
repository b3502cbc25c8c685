"""Judges a line that is far ahead of log time by the lines after it, so that one fast clock does not move time for everybody.

A line *leaps* if its time is more than ``LEAP_MS`` past log time. After a quiet night that is right; from a device with a wrong clock it is
not. The next lines tell: each person among them has one vote, with the person's latest line so far. The vote is for the leap if that line
is not more than ``LEAP_MS`` older than the one that leaps. The count ends when one side leads by ``LEAD``, after ``LINES`` lines, or at the
end of the input. The person who leapt votes only if nobody else is there. Without any vote, time follows a leap of up to ``ALONE_MS``.

The latest line counts because a file may be sorted by person: there each person begins at an early time, and then catches up.

The verdict depends on these lines alone. So it is the same for every division into batches and wherever the job resumes in the file. Only a
file that is cut right after a leap and continued later may be judged with fewer votes.
"""

from __future__ import annotations

from collections.abc import Iterable

from state.duration import DAY, HOUR

LEAP_MS = HOUR
"""Networks disorder events by up to an hour, so less than that is no leap."""
LINES = 256
LEAD = 3
ALONE_MS = 7 * DAY


def judge(own: int, person: object, log_time: int, following: Iterable[tuple[int, object]], *, unknown: int) -> int:
    """Return the log time of a line of ``person`` at ``own``: ``own`` if the leap is right. It says nothing about the event itself.

    ``following``: time and person of the lines after it; None is somebody unknown, and each such line has a vote. ``log_time`` is
    ``unknown`` before the first line with a time. A first line that is contradicted has the earliest time of the others.
    """
    votes: dict[object, bool] = {}
    alone: list[int] = []
    earliest, lead = own, 0
    for number, (time, who) in enumerate(following):
        if who is not None and who == person:
            alone.append(time)
            continue
        agrees = time >= own - LEAP_MS
        earliest = min(earliest, time)
        voter = (number,) if who is None else who
        before = votes.get(voter)
        if before is not agrees:
            votes[voter] = agrees
            lead += (1 if agrees else -1) * (1 if before is None else 2)
        if abs(lead) >= LEAD:
            break
    given = list(votes.values()) or [time >= own - LEAP_MS for time in alone]
    if not given:
        return own if log_time == unknown or own - log_time <= ALONE_MS else log_time
    if 2 * sum(given) > len(given):
        return own
    return (earliest if votes else min(alone)) if log_time == unknown else log_time
