"""The source of the local event log: what it shares with Kafka's is in ``test_conformance.py``; here is what a log adds."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sources.batching import BatchPolicy
from sources.errors import LogError, OffsetGapError, SourceError
from sources.local_log.log import EventLog, Record
from sources.local_log.retention import Retention
from sources.local_log.source import ACCEPT_GAP_SETTING, LocalLogSource, _Partition
from sources.local_log.store import Store
from sources.log_time import IDLE_MARGIN_MS, LAG_MS, MIN_TIME
from state.messages import Message, Tick
from state.stuck.parameters import PERIOD
from tests.sources.harness import LOOKAHEAD, drain
from tests.support.log_retention import apply

START = 1_700_000_000_000


class Clock:
    """The wall clock of writer and job, in milliseconds."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[EventLog]:
    with EventLog(tmp_path / "log", partitions=1, retention=None, now=clock) as opened:
        yield opened


def append(log: EventLog, clock: Clock, *values: bytes, at: int | None = None) -> None:
    clock.now = clock.now if at is None else at
    log.append([Record(b"user", value) for value in values])


def source_of(log: EventLog, clock: Clock, **more: Any) -> LocalLogSource:
    policy = BatchPolicy(more.pop("peek", lambda *_: None), lambda _: LOOKAHEAD, more.pop("batch_size", 100))
    return LocalLogSource(log._store.directory, policy, now=clock, **{"tail": False, **more})


def opened(source: LocalLogSource, resume: Any = None, index: int = 0) -> _Partition:
    return source.build_part("input", source.list_parts()[index], resume)


def read(source: LocalLogSource, resume: Any = None, index: int = 0) -> tuple[list[Message], Any]:
    part = opened(source, resume, index)
    items: list[Message | Tick] = []
    try:
        assert drain(part, items.extend)
        return [item for item in items if isinstance(item, Message)], part.snapshot()
    finally:
        part.close()


def batches(part: _Partition, count: int) -> list[Message | Tick]:
    return [item for _ in range(count) for item in part.next_batch()]


def delete(log: EventLog, *, before: int) -> None:
    apply(log, Retention(max_age_ms=0), before)


def test_partitions_each_in_order_with_everything_a_message_carries(tmp_path: Path, clock: Clock) -> None:
    with EventLog(tmp_path / "many", partitions=3, retention=None, now=clock) as log:
        headers = (("traceparent", b"00-a-b-01"), ("x-api-version", b"1"))
        by_partition: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
        for n in range(30):
            value = b"%d" % n
            (place,) = log.append([Record(b"u-%d" % (n % 7), value, headers)])
            by_partition[place.partition].append(value)
        source = source_of(log, clock)
        assert source.list_parts() == ["event-log:0", "event-log:1", "event-log:2"]
        for index, values in by_partition.items():
            messages, snapshot = read(source, index=index)
            assert source.positions.of[index] == (len(values), snapshot[2]), "for metrics"
            assert [message.value for message in messages] == values
            assert [message.offset for message in messages] == list(range(len(values)))
            assert [message.seq for message in messages] == list(range(2, 2 * len(values) + 2, 2))
            assert {(m.topic, m.partition, m.traceparent, m.headers) for m in messages} == {("event-log", index, "00-a-b-01", headers)}
            assert {(m.log_time, m.reference) for m in messages} == {(START, START)}
            assert {log.partition_of(message.key or b"") for message in messages} == {index}
            assert source.lag[index] == 0


def test_the_position_and_the_pause_after_a_snapshot_are_measured(log: EventLog, clock: Clock) -> None:
    for _ in range(2):
        append(log, clock, b"x")
    source = source_of(log, clock, batch_size=1)
    part = opened(source)
    batches(part, 1)
    assert source.positions.of[0].offset == 1
    part.snapshot()
    assert list(source.positions.clock.paused) == [0]
    batches(part, 1)
    assert not source.positions.clock.paused
    assert source.positions.clock.pauses.cumulative()[-1] == ("+Inf", 1.0)
    part.close()


def test_what_can_wait_is_done_while_there_is_nothing_to_read(log: EventLog, clock: Clock) -> None:
    done = list[int]()
    append(log, clock, b"x")
    policy = BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD, 100, lambda: done.append(1))
    part = opened(LocalLogSource(log._store.directory, policy, now=clock))
    assert part.next_batch()
    assert part.next_awake() is None
    assert not done
    assert part.next_batch()  # the tick that the message has passed
    assert not done
    assert not part.next_batch()
    assert part.next_awake() is not None
    assert len(done) == 1
    part.close()


