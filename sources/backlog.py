"""The unread part of a log: how much, how old, and how long until the log deletes it. Pure: times and bounds are arguments."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

Colour = Literal["green", "amber", "red"]


class Backlog(NamedTuple):
    """The backlog of one partition. ``offset`` is the next one to read; if it is None (not known), everything in the partition is unread.

    ``low`` and ``end`` are the bounds of what the log holds. ``unread_since`` is the append time (ms) of the oldest unread message,
    None if there is none or it is not known. ``log_time`` (ms) is that of the job, None if not known. ``retention`` is how many seconds the
    log keeps a message: infinite if it keeps all, None if not known.
    """

    partition: int
    offset: int | None
    low: int
    end: int
    unread_since: int | None
    log_time: int | None
    retention: float | None

    @property
    def messages(self) -> int:
        """Messages that were not read."""
        return max(0, self.end - max(self.low, self.low if self.offset is None else self.offset))

    @property
    def lost(self) -> int:
        """Messages that the log deleted before they were read."""
        return 0 if self.offset is None else max(0, self.low - self.offset)

    @property
    def beyond(self) -> bool:
        """Whether the position is after the end of the log, because it was created again or an older copy was restored."""
        return self.offset is not None and self.offset > self.end

    def seconds(self, now: int) -> float:
        """Age of the oldest unread message; 0 if there is none."""
        since = self.log_time if self.unread_since is None else self.unread_since  # log time is not after the next message
        return max(0.0, (now - since) / 1000) if self.messages and since is not None else 0.0

    def watermark_age(self, now: int) -> float | None:
        """How many seconds log time is behind ``now``; None if it is not known."""
        return None if self.log_time is None else max(0.0, (now - self.log_time) / 1000)

    def time_to_loss(self, now: int) -> float | None:
        """Seconds until an unread message is deleted, if nothing more is read: retention minus lag; 0 once one was deleted.

        None if the retention is not known.
        """
        if self.lost:
            return 0.0
        return None if self.retention is None else max(0.0, self.retention - self.seconds(now))


class Thresholds(NamedTuple):
    """When a backlog is amber or red: above these seconds of lag, or if less than ``red_share`` of the retention is left.

    Less than twice ``red_share`` is amber.
    """

    amber_seconds: float
    red_seconds: float
    red_share: float


def colour(backlog: Backlog, thresholds: Thresholds, now: int) -> Colour:
    """Judge a backlog by ``thresholds``. A backlog with lost messages, or a position after the end, is red."""
    seconds = backlog.seconds(now)
    time_left, retention = backlog.time_to_loss(now), backlog.retention
    left = 1.0 if time_left is None or retention is None or math.isinf(retention) else time_left / max(retention, 1e-9)
    if backlog.lost or backlog.beyond or seconds > thresholds.red_seconds or left < thresholds.red_share:
        return "red"
    if seconds > thresholds.amber_seconds or left < 2 * thresholds.red_share:
        return "amber"
    return "green"


def effective_retention(*, age: float, size: float | None, oldest: int | None, now: int, used: float) -> float:
    """How long a log keeps a message: ``age`` (seconds), or less if it reaches ``size`` sooner, at its rate of growth so far.

    ``used`` is its size now, ``oldest`` the append time (ms) of its oldest message. A log that is a minute old has no rate yet.
    """
    if size is None or oldest is None or used <= 0:
        return age
    span = (now - oldest) / 1000
    return age if span < 60 else min(age, size / (used / span))
