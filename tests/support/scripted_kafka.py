"""A cluster whose consumer delivers what a test wrote down: records with parts that raise, and errors in place of records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError, KafkaException, TopicPartition
from typing_extensions import override

from sources.errors import UnknownTopicError
from sources.kafka.client import Cluster, ErrorHandler

START = 1_700_000_000_000


class Raises:
    """Stands for a part that the client library cannot convert: its accessor raises, and must not be called again."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.calls = 0


class ScriptedRecord:
    """What ``consume`` returns. Each part is a value or ``Raises``."""

    def __init__(self, offset: int, value: Any = b"{}", *, key: Any = None, headers: Any = None, time: Any = None, error: int = 0) -> None:
        self._offset, self._value, self._key, self._headers = offset, value, key, headers
        self._time = (TIMESTAMP_CREATE_TIME, START + offset) if time is None else time
        self._error = KafkaError(error) if error else None

    def error(self) -> KafkaError | None:
        return self._error

    def offset(self) -> int | None:
        return self._offset if self._offset >= 0 else None

    def partition(self) -> int:
        return 0

    def value(self) -> Any:
        return self._part(self._value)

    def key(self) -> Any:
        return self._part(self._key)

    def timestamp(self) -> Any:
        return self._part(self._time)

    def headers(self) -> Any:
        if isinstance(self._headers, Raises) and self._headers.calls:
            raise AssertionError("the real library may end the process here")
        return self._part(self._headers)

    @staticmethod
    def _part(part: Any) -> Any:
        if isinstance(part, Raises):
            part.calls += 1
            raise part.error
        return part


class ScriptedConsumer:
    """Delivers records from the assigned offset on. A record with an error is delivered as long as the position is not behind it."""

    def __init__(self, cluster: ScriptedCluster, error_cb: Callable[[KafkaError], None] | None = None) -> None:
        self.cluster, self.records, self.end = cluster, cluster.records, cluster.end
        self.error_cb = error_cb
        self.position = 0
        self.closed = False

    def assign(self, places: list[TopicPartition]) -> None:
        self.position = places[0].offset

    def consume(self, _most: int, _timeout: float) -> list[ScriptedRecord]:
        left = [record for record in self.records if (record.offset() or 0) >= self.position or record.offset() is None]
        self.position = self.end + 1
        eof = ScriptedRecord(self.end, error=KafkaError._PARTITION_EOF)
        return [*left, eof]

    def get_watermark_offsets(self, place: TopicPartition, timeout: float = 0, cached: bool = False) -> tuple[int, int]:
        if place.partition in self.cluster.silent:
            assert timeout <= self.cluster.timeout_s
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        if self.cluster.bound_errors:
            raise self.cluster.bound_errors.pop()
        return self.cluster.low, self.end

    def committed(self, places: list[TopicPartition], _timeout: float) -> list[TopicPartition]:
        return [TopicPartition(place.topic, place.partition, -1001) for place in places]

    def commit(self, **_options: Any) -> None:
        return None

    def list_topics(self, topic: str, timeout: float) -> SimpleNamespace:
        if self.cluster.list_errors:
            raise self.cluster.list_errors.pop()
        leaders = {index: SimpleNamespace(leader=-1 if index in self.cluster.leaderless else 1) for index in self.cluster.present}
        found = SimpleNamespace(error=None, partitions=leaders)
        return SimpleNamespace(topics={topic: found})

    def poll(self, _timeout: float) -> None:
        for error in list(self.cluster.connection_errors):
            if self.error_cb is not None:
                self.error_cb(error)

    def close(self) -> None:
        self.closed = True


@dataclass(frozen=True)
class ScriptedCluster(Cluster):
    """A cluster whose partitions all hold the same. ``present`` may grow while a test runs. ``consumers``: all that were made.

    Failure knobs. ``unknown``: so many opens find no topic. ``leaderless``: partitions that have no leader in the metadata. ``silent``:
    partitions whose leader does not answer. ``list_errors``: what the next requests for the metadata raise. ``low``: the earliest offset.
    ``id``: that of the topic, empty for a cluster that does not tell it. ``created_again``: the ids that it got while the test ran.
    ``id_errors``: the last of them is raised where the id is asked for. ``bound_errors``: what the next requests for offsets raise.
    ``connection_errors``: what the connection of the watch reports whenever it is polled. ``admin_errors``: what the next clients for
    questions raise.
    """

    brokers: str = "scripted:9092"
    topic: str = "events"
    group: str = "onramp"
    records: list[ScriptedRecord] = field(default_factory=list)
    end: int = 0
    low: int = 0
    present: list[int] = field(default_factory=lambda: [0])
    unknown: list[int] = field(default_factory=lambda: [0])
    leaderless: set[int] = field(default_factory=set)
    silent: set[int] = field(default_factory=set)
    list_errors: list[Exception] = field(default_factory=list)
    consumers: list[ScriptedConsumer] = field(default_factory=list)
    id: str = ""
    created_again: list[str] = field(default_factory=list)
    id_errors: list[Exception] = field(default_factory=list)
    bound_errors: list[Exception] = field(default_factory=list)
    connection_errors: list[KafkaError] = field(default_factory=list)
    admin_errors: list[Exception] = field(default_factory=list)

    @override
    def topic_id(self, stopping: Callable[[], bool]) -> str:
        return self.ask_topic_id(None, None)

    @override
    def ask_topic_id(self, consumer: Any, admin: Any) -> str:
        if self.id_errors:
            raise self.id_errors[-1]
        return [self.id, *self.created_again][-1]

    @override
    def admin(self, client: str = "onramp") -> Any:
        if self.admin_errors:
            raise self.admin_errors.pop()
        return None

    @override
    def connect(self, errors: ErrorHandler, **more: Any) -> Any:
        if self.unknown[0] and "error_cb" not in more:  # the watch has its own callback
            self.unknown[0] -= 1
            raise UnknownTopicError("another broker does not know the new partition yet")
        self.consumers.append(ScriptedConsumer(self, more.get("error_cb")))
        return self.consumers[-1]
