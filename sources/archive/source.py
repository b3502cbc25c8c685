"""Reads the archive as the job reads the log, and then the log itself from where the archive ends. Replays use it; it is never resumed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from typing_extensions import override

from sources.alignment import PartitionAlignment
from sources.archive.archive import Archive
from sources.archive.names import ArchiveFile, Chain
from sources.archive.rows import is_forgotten, rows_of
from sources.batching import BatchPolicy
from sources.errors import ArchiveError
from sources.headers import traceparent_of
from sources.kafka.record import TOMBSTONE
from sources.kafka.schema_registry import FramingError, SchemaRegistry
from sources.kafka.source import KafkaSource
from sources.local_log.source import LocalLogSource
from sources.log_time import MIN_TIME, LogTime
from sources.raw_log import UNREADABLE_HEADER, RawRow
from state.decode import may_switch
from state.messages import Message, Tick
from state.times import day_of

_LOG = logging.getLogger(__name__)
_NO_FILES: Final = Chain((), (), ())


class ArchiveSource(FixedPartitionedSource[Message | Tick, None]):
    """The messages of ``archive``, and after them those of ``log``, if it is given. Both end at their present end. The messages of all
    partitions come in the order of log time, if ``log`` reads in that order too (``sources/alignment.py``).

    ``now`` returns wall-clock milliseconds. Files of days before ``since`` (ms) are left out. ``registry`` decodes messages with the
    framing of a schema registry. Raises ``SourceError``: among others where the log has lost messages that are not in the archive.
    """

    def __init__(
        self,
        archive: Archive,
        policy: BatchPolicy,
        *,
        now: Callable[[], int],
        log: KafkaSource | LocalLogSource | None = None,
        registry: SchemaRegistry | None = None,
        since: int | None = None,
    ) -> None:
        self.archive = archive
        self.policy = policy
        self.now = now
        self.log = log
        self.registry = registry
        self.since = since
        self.topic = archive.log
        self.alignment = PartitionAlignment(now=None, most_ahead_ms=0) if log is None else log.alignment
        self.listed: frozenset[str] = frozenset()

    @override
    def list_parts(self) -> list[str]:
        """Return the partitions of the archive and of the log. Blocks as the log's own ``list_parts``."""
        self.listed = frozenset(() if self.log is None else self.log.list_parts())
        if any(not name.startswith(f"{self.topic}:") for name in self.listed):
            raise ArchiveError(
                f"The archive {self.archive.place} is of {self.topic}, not of the log of the settings; name another archive."
            )
        return sorted(self.listed | {f"{self.topic}:{partition}" for partition in self.archive.chains()})

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Partition:
        """Open a partition of the archive."""
        return _Partition(self, step_id, for_part)


class _Partition(StatefulSourcePartition[Message | Tick, None]):
    def __init__(self, source: ArchiveSource, step_id: str, name: str) -> None:
        self._source = source
        self._step_id = step_id
        self._name = name
        self._index = int(name.rpartition(":")[2])
        self._time = LogTime(source.policy, self._index, now=source.now)
        self._offset: int | None = None
        self._stamp = 0
        self._rows: list[RawRow] = []
        self._next = 0
        self._log: StatefulSourcePartition[Message | Tick, Any] | None = None
        chain = source.archive.chains().get(self._index, _NO_FILES)
        for first, last in chain.gaps:
            _LOG.warning("The archive has no message of %s from offset %d to %d; what follows is read without.", name, first, last)
        source.alignment.add(self._index)

    @override
    def next_batch(self) -> list[Message | Tick]:
        if self._log is not None:
            return list(self._log.next_batch())
        alignment = self._source.alignment
        if (tick := self._time.passed_tick()) is not None:
            alignment.ticks(self._index, self._time.log_time)
            return [tick]
        while self._next == len(self._rows):
            if not self._open_next_file():
                self._go_on_in_the_log()
                return []
        until = alignment.limit(self._index)
        batch = self._take(until) if until else []
        stamp = self._rows[self._next].time if self._next < len(self._rows) else None
        alignment.has_next(self._index, self._time.log_time if stamp is None else self._time.expected(stamp))
        return batch

    @override
    def next_awake(self) -> datetime | None:
        return None if self._log is None else self._log.next_awake()

    @override
    def snapshot(self) -> None:
        if self._log is not None:
            self._log.snapshot()

    @override
    def close(self) -> None:
        self._source.alignment.end(self._index)
        if self._log is not None:
            self._log.close()

    def _open_next_file(self) -> bool:
        """Read the file after the present position. Return whether there is one."""
        missing: ArchiveFile | None = None
        while (found := self._file_after()) is not None:
            file, start = found
            try:
                frame = self._source.archive.read(file)
            except FileNotFoundError as error:  # it was joined with others: look again
                if file == missing:
                    raise ArchiveError(
                        f"The archive file {self._source.archive.where(file)} is listed and cannot be found; restore it from a copy."
                    ) from error
                missing = file
                continue
            self._rows, self._next = [row for row in rows_of(frame) if row.offset >= start], 0
            self._offset = file.next_offset
            return True
        return False

    def _file_after(self) -> tuple[ArchiveFile, int] | None:
        since = self._source.since
        for file, start in self._source.archive.chains().get(self._index, _NO_FILES).spans:
            if since is not None and file.day < day_of(since):
                self._offset = max(self._offset or 0, file.next_offset)
            elif self._offset is None or file.last >= self._offset:
                return file, start if self._offset is None else max(start, self._offset)
        return None

    def _go_on_in_the_log(self) -> None:
        log = self._source.log
        if log is None or self._name not in self._source.listed:
            self._source.alignment.end(self._index)
            raise StopIteration
        resume: Any = None
        if self._offset is not None:
            resume = log.snapshot_at(self._offset, self._time.state, log_id=self._source.archive.log_id, stamp=self._stamp)
        self._log = log.build_part(self._step_id, self._name, resume)

    def _take(self, until: int) -> list[Message | Tick]:
        """Turn rows into a batch, up to the end of the batch or of the rows, or to the log time ``until``."""
        batch: list[Message | Tick] = []
        log_time, rows = self._time, self._rows
        log_time.begin_batch(until)
        for place in range(self._next, min(len(rows), self._next + self._source.policy.batch_size)):
            row = rows[place]
            self._stamp = 0 if row.time is None else row.time
            if is_forgotten(row):
                self._next = place + 1
                continue
            at, action = log_time.admit(log_time.log_time if row.time is None else row.time)
            if action.ticks:
                batch.append(log_time.tick())
            if action.ends:
                break
            message = self._message(row, at, log_time.append(at))
            batch.append(message)
            self._next = place + 1
            if not row.key and may_switch(message.value):
                break
        return batch

    def _message(self, row: RawRow, at: int, seq: int) -> Message:
        value, original = row.value or b"", None
        fault = TOMBSTONE if row.value is None else None
        if row.value is None and row.headers and row.headers[0][0] == UNREADABLE_HEADER:
            fault = ("unreadable", (row.headers[0][1] or b"").decode("utf-8", "replace"))
        registry = self._source.registry
        if registry is not None and value[:1] == b"\x00":
            try:
                original, value = value, registry.decode_patiently(value)
            except FramingError as problem:
                original, fault = None, ("schema_registry_framing", str(problem))
        reference = at if at > MIN_TIME else self._source.now()
        traceparent = traceparent_of(row.headers) if row.headers else ""
        topic = self._source.topic
        return Message(value, row.key, topic, self._index, row.offset, at, reference, seq, traceparent, row.headers, fault, original)
