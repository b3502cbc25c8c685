"""Writes the log to the archive, beside the job and independent of it: with a consumer group of its own, at its own speed.

The names of the archive's files say where it goes on (``sources/archive/archive.py``). So it may be killed at any moment, stay away for
days and catch up: every message of the log is in the archive once. If the log deleted messages before they were archived, it refuses to go
on, as the job does.

A file ends when it has ``file_bytes`` of messages or is ``file_seconds`` old, and where the day ends. The files of a day that is over are
joined into larger ones.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from flows.inputs import kafka_cluster
from flows.settings import Settings, SettingsError
from local.data_dir import DataDir
from sources.archive.archive import Archive, Forgotten
from sources.archive.names import ArchiveFile, start_of
from sources.archive.rows import is_forgotten, rows_of
from sources.errors import ArchiveError, ArchiveFileError, UnreachableError
from sources.kafka.raw import KafkaRawLog
from sources.local_log.raw import LocalRawLog
from sources.log_time import MAX_AHEAD_MS
from sources.positions import Position
from sources.raw_log import RawBatch, RawLog, RawRow
from sources.s3.location import Location
from state.times import YEAR_2000, day_of
from system.wall_clock import wall_clock

_LOG = logging.getLogger(__name__)

ACCEPT_GAP_SETTING: Final = "ONRAMP_ARCHIVE_ACCEPT_GAP"
_MB: Final = 1024 * 1024
_ROW_BYTES: Final = 200
"""What a message needs in memory besides its bytes."""
_BUFFERS: Final = 4
"""How many full files all partitions together may hold in memory. Beyond, the largest is written early."""
_COMPRESSED: Final = 8
"""About how many times smaller events are in Parquet: joined files have an eighth of ``file_bytes``, so that they fit into memory."""
_LOOK_S: Final = 1.0


@dataclass(frozen=True)
class RollRules:
    """When a file ends: with so many bytes of messages, or so many seconds after its first message was read."""

    file_bytes: int
    file_seconds: float


@dataclass
class _Open:
    """The messages of a partition that are not in a file yet. ``first`` is the offset with which the file's name will begin. ``files``: how
    many of ``day`` there are; 2 stands for any number.
    """

    first: int | None = None
    day: str = ""
    files: int = 0
    rows: list[RawRow] = field(default_factory=list)
    size: int = 0
    since: float = 0.0
    at_end: bool = False


@dataclass
class Totals:
    """What one run has done."""

    messages: int = 0
    files: int = 0
    failed_joins: int = 0


class Archiver:
    """Reads ``log`` and writes ``archive``. ``clock`` returns seconds that only grow, ``now`` the wall clock in milliseconds."""

    def __init__(
        self,
        archive: Archive,
        log: RawLog,
        rules: RollRules,
        *,
        stopping: Callable[[], bool],
        now: Callable[[], int] = wall_clock,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.archive = archive
        self._log = log
        self._rules = rules
        self._stopping = stopping
        self._now = now
        self._clock = clock
        self._open: dict[int, _Open] = {}
        self._waiting: dict[Forgotten, set[int]] = {}  # and the partitions that were at their end since
        self._look_at = 0.0
        self.totals = Totals()
        self.positions: dict[int, Position] = {}  # of what is in files; any thread may read these two
        self.wrote_at = clock()

    def run(self, *, once: bool = False) -> Totals:
        """Archive until ``stopping()``; with ``once`` to the present end of the log. Raises ``SourceError``."""
        self.archive.bind(self._log.name, self._log.id)
        with self.archive.appending():
            self._resume()
            try:
                while not self._stopping() and not (once and all(each.at_end for each in self._open.values())):
                    self.step()
                for partition in self._open:
                    self._write(partition)
                self._finish_forgotten()
            except UnreachableError:
                if not self._stopping():
                    raise
                _LOG.warning("%s: what is not in a file yet is read again with the next run: the log does not answer.", self._log.name)
        return self.totals

    def step(self) -> None:
        """Read once, and write the files that are due."""
        for batch in self._log.poll():
            self._take(batch)
        self._find_forgotten()
        now = self._clock()
        for partition, each in self._open.items():
            if each.rows and now - each.since >= self._rules.file_seconds:
                self._write(partition)
        while sum(each.size for each in self._open.values()) > _BUFFERS * self._rules.file_bytes:
            self._write(max(self._open, key=lambda partition: self._open[partition].size))
        self._finish_forgotten()

    def _resume(self) -> None:
        chains = self.archive.chains()
        newest = {partition: chain.spans[-1].file for partition, chain in chains.items()}
        positions = {partition: file.next_offset for partition, file in newest.items()}
        for partition in self._log.start(positions):  # the archive may have partitions that the log has no more
            file = newest.get(partition)
            self._open[partition] = _Open() if file is None else _Open(positions[partition], file.day, files=2)
            if file is not None:
                self.positions[partition] = Position(positions[partition], start_of(file.day))
            self._compact(partition)
        self._log.commit({partition: offset for partition, offset in positions.items() if partition in self._open})

    def _take(self, batch: RawBatch) -> None:
        partition = batch.partition
        mine = self._open.setdefault(partition, _Open())
        if batch.skipped_to is not None:
            _LOG.warning("%s[%d]: going on at offset %d; what was before it is lost.", self._log.name, partition, batch.skipped_to)
            self._write(partition)
            mine.first = batch.skipped_to
        for row in batch.rows:
            day = self._day_of(row, mine.day)
            if mine.rows and day != mine.day:
                self._write(partition)
            if not mine.rows:
                mine.since = self._clock()
            if mine.first is None:
                mine.first = row.offset
            if mine.day and day != mine.day:
                mine.day = day
                if mine.files > 1:  # looking for them takes time, and history has thousands of days
                    self._compact(partition)
                mine.files = 0
            mine.day = day
            mine.rows.append(row)
            mine.size += _ROW_BYTES + len(row.value or b"") + len(row.key or b"")
            if mine.size >= self._rules.file_bytes:
                self._write(partition)
        mine.at_end = batch.at_end

    def _day_of(self, row: RawRow, before: str) -> str:
        """The day of the log: that of the newest append time so far. A single time in the future, of a wrong clock, does not count."""
        known = row.time is not None and YEAR_2000 <= row.time <= self._now() + MAX_AHEAD_MS
        return max(before, day_of(row.time)) if known and row.time is not None else before or day_of(self._now())

    def _write(self, partition: int) -> None:
        mine = self._open[partition]
        if not mine.rows or mine.first is None:
            return
        self._log.check()
        file = ArchiveFile(mine.day, partition, mine.first, mine.rows[-1].offset)
        self.archive.write(file, mine.rows)
        _LOG.info("%s: %d messages", file.name, len(mine.rows))
        self.totals.messages += len(mine.rows)
        self.totals.files += 1
        self.positions[partition] = Position(file.next_offset, mine.rows[-1].time or start_of(file.day))
        self.wrote_at = self._clock()
        mine.first, mine.rows, mine.size = file.next_offset, [], 0
        mine.files += 1
        self._log.commit({partition: file.next_offset})

    def _compact(self, partition: int) -> None:
        """Join the files of days that are over. A damaged one stays as it is, with those beside it: what the log still has goes first."""
        try:
            self.archive.compact(partition, self._open[partition].day, self._rules.file_bytes // _COMPRESSED)
        except ArchiveFileError as error:
            self.totals.failed_joins += 1
            _LOG.error("%s Small files of this partition are not joined until then; new messages are archived.", error)

    def _find_forgotten(self) -> None:
        """Notice who was forgotten meanwhile. Their messages may come until every partition was read to its end after that."""
        if self._clock() < self._look_at:
            return
        self._look_at = self._clock() + _LOOK_S
        new = [each for each in self.archive.waiting() if each not in self._waiting]
        if new:
            self._waiting |= {person: set() for person in new}
            for each in self._open.values():
                each.at_end = False
            self._log.look_again()

    def _finish_forgotten(self) -> None:
        """Write what was read up to the end, and drop the ids of those of whom no message can come any more."""
        if not self._waiting:
            return
        for partition, each in self._open.items():
            if each.at_end:
                self._write(partition)
                for passed in self._waiting.values():
                    passed.add(partition)
        if done := [person for person, passed in self._waiting.items() if passed >= self._open.keys()]:
            self.archive.done(done)
            for person in done:
                del self._waiting[person]


def archive_dir(settings: Settings) -> Path | Location:
    """Where the archive is: at the place of the settings, else in ``archive/`` of the data directory."""
    return settings.archive_dir or DataDir(settings.data_dir).archive


def open_archive(settings: Settings) -> Archive | None:
    """Return the archive of the settings, None where there is none."""
    archive = Archive(archive_dir(settings))
    return archive if archive.exists else None


def open_raw_log(settings: Settings, stopping: Callable[[], bool]) -> RawLog:
    """Connect to the log of the settings with the archive's own group. Raises ``SettingsError`` if they name none, ``SourceError``."""
    if settings.event_log is not None:
        return LocalRawLog(settings.event_log, accept_gap=settings.archive_accept_gap, accept=ACCEPT_GAP_SETTING, stopping=stopping)
    if settings.kafka_brokers is not None:
        cluster = dataclasses.replace(kafka_cluster(settings), group=settings.archive_group)
        return KafkaRawLog(cluster, accept_gap=settings.archive_accept_gap, accept=ACCEPT_GAP_SETTING, stopping=stopping)
    raise SettingsError(
        "there is no log to archive: set ONRAMP_KAFKA_BROKERS or ONRAMP_EVENT_LOG as for the job, or name the directory of `onramp up` "
        "with --data-dir."
    )


