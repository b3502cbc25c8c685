"""The archive has every message of the log once, however often and wherever the archiver dies."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer

from flows.archive import Archiver, RollRules, archive_dir, run_archive
from flows.lag import measure_archive_lag
from flows.settings import load_settings
from sources.archive.archive import Archive, Forgotten
from sources.archive.names import ArchiveFile
from sources.archive.rows import encoded, is_forgotten, rows_of
from sources.errors import ArchiveError, OffsetGapError, UnreachableError
from sources.raw_log import RawBatch, RawRow
from tests.support.kafka_feed import Feed
from tests.support.raw_logs import START, MemoryLog, row
from tests.support.tansu import run_tansu
from tests.support.waiting import PATIENCE

NOW = START + 400 * 86_400_000
BIG = RollRules(10**9, 10**9)
HOUR = 3_600_000


class Clock:
    """Seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def archiver(path: Path, log: MemoryLog, rules: RollRules = BIG, *, clock: Callable[[], float] | None = None) -> Archiver:
    return Archiver(Archive(path), log, rules, stopping=lambda: False, now=lambda: NOW, clock=clock or Clock())


def contents(path: Path) -> dict[int, list[RawRow]]:
    archive, found = Archive(path), dict[int, list[RawRow]]()
    for partition, chain in archive.chains().items():
        found[partition] = [each for span in chain.spans for each in rows_of(archive.read(span.file)) if each.offset >= span.start]
    return found


def a_log() -> MemoryLog:
    return MemoryLog({0: [row(each) for each in range(40)], 1: [row(each, user="ben") for each in range(25)], 2: []})


def test_it_reads_to_the_end_once_and_goes_on_there(tmp_path: Path) -> None:
    log = a_log()
    totals = archiver(tmp_path, log).run(once=True)
    assert (totals.messages, totals.files) == (65, 2)
    assert contents(tmp_path) == {0: log.partitions[0], 1: log.partitions[1]}
    log.partitions[0] += [row(each) for each in range(40, 45)]
    log.partitions[2] += [row(each) for each in range(3)]
    assert archiver(tmp_path, log).run(once=True).messages == 8
    assert contents(tmp_path) == log.partitions
    assert log.committed == {0: 45, 1: 25, 2: 3}
    assert [file.name for file in Archive(tmp_path).files() if file.partition == 0] == [
        f"day=2026-01-05/partition-0/offsets-{first:020d}-{last:020d}.parquet" for first, last in ((0, 39), (40, 44))
    ]


def test_a_partition_that_the_log_has_no_more_holds_nothing_up(tmp_path: Path) -> None:
    archiver(tmp_path, a_log()).run(once=True)
    Archive(tmp_path).wait_for(Forgotten("default", ("ann",), START))
    log = MemoryLog({0: [row(each) for each in range(40)]})
    archiver(tmp_path, log).run(once=True)
    assert Archive(tmp_path).waiting() == []
    assert log.committed == {0: 40}


def test_a_file_ends_by_size_by_age_and_with_the_day(tmp_path: Path) -> None:
    clock = Clock()
    log = MemoryLog({0: [row(each) for each in range(10)]}, at_once=1)
    size = 200 + len(row(0).value or b"") + len(b"ann")
    job = archiver(tmp_path, log, RollRules(3 * size, 600), clock=clock)
    job.archive.bind("topic", "")
    job._resume()
    for _ in range(5):
        job.step()
    assert [each.last for each in Archive(tmp_path).files()] == [2]
    clock.now = 599
    job.step()
    assert [each.last for each in Archive(tmp_path).files()] == [2, 5], "by size"
    job.step()
    clock.now += 600
    job.step()
    assert [each.last for each in Archive(tmp_path).files()] == [2, 5, 7], "by age, of the oldest message"
    log.partitions[0] += [row(10, at=START + 17 * HOUR), row(11, at=START + 18 * HOUR)]
    for _ in range(4):
        job.step()
    assert [each.last for each in Archive(tmp_path).files()] == [2, 5, 7, 9], "by the end of the day"
    job._write(0)
    assert [(each.day, each.first, each.last) for each in Archive(tmp_path).files()][4:] == [("2026-01-06", 10, 11)]


