"""The event log itself: what was acknowledged is there, whoever was killed, and whoever writes and reads beside."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

import pytest
from confluent_kafka import Producer

from sources.errors import LogError, LogFullError
from sources.local_log.log import EventLog, Place, Record
from sources.local_log.reader import LogReader, Stored
from sources.local_log.retention import Retention, RetentionThread
from sources.local_log.store import Store
from tests.support.log_retention import apply
from tests.support.log_writer import KEYS, record
from tests.support.tansu import Tansu, tansu_fixture
from tests.support.waiting import PATIENCE, join, pause, read_line, read_to_end, running, wait_until

broker = tansu_fixture
ROOT = Path(__file__).parents[2]
DAY = 86_400_000


@contextmanager
def writer(directory: Path, name: str, appends: int, size: int, *more: str) -> Iterator[subprocess.Popen[str]]:
    arguments = [str(directory), name, str(appends), str(size), *more]
    program = subprocess.Popen([sys.executable, "-m", "tests.support.log_writer", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with running(program):
        assert read_line(program.stdout, "the writer to open the log") == "ready\n"
        yield program


def read_all(directory: Path) -> dict[int, list[Stored]]:
    reader = LogReader(directory)
    try:
        return {partition: read_partition(reader, partition) for partition in range(reader.identity.partitions)}
    finally:
        reader.close()


def read_partition(reader: LogReader, partition: int) -> list[Stored]:
    bounds = reader.first_bounds(partition)
    found: list[Stored] = []
    while (offset := found[-1].offset + 1 if found else bounds.low) < bounds.end:
        rows = reader.read(partition, offset, 100)
        assert rows
        found += rows
    assert [row.offset for row in found] == list(range(*bounds))
    return found


def numbers_of(stored: dict[int, list[Stored]], name: str) -> list[int]:
    """The numbers that ``name`` wrote, sorted. Within a key they must stand in order, each once."""
    by_key: dict[bytes, list[int]] = defaultdict(list)
    for partition, rows in stored.items():
        for row in rows:
            who, number = row.record.value.split()[:2]
            if who.decode() == name:
                assert zlib.crc32(row.record.key) % len(stored) == partition
                by_key[row.record.key].append(int(number))
    assert all(numbers == sorted(set(numbers)) for numbers in by_key.values())
    return sorted(number for numbers in by_key.values() for number in numbers)


# ------------------------------------------------------------------------------------------------------------------------- appending


def test_what_is_appended_is_read_with_everything_it_carries(tmp_path: Path) -> None:
    records = [
        Record(b"u-1", b'{"a": 1}', (("traceparent", b"00-a"), ("x", b""))),
        Record(b"", b""),
        Record(b"u-1", b"\x00\xff", ()),
        Record(b"u-2", b"{" * 1_000_000),
    ]
    with EventLog(tmp_path / "log", now=lambda: 1_700_000_000_000) as log:
        places = log.append(records)
        more = log.append(records[:1])
        assert log.append([]) == []
        stored = read_all(tmp_path / "log")
    assert [stored[partition][offset].record for partition, offset in places] == records
    assert more == [Place(places[0].partition, places[2].offset + 1)]
    assert {row.time for rows in stored.values() for row in rows} == {1_700_000_000_000}


def test_a_key_has_the_partition_that_kafka_s_client_gives_it(broker: Tansu, tmp_path: Path) -> None:
    topic = broker.new_topic(6)
    producer = Producer({"bootstrap.servers": broker.brokers, "log_level": 0, "partitioner": "consistent"})
    keys = [b"u-%d" % n for n in range(20)]
    for key in keys:
        producer.produce(topic, b"v", key=key)
    assert producer.flush(20) == 0
    of_kafka = {message.key(): message.partition() for message in broker.read_all(topic)}
    assert len(set(of_kafka.values())) > 3
    with EventLog(tmp_path / "log", partitions=6) as log:
        places = log.append([Record(key, b"v") for key in keys])
        assert dict(zip(keys, (place.partition for place in places), strict=True)) == of_kafka
        assert {key: log.partition_of(key) for key in keys} == of_kafka


def test_offsets_go_on_after_it_was_closed_and_its_number_of_partitions_is_fixed(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log", partitions=2) as log:
        first = log.append([record("a", n) for n in range(10)])
    with EventLog(tmp_path / "log") as log:
        second = log.append([record("a", n) for n in range(10, 20)])
    assert numbers_of(read_all(tmp_path / "log"), "a") == list(range(20))
    assert not {*first} & {*second}
    with pytest.raises(LogError, match="has 2 partitions, not 3, and their number cannot change"):
        EventLog(tmp_path / "log", partitions=3)
    with pytest.raises(LogError, match="must be 1 to 256"):
        EventLog(tmp_path / "other", partitions=0)


def test_a_large_append_is_read_in_parts(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log", partitions=1) as log:
        log.append([Record(b"k", b"%d" % n) for n in range(2_500)] + [Record(b"k", b"x" * 700_000)] * 3)
    reader = LogReader(tmp_path / "log")
    rows = reader.read(0, 1_200, 10)
    assert rows is not None
    assert [row.offset for row in rows] == list(range(1_200, 2_000))
    assert [int(row.record.value) for row in rows] == list(range(1_200, 2_000))
    assert len(read_partition(reader, 0)) == 2_503
    reader.close()


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    with EventLog(tmp_path / "deep" / "log") as log:
        log.append([record("a", 1)])
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "deep" / "log").iterdir()}
    assert modes == dict.fromkeys(["events.db", "events.db-wal", "events.db-shm", "writer.lock"], 0o600)
    assert stat.S_IMODE((tmp_path / "deep" / "log").stat().st_mode) == 0o700


def test_threads_append_to_one_log(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log") as log:
        names = ["a", "b", "c", "d"]

        def append(name: str) -> None:
            for n in range(20):
                log.append([record(name, 2 * n), record(name, 2 * n + 1)])

        threads = [threading.Thread(target=append, args=(name,), daemon=True) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            join(thread, "the appends")
        stored = read_all(tmp_path / "log")
    assert all(numbers_of(stored, name) == list(range(40)) for name in names)


def test_after_it_was_closed_nothing_is_taken(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log")
    log.close()
    log.close()
    with pytest.raises(LogError, match="was closed"):
        log.append([record("a", 1)])


# ------------------------------------------------------------------------------------------------------- several processes, and kills


def test_two_processes_write_and_a_reader_beside_them_sees_everything_once_and_in_order(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    reader = LogReader(directory)
    seen: dict[int, list[Stored]] = {partition: [] for partition in range(reader.identity.partitions)}

    def look() -> int:
        for partition, rows in seen.items():
            rows.extend(reader.read(partition, len(rows), 50) or [])
        return sum(map(len, seen.values()))

    with writer(directory, "a", 60, 5) as a, writer(directory, "b", 60, 5) as b:
        wait_until(lambda: look() > 0, "the first message, while both write")
        wait_until(lambda: look() == 600, "all messages")
        assert (a.wait(PATIENCE), b.wait(PATIENCE)) == (0, 0)
    assert all([row.offset for row in rows] == list(range(len(rows))) for rows in seen.values())
    assert numbers_of(seen, "a") == numbers_of(seen, "b") == list(range(300))
    reader.close()


def test_a_writer_killed_anywhere_loses_nothing_that_it_acknowledged_and_leaves_no_part_of_an_append(tmp_path: Path) -> None:
    """A commit takes nearly all the time of an append of this size, so most kills fall into one."""
    directory, random = tmp_path / "log", Random(11)
    acknowledged: dict[str, int] = {}
    for life in range(6):
        name = f"w{life}"
        with writer(directory, name, 10_000, 200, "--pad", "2000") as program:
            read_line(program.stdout, "an acknowledgement")
            pause(random.random() * 0.05, "the kill falls anywhere")
            program.kill()
            program.wait(PATIENCE)
            told = read_to_end(program.stdout, "what it had said")
            acknowledged[name] = 200 * (1 + sum(line.endswith(" 200") for line in told.split("\n")[:-1]))
    stored = read_all(directory)
    for name, count in acknowledged.items():
        numbers = numbers_of(stored, name)
        assert numbers == list(range(len(numbers)))
        assert len(numbers) in {count, count + 200}, "acknowledged, or committed just before the acknowledgement"
    with EventLog(directory) as log:
        log.append([record("after", 0)])


def test_a_writer_killed_inside_its_transaction_leaves_nothing_of_it_and_no_lock(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom sources.local_log.store import Store\n"
        "store = Store(Path(sys.argv[1]), writes=True)\n"
        "with store.transaction() as database:\n"
        "    database.executemany('INSERT INTO p0 VALUES (?, 1, 0, 0, ?)', [(n, b'x' * 100_000) for n in range(200)])\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with EventLog(directory, partitions=1) as log:
        log.append([record("a", 0)])
        with pytest.raises(subprocess.CalledProcessError, match="SIGKILL"):
            subprocess.run([sys.executable, "-c", program, str(directory)], cwd=ROOT, check=True, timeout=PATIENCE)
        assert log.append([record("a", 1)]) == [Place(0, 1)]
    assert numbers_of(read_all(directory), "a") == [0, 1]


def test_a_writer_waits_for_another_one_and_says_so_when_it_does_not_end(tmp_path: Path) -> None:
    other = Store(tmp_path / "log", writes=True)
    with EventLog(tmp_path / "log", wait_s=0.1) as log:
        with (
            other.transaction(),
            pytest.raises(LogError, match=r"Another process has been writing to the event log .* end it if it hangs\."),
        ):
            log.append([record("a", 1)])
        log.append([record("a", 2)])
    other.close()
    assert numbers_of(read_all(tmp_path / "log"), "a") == [2]


def test_opening_it_once_more_in_a_process_releases_no_lock_that_sqlite_holds_there(tmp_path: Path) -> None:
    """Without its locks another process takes itself for the last one, and removes the WAL under this one's feet."""
    with EventLog(tmp_path / "log") as log:
        log.append([record("a", 1)])
        LogReader(tmp_path / "log").close()
        with writer(tmp_path / "log", "b", 1, 1) as program:
            assert program.wait(PATIENCE) == 0
        assert (tmp_path / "log" / "events.db-wal").exists()
        log.append([record("a", 2)])
    assert numbers_of(read_all(tmp_path / "log"), "a") == [1, 2]