def run_archive(settings: Settings, stopping: Callable[[], bool], *, once: bool = False) -> Totals:
    """Archive the log of the settings. Raises ``SettingsError``, ``SourceError``, ``DataDirError``."""
    log = open_raw_log(settings, stopping)
    try:
        if settings.archive_dir is None:
            DataDir.create(settings.data_dir)
        rules = RollRules(settings.archive_file_mb * _MB, settings.archive_file_seconds)
        archiver = Archiver(Archive(archive_dir(settings)), log, rules, stopping=stopping)
        with _serving_metrics(settings, archiver):
            return archiver.run(once=once)
    finally:
        log.close()


def _serving_metrics(settings: Settings, archiver: Archiver) -> AbstractContextManager[object]:
    if settings.archive_metrics_address is None:
        return nullcontext()
    from flows.metrics.archive import serving_archive_metrics  # noqa: PLC0415 -- the parts of a job, which other commands need not load

    return serving_archive_metrics(settings, archiver)


class Checked(NamedTuple):
    """What the files of a partition hold. ``gaps``: offsets between files that no file has. ``damaged``: a sentence for each such file."""

    partition: int
    files: int
    first: int
    last: int
    messages: int
    forgotten: int
    bytes: int
    gaps: list[tuple[int, int]]
    damaged: list[str]