def test_days_with_one_file_each_are_not_searched_for_files_to_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history has one file for each day and partition: to list all of them at the end of each day took longer with every day."""
    looks: list[int] = []
    monkeypatch.setattr(Archive, "compact", lambda _self, partition, *_: looks.append(partition))
    log = MemoryLog({0: [RawRow(each, START + each * 24 * HOUR, b"u", b"{}") for each in range(-9, 0)]})
    log.partitions[0] = [each._replace(offset=number) for number, each in enumerate(log.partitions[0])]
    assert archiver(tmp_path, log).run(once=True).files == 9
    assert looks == [0], "at the start only"


def test_the_files_of_a_day_are_joined_when_it_is_over(tmp_path: Path) -> None:
    log = MemoryLog({0: []})
    for offset in range(6):
        log.partitions[0].append(row(offset))
        archiver(tmp_path, log).run(once=True)
    log.partitions[0].append(row(6, at=START + 24 * HOUR))
    archiver(tmp_path, log).run(once=True)
    assert [(each.day, each.first, each.last) for each in Archive(tmp_path).files()] == [("2026-01-05", 0, 5), ("2026-01-06", 6, 6)]
    assert contents(tmp_path) == log.partitions


def test_all_partitions_together_hold_four_files_in_memory(tmp_path: Path) -> None:
    log = MemoryLog({partition: [row(each) for each in range(10)] for partition in range(8)}, at_once=10)
    size = 10 * (200 + len(row(0).value or b"") + len(b"ann"))
    job = archiver(tmp_path, log, RollRules(size + 1, 600))
    job.archive.bind("topic", "")
    job._resume()
    job.step()
    assert sum(each.size for each in job._open.values()) <= 4 * (size + 1)
    assert len(Archive(tmp_path).files()) == 4


def test_a_late_time_stays_in_the_day_of_the_log_and_a_wrong_clock_moves_nothing(tmp_path: Path) -> None:
    times = [START, START + 20 * HOUR, START + HOUR, NOW + 900_000_000, None, -1, START + 21 * HOUR]
    log = MemoryLog({0: [RawRow(each, at, b"a", b"{}") for each, at in enumerate(times)]})
    archiver(tmp_path, log).run(once=True)
    assert [(each.day, each.first, each.last) for each in Archive(tmp_path).files()] == [("2026-01-05", 0, 0), ("2026-01-06", 1, 6)]
    assert [each.time for each in contents(tmp_path)[0]] == times, "the column has the time as it was"


def test_without_any_time_it_is_the_day_of_the_clock(tmp_path: Path) -> None:
    archiver(tmp_path, MemoryLog({0: [RawRow(0, None, b"a", b"{}")]})).run(once=True)
    assert [each.day for each in Archive(tmp_path).files()] == ["2027-02-09"]


def test_offsets_of_a_topic_may_have_holes(tmp_path: Path) -> None:
    log = MemoryLog({0: [row(2), row(5), row(6)]})
    archiver(tmp_path, log).run(once=True)
    log.partitions[0] += [row(9)]
    archiver(tmp_path, log).run(once=True)
    assert [(each.first, each.last) for each in Archive(tmp_path).files()] == [(2, 6), (7, 9)], "file follows file: no gap"
    assert [each.offset for each in contents(tmp_path)[0]] == [2, 5, 6, 9]
    log.partitions[0] += [row(12), row(15)]
    archiver(tmp_path, log, RollRules(1, 600)).run(once=True)
    assert [(each.first, each.last) for each in Archive(tmp_path).files()][2:] == [(10, 12), (13, 15)], "also within one run"


def test_messages_that_were_deleted_unread_end_it_unless_that_is_accepted(tmp_path: Path) -> None:
    log = a_log()
    log.partitions = {0: log.partitions[0][:10]}
    archiver(tmp_path, log).run(once=True)
    log.partitions[0] += [row(each) for each in range(10, 30)]
    log.low[0] = 20
    with pytest.raises(OffsetGapError):
        archiver(tmp_path, log).run(once=True)
    assert Archive(tmp_path).chains()[0].spans[-1].file.next_offset == 10, "nothing was written"
    log.accept_gap = True
    archiver(tmp_path, log).run(once=True)
    chain = Archive(tmp_path).chains()[0]
    assert (chain.gaps, chain.spans[-1].file.next_offset) == (((10, 19),), 30)


def test_no_file_has_messages_of_a_log_that_took_the_place_of_the_first(tmp_path: Path) -> None:
    log = a_log()
    log.replaced = OffsetGapError("created again")
    with pytest.raises(OffsetGapError, match="created again"):
        archiver(tmp_path / "archive", log).run(once=True)
    assert contents(tmp_path / "archive") == {}


def test_it_stops_while_the_log_does_not_answer_and_reads_the_rest_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = a_log()
    log.replaced = UnreachableError("nobody is there")
    stopped = archiver(tmp_path / "archive", log)
    stopped._stopping = lambda: bool(stopped._open) and any(each.rows for each in stopped._open.values())
    assert stopped.run().files == 0
    assert "is read again with the next run" in caplog.text
    log.replaced = None
    archiver(tmp_path / "archive", log).run(once=True)
    assert contents(tmp_path / "archive") == {partition: rows for partition, rows in log.partitions.items() if rows}


class Dies(BaseException):
    """The process is killed here."""


@pytest.mark.parametrize("seed", range(6))
def test_killed_anywhere_and_started_again_it_has_every_message_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng = random.Random(seed)
    log = MemoryLog(
        {part: [row(each, at=START + each * rng.randrange(1, 3) * HOUR) for each in range(rng.randrange(80))] for part in range(3)},
        at_once=rng.randrange(1, 9),
    )
    left, calls = 0, 0

    def dying(wrapped: Callable[..., object], after: bool) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            nonlocal left, calls
            calls += 1
            left -= 1
            if not left and not after:
                raise Dies
            found = wrapped(*arguments, **named)
            if not left:
                raise Dies
            return found

        return call

    monkeypatch.setattr(Path, "replace", dying(Path.replace, after=True))
    monkeypatch.setattr(Path, "unlink", dying(Path.unlink, after=False))
    monkeypatch.setattr("sources.archive.archive.encoded", dying(encoded, after=True))
    monkeypatch.setattr("sources.archive.directory.sync_path", dying(lambda _path: None, after=False))
    monkeypatch.setattr(os, "fsync", dying(os.fsync, after=True))
    deaths = 0
    for _ in range(500):
        left = rng.randrange(1, 12)
        try:
            archiver(tmp_path, log, RollRules(rng.randrange(200, 3_000), 10**9)).run(once=True)
            break
        except Dies:
            deaths += 1
    else:
        raise AssertionError("it never ended")
    left = 0
    assert deaths > 3
    assert contents(tmp_path) == {partition: rows for partition, rows in log.partitions.items() if rows}
    assert not any(chain.gaps for chain in Archive(tmp_path).chains().values())


def test_who_was_forgotten_meanwhile_is_left_out_of_what_was_read_and_let_go_at_the_end(tmp_path: Path) -> None:
    clock = Clock()
    log = MemoryLog({0: [row(each) for each in range(10)], 1: [row(each, user="ben") for each in range(3)]}, at_once=2)
    job = archiver(tmp_path, log, clock=clock)
    job.archive.bind("topic", "")
    job._resume()
    job.step()
    Archive(tmp_path).wait_for(ann := Forgotten("default", ("ann",), START + HOUR))
    for _ in range(3):
        clock.now += 2
        job.step()
    assert log.looks == 1
    assert Archive(tmp_path).waiting() == [ann], "partition 0 was not read to its end yet"
    for _ in range(5):
        clock.now += 2
        job.step()
    assert Archive(tmp_path).waiting() == []
    found = contents(tmp_path)
    assert [each.offset for each in found[0]] == list(range(10))
    assert all(is_forgotten(each) for each in found[0])
    assert found[1] == log.partitions[1]


def test_an_end_from_before_somebody_was_forgotten_does_not_count(tmp_path: Path) -> None:
    ann = Forgotten("default", ("ann",), START + HOUR)

    class Racing(MemoryLog):
        """Gets a message of the person just behind the end that a poll has seen, and then the person is forgotten."""

        def poll(self) -> list[RawBatch]:
            found = super().poll()
            if not self.partitions[0]:
                self.partitions[0].append(row(0))
                Archive(tmp_path).wait_for(ann)
            return found

    job = archiver(tmp_path, Racing({0: []}))
    job.archive.bind("topic", "")
    job._resume()
    job.step()
    assert Archive(tmp_path).waiting() == [ann]
    job.step()
    job.step()
    assert Archive(tmp_path).waiting() == []
    assert is_forgotten(contents(tmp_path)[0][0])


def test_it_starts_with_people_who_wait_since_before(tmp_path: Path) -> None:
    log = MemoryLog({0: [row(each) for each in range(4)]})
    Archive(tmp_path).bind("topic", "")
    Archive(tmp_path).wait_for(Forgotten("default", ("ann",), START + HOUR))
    archiver(tmp_path, log).run(once=True)
    assert Archive(tmp_path).waiting() == []
    assert all(is_forgotten(each) for each in contents(tmp_path)[0])
    assert Archive(tmp_path).files() == [ArchiveFile("2026-01-05", 0, 0, 3)]


@pytest.mark.timing
def test_the_archive_of_a_topic_has_its_own_group_and_is_of_this_topic_only(tmp_path: Path) -> None:
    with run_tansu() as broker:
        topic = broker.new_topic()
        producer = Producer({"bootstrap.servers": broker.brokers, "log_level": 0})
        for number in range(5):
            producer.produce(topic, b"%d" % number, b"k", timestamp=START)
        assert producer.flush(PATIENCE) == 0
        settings = load_settings(kafka_brokers=broker.brokers, kafka_topic=topic, data_dir=tmp_path / "d")
        assert run_archive(settings, lambda: False, once=True).messages == 5
        assert run_archive(settings, lambda: False, once=True).messages == 0
        assert [each.value for each in contents(Path(str(archive_dir(settings))))[0]] == [b"0", b"1", b"2", b"3", b"4"]
        feed = Feed(broker, topic, 1)
        assert (feed.committed(settings.archive_group), feed.committed(settings.kafka_group)) == ({0: 5}, {0: 0})
        lag = measure_archive_lag(settings)
        assert lag is not None
        assert [(each.offset, each.messages) for each in lag.backlogs] == [(5, 0)]
        broker.create_again(topic)
        for number in range(9):
            producer.produce(topic, b"new %d" % number, b"k", timestamp=START)
        assert producer.flush(PATIENCE) == 0
        with pytest.raises(ArchiveError, match="topic that was removed and created again"):
            run_archive(settings, lambda: False, once=True)


def test_a_damaged_file_of_an_old_day_does_not_keep_new_messages_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = MemoryLog({0: [row(0)]})
    archiver(tmp_path, log).run(once=True)
    log.partitions[0].append(row(1))
    archiver(tmp_path, log).run(once=True)
    (tmp_path / Archive(tmp_path).files()[0].name).write_bytes(b"damaged")
    log.partitions[0].append(row(2)._replace(time=START + 48 * HOUR))
    archiver(tmp_path, log).run(once=True)
    archiver(tmp_path, log).run(once=True)
    assert [(file.first, file.last) for file in Archive(tmp_path).files()] == [(0, 0), (1, 1), (2, 2)]
    assert "restore it from a copy" in caplog.text