# ------------------------------------------------------------------------------------------------------------------ what goes wrong


def test_a_full_disk_refuses_the_append_keeps_what_was_acknowledged_and_goes_on_when_there_is_space(tmp_path: Path) -> None:
    with writer(tmp_path / "log", "a", 12, 10, "--pad", "20000", "--file-limit", "900000") as program:
        told = read_to_end(program.stdout, "the writer's end").splitlines()
        assert program.wait(PATIENCE) == 0
    full = [line for line in told if line.startswith("full")]
    assert len(full) == 1
    assert "cannot grow" in full[0]
    assert full[0].endswith("Free disk space or raise the limit; what was acknowledged is safe.")
    assert 0 < told.index(full[0]) < len(told) - 1
    assert numbers_of(read_all(tmp_path / "log"), "a") == list(range(120))


def test_what_cannot_grow_for_another_reason_is_full_too(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log", partitions=1, retention=None) as log:
        log._store.database.execute("PRAGMA max_page_count = 40")
        with pytest.raises(LogFullError, match="cannot grow"):
            log.append([Record(b"k", b"x" * 300_000)])
        assert log.append([Record(b"k", b"x")]) == [Place(0, 0)]


def overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


DAMAGE: Final[dict[str, Callable[[Path], None]]] = {
    "its head": lambda path: overwrite(path, 0, b"\xff" * 100),
    "the schema": lambda path: overwrite(path, 100, b"\xff" * 3_000),
    "all tables": lambda path: overwrite(path, 4_096, b"\xff" * (path.stat().st_size - 4_096)),
    "its end": lambda path: os.truncate(path, 20_000),
    "all of it": lambda path: overwrite(path, 0, b"not a database, and long enough to be read as one" * 1_000),
    "one bit of a message": lambda path: overwrite(path, path.read_bytes().index(b"needle"), b"noodle"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_log_is_one_sentence(tmp_path: Path, damage: str) -> None:
    directory = tmp_path / "log"
    with EventLog(directory, partitions=2) as log:
        for n in range(50):
            log.append([Record(b"%d" % n, b"%d" % n * 500)])
        log.append([Record(b"k", b"needle")])
    DAMAGE[damage](directory / "events.db")
    with pytest.raises(LogError) as raised:
        read_all(directory)
    text = str(raised.value)
    assert "is damaged" in text
    assert text.endswith("restore it from a backup, or move the directory away to begin a new log, and check the disk.")
    assert "\n" not in text


def test_rows_that_are_gone_from_the_middle_are_damage(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log", partitions=1) as log:
        for n in range(5):
            log.append([record("a", n)])
        log._store.database.execute("DELETE FROM p0 WHERE first = 2")
        with pytest.raises(LogError, match="partition 0 has no message at offset 2"):
            read_all(tmp_path / "log")


def test_a_database_of_another_program_or_version_is_left_alone(tmp_path: Path) -> None:
    for name, statement, expected in [
        ("foreign", "CREATE TABLE theirs (a)", "is a database of another program"),
        ("newer", "PRAGMA user_version = 2", "has the format 2, this version of onramp reads 1"),
    ]:
        directory = tmp_path / name
        if name == "newer":
            EventLog(directory).close()
        directory.mkdir(exist_ok=True)
        database = sqlite3.connect(directory / "events.db", isolation_level=None)
        database.execute(statement)
        database.close()
        before = (directory / "events.db").read_bytes()
        for attempt in (lambda at=directory: EventLog(at), lambda at=directory: LogReader(at)):
            with pytest.raises(LogError, match=expected):
                attempt()
        assert (directory / "events.db").read_bytes() == before


def test_a_path_that_cannot_be_a_log_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "events.db").mkdir()
    for path in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "nul\0", tmp_path / "odd"):
        with pytest.raises(LogError, match=r"cannot be opened .*check that the path is a directory of this machine"):
            EventLog(path)


def test_a_log_that_was_removed_takes_nothing_more_and_says_so(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log", retention=None) as log:
        log.append([record("a", 1)])
        reader = LogReader(tmp_path / "log")
        (tmp_path / "log").rename(tmp_path / "elsewhere")
        with pytest.raises(LogError, match="was removed or replaced while it was in use; restart what writes and reads it"):
            log.append([record("a", 2)])
        with pytest.raises(LogError, match="was removed or replaced"):
            reader.bounds(0)
        reader.close()


# ------------------------------------------------------------------------------------------------------------------------ retention


def test_what_is_too_old_is_deleted_and_offsets_go_on(tmp_path: Path) -> None:
    clock = [0]
    with EventLog(tmp_path / "log", partitions=2, retention=None, now=lambda: clock[0]) as log:
        for day in range(10):
            clock[0] = day * DAY
            log.append([record("a", 10 * day + n) for n in range(10)])
        apply(log, Retention(max_age_ms=3 * DAY), 9 * DAY)
        stored = read_all(tmp_path / "log")
        assert {row.time // DAY for rows in stored.values() for row in rows} == {6, 7, 8, 9}
        apply(log, Retention(max_age_ms=3 * DAY), 30 * DAY)
        assert read_all(tmp_path / "log") == {0: [], 1: []}
        places = log.append([record("a", n) for n in range(100, 110)])
        assert sum(place.offset + 1 for place in {place.partition: place for place in places}.values()) == 110
    assert numbers_of(read_all(tmp_path / "log"), "a") == list(range(100, 110))


def test_beyond_its_size_the_oldest_messages_go_first_and_the_file_stops_growing(tmp_path: Path) -> None:
    clock = [0]
    policy = Retention(max_bytes=2_000_000)
    with EventLog(tmp_path / "log", retention=None, now=lambda: clock[0]) as log:
        for n in range(200):
            clock[0] = n
            log.append([record("a", 10 * n + m, pad=4_000) for m in range(10)])
            apply(log, policy, clock[0])
        stored = read_all(tmp_path / "log")
    newest = numbers_of(stored, "a")
    assert newest[-1] == 1_999
    assert 300 < len(newest) < 500
    oldest = {min(row.time for row in rows) for rows in stored.values() if rows}
    assert max(oldest) - min(oldest) < 200 // KEYS + 2, "every partition keeps about the same time"
    assert (tmp_path / "log" / "events.db").stat().st_size < 3_000_000


def test_a_clock_that_was_ahead_once_costs_no_message_of_another_partition(tmp_path: Path) -> None:
    clock = [5 * 365 * DAY]
    with EventLog(tmp_path / "log", partitions=2, retention=None, now=lambda: clock[0]) as log:
        ahead, usual = (next(key for key in map(str, range(9)) if log.partition_of(key.encode()) == part) for part in (0, 1))
        log.append([Record(ahead.encode(), b"x" * 1_000_000)])
        clock[0] = DAY
        log.append([Record(usual.encode(), b"unread")])
        apply(log, Retention(max_bytes=500_000), DAY)
        assert [len(rows) for rows in read_all(tmp_path / "log").values()] == [0, 1], "the one of the future counts as the oldest"


def test_a_message_of_a_clock_that_was_ahead_is_kept_until_the_age_of_the_one_behind_it(tmp_path: Path) -> None:
    clock = [365 * DAY]
    with EventLog(tmp_path / "log", partitions=1, retention=None, now=lambda: clock[0]) as log:
        log.append([Record(b"u", b"unread")])
        apply(log, Retention(max_age_ms=3 * DAY), 20 * DAY)
        assert len(read_all(tmp_path / "log")[0]) == 1, "nothing says that it is old"
        clock[0] = 20 * DAY
        log.append([Record(b"u", b"with a clock that was put right")])
        apply(log, Retention(max_age_ms=3 * DAY), 22 * DAY)
        assert len(read_all(tmp_path / "log")[0]) == 2
        apply(log, Retention(max_age_ms=3 * DAY), 24 * DAY)
        assert read_all(tmp_path / "log") == {0: []}


def test_a_message_of_a_clock_that_was_ahead_is_not_as_old_as_those_before_it(tmp_path: Path) -> None:
    clock = [0]
    with EventLog(tmp_path / "log", partitions=1, retention=None, now=lambda: clock[0]) as log:
        for clock[0] in (DAY, 365 * DAY, 6 * DAY):
            log.append([Record(b"u", b"message")])
        apply(log, Retention(max_age_ms=3 * DAY), 7 * DAY)
        assert [row.time // DAY for row in read_all(tmp_path / "log")[0]] == [365, 6]


def test_the_thread_deletes_while_others_append(tmp_path: Path) -> None:
    clock = [0]
    with EventLog(tmp_path / "log", partitions=1, retention=None, now=lambda: clock[0]) as log:
        thread = RetentionThread(log._store, log._lock, Retention(max_age_ms=10), lambda: clock[0], every_s=0.01)
        thread.start()
        for n in range(300):
            clock[0] = n
            log.append([record("a", n)])
        reader = LogReader(tmp_path / "log")
        wait_until(lambda: reader.first_bounds(0).low == 289, "everything too old to be deleted")
        assert [row.time for row in read_partition(reader, 0)] == list(range(289, 300))
        thread.stop()
        reader.close()


def test_a_log_that_was_not_written_for_long_is_cleaned_when_it_is_opened(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log", partitions=1, now=lambda: 0, retention=None) as log:
        log.append([record("a", 1)])
    with EventLog(tmp_path / "log", partitions=1):
        reader = LogReader(tmp_path / "log")
        wait_until(lambda: reader.first_bounds(0) == (1, 1), "the deletion")
        reader.close()


def test_what_concerns_everybody_is_in_every_partition_with_one_time(tmp_path: Path) -> None:
    times = iter(range(1000, 2000))
    with EventLog(tmp_path, partitions=5, retention=None, now=lambda: next(times)) as log:
        log.append([record("a", 1, 10)])
        places = log.append_everywhere(b"switch")
    assert [place.partition for place in places] == list(range(5))
    last = [rows[-1] for rows in read_all(tmp_path).values()]
    assert {(each.record.value, each.time) for each in last} == {(b"switch", 1001)}
