"""Determines up to which time an idle partition was read completely. Only then may the wall clock advance its log time."""

from __future__ import annotations

import msgspec

INTERVAL_MS = 1_000


class _Broker(msgspec.Struct):
    nodeid: int
    state: str
    rxidle: int


class _Partition(msgspec.Struct):
    leader: int
    fetchq_cnt: int
    eof_offset: int
    hi_offset: int
    ls_offset: int


class _Topic(msgspec.Struct):
    metadata_age: int
    partitions: dict[str, _Partition]


class _Statistics(msgspec.Struct):
    time: int
    brokers: dict[str, _Broker]
    topics: dict[str, _Topic]


_DECODER = msgspec.json.Decoder(_Statistics)


class Liveness:
    """Reads librdkafka's statistics (once in ``INTERVAL_MS``) for one partition.

    A cached high watermark alone proves nothing, because it stays when the broker dies. An answer of the leader proves that everything
    up to about that moment was read, if the consumer had reached the end and had nothing queued.
    """

    def __init__(self, topic: str, partition: int) -> None:
        self._topic = topic
        self._partition = str(partition)
        self._caught_up: tuple[int, int] | None = None
        self.end: int | None = None
        """The end of the partition as of the last statistics, None while its broker is unreachable."""
        self.metadata_age = 0
        """How old (ms) the metadata of the topic was. librdkafka asks for it every five minutes, and after some errors."""

    def update(self, statistics: str) -> None:
        """Read the JSON that ``stats_cb`` receives."""
        self._caught_up = self.end = None
        try:
            current = _DECODER.decode(statistics)
        except ValueError:  # of a version of librdkafka that writes them otherwise: nothing is known then
            return
        topic = current.topics.get(self._topic)
        if topic is None:
            return
        self.metadata_age = topic.metadata_age
        part = topic.partitions.get(self._partition)
        if part is None:
            return
        leader = next((broker for broker in current.brokers.values() if broker.nodeid == part.leader and broker.state == "UP"), None)
        if leader is None or leader.rxidle < 0:
            return
        self.end = part.ls_offset if part.ls_offset >= 0 else part.hi_offset
        if part.fetchq_cnt == 0 and part.eof_offset >= 0 and part.eof_offset == self.end:
            self._caught_up = (self.end, current.time * 1_000 - leader.rxidle // 1_000)

    def read_until(self, position: int) -> int | None:
        """Return the time (ms) up to which everything was read, if ``position`` is the end; None if that is not known."""
        return self._caught_up[1] if self._caught_up is not None and self._caught_up[0] <= position else None