def check_archive(settings: Settings) -> list[Checked]:
    """Read every file of the archive that counts. Raises ``ArchiveError`` where there is no archive."""
    archive = Archive(archive_dir(settings))
    _ = archive.log  # raises where there is none
    found = []
    chains = archive.chains()
    sizes = dict(zip(chains, archive.bytes_of(chains.values()), strict=True))
    for partition, chain in chains.items():
        messages, forgotten, damaged = 0, 0, []
        for span in chain.spans:
            try:
                frame = archive.read(span.file)
            except FileNotFoundError:
                damaged.append(f"{span.file.name} was joined with others meanwhile; repeat the command.")
                continue
            except ArchiveError as error:
                damaged.append(str(error))
                continue
            offsets = frame["offset"]
            inside = offsets.is_between(span.file.first, span.file.last).all() and frame["partition"].eq(partition).all()
            if not (inside and offsets.is_sorted() and offsets.is_unique().all()):
                damaged.append(f"{span.file.name} holds other messages than its name says; restore it from a copy.")
            rows = [row for row in rows_of(frame) if row.offset >= span.start]
            messages += len(rows)
            forgotten += sum(is_forgotten(row) for row in rows)
        first, last = chain.spans[0].start, chain.spans[-1].file.last
        gaps = list(chain.gaps)
        found.append(Checked(partition, len(chain.spans), first, last, messages, forgotten, sizes[partition], gaps, damaged))
    return found