def test_time_never_goes_back_and_a_writer_with_a_wrong_clock_moves_nothing(log: EventLog, clock: Clock) -> None:
    for at in (253_370_764_800_000, START, START - 5, 253_370_764_800_000):
        append(log, clock, b"x", at=at)
    clock.now = START
    messages, _ = read(source_of(log, clock))
    assert [message.log_time for message in messages] == [MIN_TIME, START, START, START]
    assert [message.reference for message in messages] == [START] * 4


def test_ticks_stay_behind_the_messages_and_come_at_most_once_a_second_of_log_time(log: EventLog, clock: Clock) -> None:
    for n in range(40):
        append(log, clock, b"x", at=START + n * 250)
    part = opened(source_of(log, clock, batch_size=1))
    items: list[Message | Tick] = []
    assert drain(part, items.extend)
    part.close()
    ticks = [item.at for item in items if isinstance(item, Tick)]
    assert len(ticks) > 5
    assert all(later - sooner >= 1_000 for sooner, later in pairwise(ticks))
    latest = 0
    for item in items:
        if isinstance(item, Message):
            latest = item.log_time
        else:
            assert latest == 0 or item.at <= latest - LAG_MS
            assert item.seq % 2 == 1


def test_a_timer_fires_before_the_message_that_passes_it_when_working_off_a_backlog(log: EventLog, clock: Clock) -> None:
    for value, at in ((b"a", START), (b"b", START + 1_500), (b"c", START + 10 * LOOKAHEAD), (b"d", START + 10 * LOOKAHEAD + 1)):
        append(log, clock, value, at=at)
    timers = [START + LOOKAHEAD]
    part = opened(source_of(log, clock, peek=lambda *_: timers[0] if timers else None))
    seen: list[bytes | str] = []

    def take(batch: list[Message | Tick]) -> None:
        for item in batch:
            if isinstance(item, Message):
                seen.append(item.value)
            elif timers and item.at >= timers[0]:
                timers.pop()
                seen.append("timer")
                assert len(batch) == 1

    assert drain(part, take)
    part.close()
    assert seen == [b"a", b"b", "timer", b"c", b"d"]


# ----------------------------------------------------------------------------------------------------------------------- live


def test_it_is_read_live_from_before_the_first_writer_came(tmp_path: Path, clock: Clock) -> None:
    source = LocalLogSource(tmp_path / "log", BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD), now=clock)
    parts = [source.build_part("input", name, None) for name in source.list_parts()]
    assert len(parts) == 6
    assert [part.next_batch() for part in parts] == [[]] * 6
    with EventLog(tmp_path / "log", now=clock) as log:
        (place,) = log.append([Record(b"user", b"first")])
        part = parts[place.partition]
        (first,) = part.next_batch()
        assert isinstance(first, Message)
        assert first.value == b"first"
        log.append([Record(b"user", b"second")])
        found = batches(part, 3)
        assert [item.value for item in found if isinstance(item, Message)] == [b"second"]
    for part in parts:
        part.close()


def test_the_wall_clock_moves_log_time_while_the_end_is_read_and_is_written_down_before_it_is_sent(log: EventLog, clock: Clock) -> None:
    append(log, clock, b"x")
    source = source_of(log, clock, tail=True)
    part = opened(source)
    drain(part, lambda _: None, 2)  # the message, and the tick that it passed
    clock.now = START + 60_000
    assert part.next_batch() == []
    assert part.next_batch() == [], "no snapshot has stored that time yet"
    state = part.snapshot()
    part.close()
    again = opened(source, state)
    (tick,) = again.next_batch()
    assert isinstance(tick, Tick)
    assert tick.at == START + 60_000 - IDLE_MARGIN_MS - LAG_MS
    append(log, clock, b"y", at=START + 50_000)  # by a writer whose clock is behind
    (message,) = again.next_batch()
    assert isinstance(message, Message)
    assert message.log_time == START + 60_000 - IDLE_MARGIN_MS
    again.close()


