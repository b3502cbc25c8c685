"""Input ``stores`` of ``scale``: the whole job over a broker, with servers of Redis and ClickHouse and a recovery store on the same cores.

Only the job's own processes are counted, from their first epoch on, after which they have connected and met what they load when it is used.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.speed.broker import new_topic
from benchmarks.speed.live import children_of, cpu_seconds
from benchmarks.speed.stream import Sent
from tests.support.job_cluster import ClusterJob, Story
from tests.support.kafka_feed import Feed

_SETTINGS: Final = {"ONRAMP_EPOCH_SECONDS": "2", "ONRAMP_RECOVERY_PARTITIONS": "32", "ONRAMP_BATCH_SIZE": "1000"}
"""As ``onramp run`` has by default, except for the epoch: the end is seen when its offsets are committed, at most so much later."""


class _Broker(NamedTuple):
    brokers: str


def measure(brokers: str, messages: Iterable[Sent], *, processes: int, partitions: int) -> dict[str, Any]:
    """Run a job of ``processes`` on a topic with all ``messages``. Raises ``AssertionError`` if that takes longer than some minutes."""
    feed, found = Feed(_Broker(brokers), new_topic(brokers, partitions), partitions), dict[str, Any]()
    for sent in messages:
        feed.send(sent.line, sent.key, sent.at)
    feed.flush()

    def story(job: ClusterJob) -> Story:
        yield "the first epoch", lambda: job.committed() > 0
        pids = [job.pid(number) for number in range(processes)]
        before, begun, used = job.committed(), time.monotonic(), _cpu_seconds(pids)
        yield "all events", job.caught_up
        events, seconds = feed.sent - before, time.monotonic() - begun
        cpu = (_cpu_seconds(pids) - used) / events
        found.update(events=feed.sent, eventsPerSecond=events / seconds, cpuPerEvent=cpu)

    with tempfile.TemporaryDirectory(prefix="onramp-bench-") as directory:
        letters = new_topic(brokers, 1)
        ClusterJob(feed, letters, Path(directory) / "job", processes, lambda _said: None, settings=_SETTINGS).live(story)
    return found


def _cpu_seconds(pids: list[int]) -> float:
    """The CPU time of processes of the job, and of what they have started: that removes old snapshots."""
    return sum(cpu_seconds(each) for pid in pids for each in (pid, *children_of(pid)))
