"""What of a log was not read yet, and for how long that is safe. Pure: times and bounds are arguments."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

Colour = Literal["green", "amber", "red"]


class Backlog(NamedTuple):
    """One partition. ``offset`` is the next one to read; None where that is not known, then all that the partition holds is unread.

    ``low`` and ``end`` are the bounds of what the log holds. ``unread_since`` is the append time (ms) of the oldest message that was not
    read, None where all were or it is not known. ``log_time`` (ms) is that of the job, None where it is not known. ``retention`` is for how
    many seconds the log keeps a message, infinite where it keeps all, None where that is not told.
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
        """Whether the position is behind the end: the log was created again, or an older copy was put back."""
        return self.offset is not None and self.offset > self.end

    def seconds(self, now: int) -> float:
        """Age of the oldest message that was not read; 0 where all were."""
        since = self.log_time if self.unread_since is None else self.unread_since  # log time is not after the next message
        return max(0.0, (now - since) / 1000) if self.messages and since is not None else 0.0

    def watermark_age(self, now: int) -> float | None:
        """How far log time is behind ``now``; None where it is not known."""
        return None if self.log_time is None else max(0.0, (now - self.log_time) / 1000)

    def time_to_loss(self, now: int) -> float | None:
        """Seconds until a message is deleted that was not read, if nothing more is read: retention minus lag. 0 once some were.

        None where the retention is not told.
        """
        if self.lost:
            return 0.0
        return None if self.retention is None else max(0.0, self.retention - self.seconds(now))


class Thresholds(NamedTuple):
    """From where on a backlog is amber or red: seconds of lag, and the share of the retention that is left (amber from twice as much)."""

    amber_seconds: float
    red_seconds: float
    red_share: float


def colour(backlog: Backlog, thresholds: Thresholds, now: int) -> Colour:
    """Green where nothing waits, or only what came within ``amber_seconds``."""
    seconds = backlog.seconds(now)
    time_left, retention = backlog.time_to_loss(now), backlog.retention
    left = 1.0 if time_left is None or retention is None or math.isinf(retention) else time_left / max(retention, 1e-9)
    if backlog.lost or backlog.beyond or seconds > thresholds.red_seconds or left < thresholds.red_share:
        return "red"
    if seconds > thresholds.amber_seconds or left < 2 * thresholds.red_share:
        return "amber"
    return "green"


def effective_retention(*, age: float, size: float | None, oldest: int | None, now: int, used: float) -> float:
    """How long a log keeps a message: ``age`` (seconds), or less where it reaches ``size`` before, at the rate at which it grew so far.

    ``used`` is its size now, ``oldest`` the append time (ms) of its oldest message. A log that is a minute old has no rate yet.
    """
    if size is None or oldest is None or used <= 0:
        return age
    span = (now - oldest) / 1000
    return age if span < 60 else min(age, size / (used / span))