def test_a_job_that_was_down_passes_the_boundaries_up_to_which_timers_were_due_one_by_one(log: EventLog, clock: Clock) -> None:
    """So they fire with the parameters of their time, as if the job had run. Between the ticks it does not pause."""
    due = [START + PERIOD // 3, START + 4 * PERIOD]
    append(log, clock, b"x")
    source = source_of(log, clock, tail=True, peek=lambda _, after=-1: min((each for each in due if each > after), default=None))
    part = opened(source)
    drain(part, lambda _: None, 2)
    clock.now = START + 10 * PERIOD
    assert part.next_batch() == []
    part.snapshot()
    boundaries = [-(-each // PERIOD) * PERIOD for each in due]
    found = []
    for _ in range(10):
        for tick in part.next_batch():
            assert isinstance(tick, Tick)
            found.append((tick.at, part.next_awake() is None))
            due = [each for each in due if each > tick.at]
    part.close()
    assert found == [*((each, True) for each in boundaries), (clock.now - IDLE_MARGIN_MS - LAG_MS, False)]


def test_the_wall_clock_moves_nothing_while_messages_wait(log: EventLog, clock: Clock) -> None:
    append(log, clock, *[b"x"] * 10)
    part = opened(source_of(log, clock, tail=True, batch_size=3))
    drain(part, lambda _: None, 2)
    clock.now = START + 60_000
    assert part.snapshot()[2] == START
    drain(part, lambda _: None, 3)
    assert part.snapshot()[2] == START
    part.next_batch()
    assert part.snapshot()[2] == START + 60_000 - IDLE_MARGIN_MS
    part.close()


def test_the_wall_clock_does_not_pass_an_append_that_is_not_committed_yet_however_long_the_disk_takes(log: EventLog, clock: Clock) -> None:
    append(log, clock, b"x")
    part = opened(source_of(log, clock, tail=True))
    slow = Store(log._store.directory, writes=True)
    batches(part, 2)
    clock.now = START + 60_000
    with slow.transaction() as database:
        messages = msgspec.msgpack.encode([Record(b"user", b"slow")])
        database.execute("INSERT INTO p0 VALUES (1, 1, ?, ?, ?)", (clock.now, zlib.crc32(messages), messages))
        clock.now = START + 90_000
        part._look_at = 0.0
        assert batches(part, 3) == []
        assert part.snapshot()[2] == START
    (message,) = (item for item in batches(part, 3) if isinstance(item, Message))
    assert (message.value, message.log_time) == (b"slow", START + 60_000)
    part._look_at = 0.0
    batches(part, 3)
    assert part.snapshot()[2] == START + 90_000 - IDLE_MARGIN_MS
    part.close()
    slow.close()


def test_a_partition_without_messages_follows_the_others_while_somebody_always_writes(tmp_path: Path, clock: Clock) -> None:
    with EventLog(tmp_path / "two", partitions=2, retention=None, now=clock) as log:
        (place,) = log.append([Record(b"user", b"x")])
        part = opened(source_of(log, clock, tail=True), index=1 - place.partition)
        clock.now = START + 60_000
        log.append([Record(b"user", b"y")])
        busy = Store(log._store.directory, writes=True)
        with busy.transaction():
            clock.now = START + 90_000
            part._look_at = 0.0
            assert batches(part, 2) == []
        assert part.snapshot()[2] == START + 60_000 - IDLE_MARGIN_MS
        part.close()
        busy.close()


def test_lag_is_what_was_not_given_out_yet(log: EventLog, clock: Clock) -> None:
    append(log, clock, *[b"x"] * 10)
    source = source_of(log, clock, tail=True, batch_size=4)
    part = opened(source)
    seen = [source.lag[0] for _ in range(4) if any(isinstance(item, Message) for item in part.next_batch())]
    assert seen == [6, 2, 0]
    append(log, clock, b"y", at=START + 1)
    other = opened(source, part.snapshot())
    assert len(other.next_batch()) == 1
    assert source.lag == {0: 0}
    part.close()
    other.close()


# ----------------------------------------------------------------------------------------------------------------------- gaps


def test_retention_that_passed_the_position_is_refused_until_accepted(log: EventLog, clock: Clock) -> None:
    append(log, clock, b"1", b"2")
    _, snapshot = read(source_of(log, clock))
    append(log, clock, b"3", b"4", at=START + 1_000)
    append(log, clock, b"5", b"6", at=START + 2_000)
    delete(log, before=START + 1_500)
    with pytest.raises(OffsetGapError) as raised:
        read(source_of(log, clock), snapshot)
    text = str(raised.value)
    assert "must be read from offset 2 of partition 0, which is not in it (it starts at 4)" in text
    assert text.endswith(f"Restore the messages, or set {ACCEPT_GAP_SETTING}=true to continue at 4.")
    messages, _ = read(source_of(log, clock, accept_gap=True), snapshot)
    assert [(message.value, message.offset, message.seq) for message in messages] == [(b"5", 4, 6), (b"6", 5, 8)]
    assert [message.value for message in read(source_of(log, clock))[0]] == [b"5", b"6"], "a job without a snapshot takes the earliest"


@pytest.mark.parametrize("all_of_it", [True, False])
def test_retention_that_passes_the_position_of_a_running_job_is_refused(log: EventLog, clock: Clock, *, all_of_it: bool) -> None:
    append(log, clock, b"1", b"2")
    part = opened(source_of(log, clock, tail=True))
    accepting = opened(source_of(log, clock, tail=True, accept_gap=True))
    for each in (part, accepting):
        assert [item.value for item in batches(each, 3) if isinstance(item, Message)] == [b"1", b"2"]
    append(log, clock, b"3", at=START + 1_000)
    append(log, clock, b"4", at=START + 2_000)
    delete(log, before=START + (9_000 if all_of_it else 1_500))
    for each in (part, accepting):
        each._look_at = 0.0
    with pytest.raises(OffsetGapError, match="must be read from offset 2"):
        part.next_batch()
    assert [item.value for item in batches(accepting, 2) if isinstance(item, Message)] == ([] if all_of_it else [b"4"])
    append(log, clock, b"5", at=START + 2_000)
    assert [item.value for item in batches(accepting, 3) if isinstance(item, Message)] == [b"5"]
    part.close()
    accepting.close()


def test_a_reader_in_the_middle_of_what_retention_deletes_keeps_what_it_has_fetched(log: EventLog, clock: Clock) -> None:
    append(log, clock, *[b"%d" % n for n in range(10)])
    part = opened(source_of(log, clock, tail=True, batch_size=100))
    part.next_batch()
    delete(log, before=START + 1)
    append(log, clock, b"10", at=START + 1)
    assert [item.value for item in batches(part, 2) if isinstance(item, Message)] == [b"10"]
    part.close()


def test_another_log_in_its_place_is_refused_until_accepted(log: EventLog, clock: Clock) -> None:
    append(log, clock, b"1", b"2")
    _, snapshot = read(source_of(log, clock))
    directory = log._store.directory
    log.close()
    shutil.rmtree(directory)
    with EventLog(directory, partitions=1, retention=None, now=clock) as other:
        append(other, clock, b"a", b"b", b"c")
        with pytest.raises(OffsetGapError, match="was removed and created again"):
            read(source_of(other, clock), snapshot)
        messages, after = read(source_of(other, clock, accept_gap=True), snapshot)
        assert [message.value for message in messages] == [b"a", b"b", b"c"]
        append(other, clock, b"d")
        assert [message.value for message in read(source_of(other, clock), after)[0]] == [b"d"]


def test_an_older_copy_of_the_log_is_refused(log: EventLog, clock: Clock) -> None:
    append(log, clock, b"1")
    directory = log._store.directory
    log.close()
    shutil.copytree(directory, directory.with_name("copy"))
    with EventLog(directory, partitions=1, retention=None, now=clock) as longer:
        append(longer, clock, b"2", b"3")
        _, snapshot = read(source_of(longer, clock))
    shutil.rmtree(directory)
    directory.with_name("copy").rename(directory)
    with EventLog(directory, partitions=1, retention=None, now=clock) as older, pytest.raises(OffsetGapError, match="an older copy"):
        read(source_of(older, clock), snapshot)


def test_an_older_copy_that_has_grown_since_is_noticed(log: EventLog, clock: Clock) -> None:
    append(log, clock, b"1")
    directory = log._store.directory
    copied = directory.with_name("copy")
    log.close()
    shutil.copytree(directory, copied)
    with EventLog(directory, partitions=1, retention=None, now=clock) as again:
        append(again, clock, b"2")
        _, snapshot = read(source_of(again, clock))
    shutil.rmtree(directory)
    copied.rename(directory)
    with EventLog(directory, partitions=1, retention=None, now=clock) as older:
        append(older, clock, b"acknowledged", b"after the copy was put back", at=clock.now + 1_000)
        with pytest.raises(OffsetGapError, match="an older copy of the log was put back, and written since"):
            read(source_of(older, clock), snapshot)


def test_a_log_that_is_removed_under_a_running_job_ends_it(log: EventLog, clock: Clock) -> None:
    append(log, clock, b"1")
    part = opened(source_of(log, clock, tail=True))
    batches(part, 2)
    shutil.rmtree(log._store.directory)
    part._look_at = 0.0
    with pytest.raises(LogError, match="was removed or replaced while it was in use"):
        batches(part, 2)
    part.close()


def test_a_snapshot_of_another_version_is_one_sentence(log: EventLog, clock: Clock) -> None:
    with pytest.raises(SourceError, match=r"the position in the event log has version 9, this release reads 1; .* upgrade"):
        opened(source_of(log, clock), (9, 0, MIN_TIME, 0, MIN_TIME, ""))


def test_a_batch_ends_after_a_switch_of_guidance(log: EventLog, clock: Clock) -> None:
    append(log, clock, b"a", b"b")
    log.append_everywhere(b'{"eventType": "guidance_switched"}')
    append(log, clock, b"c")
    part = opened(source_of(log, clock))
    sizes: list[int] = []
    assert drain(part, lambda batch: sizes.append(sum(isinstance(item, Message) for item in batch)))
    part.close()
    assert [size for size in sizes if size] == [3, 1]
