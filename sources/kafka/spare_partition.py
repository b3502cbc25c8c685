"""A partition that the topic does not have now: it waits until the topic has it, and lets time pass meanwhile."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bytewax.inputs import StatefulSourcePartition
from typing_extensions import override

from sources.errors import UnknownTopicError, UnreachableError
from sources.idle_polling import SHORTEST_MS
from sources.kafka.partition import Partition
from sources.kafka.partition_watch import PartitionWatch
from sources.kafka.snapshot import Snapshot, dump, load
from sources.log_time import LogTime
from state.messages import Message, Tick

if TYPE_CHECKING:
    from sources.kafka.source import KafkaSource

_SHORTEST = timedelta(milliseconds=SHORTEST_MS)
_ABSENT = timedelta(seconds=1)  # between two looks whether a spare partition exists by now
_OPEN_SPARE_S = 1.0  # it blocks a worker that has other partitions to read


class SparePartition(StatefulSourcePartition[Message | Tick, Snapshot | None]):
    """A partition that the topic does not have: not yet, or not any more, because the topic was created again with fewer.

    Once the topic has it, this reads it from the beginning, or from where it was before. Until then the time of one that was read before
    goes on with that of the others, in the way of an idle partition: it wakes the users whose last event was there.

    Bytewax ends an epoch only when every partition was awake at its end. So a spare one sleeps between two epochs, and not across an end.
    """

    def __init__(self, source: KafkaSource, watch: PartitionWatch, index: int, resume: Snapshot | None) -> None:
        self._source = source
        self._watch = watch
        self._index = index
        self._offset, self._topic_id = 0, ""
        self._time: LogTime | None = None
        if resume is not None:
            self._offset, time_state, self._topic_id = load(resume)
            self._time = LogTime(source.policy, index, time_state, now=source.now)
            if source.is_in_another_topic(self._topic_id):
                self._offset, self._topic_id = 0, source.topic_id
        self._opened: Partition | None = None
        self._open_at = 0.0
        self._epoch_s = math.inf
        self._epoch_ended: float | None = None

    @override
    def next_batch(self) -> list[Message | Tick]:
        if self._opened is not None:
            return self._opened.next_batch()
        if self._source.stopping():
            raise StopIteration
        if self._index in self._watch.present and time.monotonic() >= self._open_at:
            try:
                with suppress(UnknownTopicError):  # the next broker that was asked may not know the new partition yet
                    self._opened = Partition(self._source, self._index, self._state(), open_s=_OPEN_SPARE_S)
            except UnreachableError:  # its leader may be down again; the other partitions go on
                self._open_at = time.monotonic() + self._source.watch_every_s
        if self._opened is not None or self._time is None or self._source.paused() or (tick := self._time.passed_tick()) is None:
            return []
        return [tick]

    @override
    def next_awake(self) -> datetime | None:
        if self._opened is not None:
            return self._opened.next_awake()
        if self._time is not None and self._time.has_tick:
            return None
        if self._epoch_ended is None or math.isinf(self._epoch_s):
            return datetime.now(UTC) + _SHORTEST
        left = timedelta(seconds=self._epoch_ended + self._epoch_s - time.monotonic())
        return datetime.now(UTC) + min(_ABSENT, max(_SHORTEST, left))

    @override
    def snapshot(self) -> Snapshot | None:
        if self._opened is not None:
            return self._opened.snapshot()
        now = time.monotonic()
        if self._epoch_ended is not None:
            self._epoch_s = min(self._epoch_s, now - self._epoch_ended)  # the shortest so far: a longer one may have waited for this
        self._epoch_ended = now
        if self._time is not None and (passed := self._source.time_passed()) is not None:
            self._time.advance_idle_to(passed)
            self._time.commit_idle_time()
        return self._state()

    def _state(self) -> Snapshot | None:
        return None if self._time is None else dump(self._offset, self._time.state, self._topic_id)

    @override
    def close(self) -> None:
        self._watch.stop()
        if self._opened is not None:
            self._opened.close()
