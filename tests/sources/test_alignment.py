"""Partitions are kept in step while they catch up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sources.alignment import BEHIND_MS, FIRST_PATIENCE_S, MOST_AHEAD_MS, NEVER, PATIENCE_S, PartitionAlignment
from sources.batching import BatchPolicy
from sources.kafka.client import Cluster
from sources.kafka.schema_registry import RegistryUnavailableError
from sources.kafka.source import KafkaSource
from sources.local_log.log import EventLog, Record
from sources.local_log.source import LocalLogSource
from sources.log_time import LogTime
from state.messages import Message
from tests.sources.harness import LOOKAHEAD, Part
from tests.sources.kafka_topic import produce
from tests.support.tansu import Tansu, tansu_fixture
from tests.support.waiting import wait_until

broker = tansu_fixture
HOUR = 3_600_000
START = 1_700_000_000_000
PARTITIONS = 3
TIMES = [[START + (PARTITIONS * n + partition) * HOUR for n in range(40)] for partition in range(PARTITIONS)]
"""Append times by partition: each message is an hour after one of another partition."""
Open = Callable[..., list[Part]]


def wall() -> int:
    return int(time.time() * 1_000)


@pytest.fixture(params=["kafka", "local log"])
def open_parts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens all partitions of a source over ``TIMES``."""
    policy = BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD, 1_000)
    opened: list[Part] = []
    source: KafkaSource | LocalLogSource
    if request.param == "kafka":
        broker: Tansu = request.getfixturevalue("broker")
        topic = broker.new_topic(PARTITIONS)
        for partition, times in enumerate(TIMES):
            produce(broker, topic, [b"{}"] * len(times), partition=partition, times=times)
    else:
        clock = [0]
        with EventLog(tmp_path / "log", partitions=PARTITIONS, retention=None, now=lambda: clock[0]) as log:
            keys = {log.partition_of(key): key for key in map(str.encode, map(str, range(50)))}
            for at, partition in sorted((at, partition) for partition, times in enumerate(TIMES) for at in times):
                clock[0] = at
                log.append([Record(keys[partition], b"{}")])

    def build(snapshots: Sequence[Any] = (None,) * PARTITIONS, **more: Any) -> list[Part]:
        nonlocal source
        if request.param == "kafka":
            source = KafkaSource(Cluster(broker.brokers, topic, "g"), policy, now=wall, **more)
        else:
            source = LocalLogSource(tmp_path / "log", policy, now=wall, **more)
        names = source.list_parts()[:PARTITIONS]
        parts: list[Part] = [source.build_part("input", name, resume) for name, resume in zip(names, snapshots, strict=True)]
        opened.extend(parts)
        return parts

    yield build
    for part in opened:
        part.close()


def read_all(parts: list[Part], number: int = sum(map(len, TIMES))) -> list[tuple[int, int]]:
    """Poll the partitions in turn, as one worker does, until all was read: (log time, partition) of each message."""
    found: list[tuple[int, int]] = []

    def poll() -> bool:
        for part in parts:
            try:
                found.extend((item.log_time, item.partition) for item in part.next_batch() if isinstance(item, Message))
            except StopIteration:
                continue
        return len(found) >= number

    wait_until(poll, "all messages of all partitions", every=0.001)
    return found


def test_a_log_that_is_read_to_its_end_comes_in_the_order_of_log_time(open_parts: Open) -> None:
    assert read_all(open_parts(tail=False, in_order=True)) == sorted(
        (at, partition) for partition, times in enumerate(TIMES) for at in times
    )


def test_a_job_that_catches_up_reads_no_partition_far_ahead_of_another(open_parts: Open) -> None:
    newest = 0
    for at, _ in read_all(open_parts(tail=True)):
        assert at >= newest - MOST_AHEAD_MS
        newest = max(newest, at)


def test_the_time_of_a_partition_that_is_read_to_its_end_goes_on_with_those_that_are_behind(tmp_path: Path) -> None:
    """Else an alarm would come from the idle partition before the sign-in that stands in the other one."""
    clock = [START]
    with EventLog(tmp_path / "log", partitions=2, retention=None, now=lambda: clock[0]) as log:
        keys = {log.partition_of(key): key for key in (b"a", b"b", b"c", b"d")}
        log.append([Record(keys[0], b"{}")])
        for n in range(5):
            clock[0] = START + (n + 1) * HOUR
            log.append([Record(keys[1], b"{}")])
        clock[0] = START + 24 * HOUR
        source = LocalLogSource(tmp_path / "log", BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD, 1), now=lambda: clock[0])
        idle, behind = (source.build_part("input", name, None) for name in source.list_parts())
        read_then = START + HOUR

        def poll() -> bool:
            nonlocal read_then
            idle.next_batch()
            passed = idle.snapshot()[2]
            assert passed <= read_then + HOUR + MOST_AHEAD_MS or read_then == START + 5 * HOUR
            read_then = max([read_then, *(item.log_time for item in behind.next_batch() if isinstance(item, Message))])
            return passed > START + 23 * HOUR

        wait_until(poll, "the wall clock, once all is read", every=0.01)
        idle.close()
        behind.close()


def test_after_a_restart_no_partition_is_read_far_ahead_of_others_that_begin_with_a_tick(open_parts: Open) -> None:
    """Their first messages are not known while they emit a tick that the last run had left."""
    parts = open_parts(tail=True)
    found = read_all(parts, 4)
    newest, last = max(found)
    snapshots = [part.snapshot() for part in parts]
    for partition, (version, offset, log_time, seq, _, *rest) in enumerate(snapshots):
        ticked = log_time if partition == last else log_time - 5_000
        snapshots[partition] = (version, offset, log_time, seq, ticked, *rest)
    parts = open_parts(snapshots, tail=True)
    for at, _ in read_all([*parts[last:], *parts[:last]], sum(map(len, TIMES)) - len(found)):
        assert at >= newest - MOST_AHEAD_MS
        newest = max(newest, at)


class _RegistryIsDown:
    held = False

    def decode(self, value: bytes) -> tuple[bytes, bytes]:
        raise RegistryUnavailableError("down")


def test_the_other_partitions_do_not_wait_for_a_schema_registry(broker: Tansu) -> None:
    topic, old = broker.new_topic(2), wall() - HOUR
    produce(broker, topic, [b"\x00\x00\x00\x00\x01{}"], partition=0, times=[old])
    produce(broker, topic, [b"{}"] * 3, partition=1, times=[old + 1_000, old + 10 * MOST_AHEAD_MS, old + 20 * MOST_AHEAD_MS])
    registry: Any = _RegistryIsDown()
    policy = BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD, 100)
    source = KafkaSource(Cluster(broker.brokers, topic, "g"), policy, now=wall, registry=registry)
    parts = [source.build_part("input", f"{topic}:{index}", None) for index in range(2)]
    found: list[int] = []

    def poll() -> bool:
        for part in parts:
            found.extend(item.partition for item in part.next_batch() if isinstance(item, Message))
        return found == [1, 1, 1]

    wait_until(poll, "what needs no registry", every=0.01)
    for part in parts:
        part.close()


class TestRules:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        clock = [1_000.0]
        monkeypatch.setattr("sources.alignment.time.monotonic", lambda: clock[0])
        return clock

    def test_a_partition_that_fetches_is_waited_for_only_so_long(self, clock: list[float]) -> None:
        """Its broker may be down."""
        alignment = PartitionAlignment(now=None)
        alignment.fetches(0, START)
        assert 0 < alignment.limit(1) <= START + MOST_AHEAD_MS
        clock[0] += FIRST_PATIENCE_S
        alignment.fetches(0, START)
        assert alignment.limit(1) == NEVER
        alignment.has_next(0, START + HOUR)
        clock[0] += 1_000
        assert 0 < alignment.limit(1) <= START + HOUR + MOST_AHEAD_MS, "it is read now"
        alignment.fetches(0, START + HOUR)
        assert 0 < alignment.limit(1) <= START + HOUR + MOST_AHEAD_MS
        clock[0] += PATIENCE_S
        assert alignment.limit(1) == NEVER

    def test_a_partition_that_gives_messages_is_waited_for_however_long_it_takes(self, clock: list[float]) -> None:
        """Each fetch may be read whole, so that nothing is in hand after it."""
        alignment = PartitionAlignment(now=None)
        for second in range(60):
            alignment.has_next(0, START + second)
            clock[0] += 1
            assert 0 < alignment.limit(1) <= START + second + MOST_AHEAD_MS + 1
        alignment.fetches(0, START + HOUR)
        clock[0] += PATIENCE_S
        assert alignment.limit(1) == NEVER

    def test_of_many_partitions_each_waits_for_the_first_of_the_others(self) -> None:
        alignment, chance = PartitionAlignment(now=None, most_ahead_ms=0), Random(1)
        known = dict.fromkeys(range(8), START)
        for _ in range(500):
            partition = chance.randrange(8)
            known[partition] += chance.choice([0, 0, 1, 5])
            alignment.has_next(partition, known[partition])
            for each in known.keys() & alignment._next.keys():
                others = [at + (other > each) for other, at in known.items() if other != each and other in alignment._next]
                until = min(others, default=NEVER)
                assert alignment._until(each) == until
                assert alignment.limit(each) == (until if known[each] < until else 0)

    def test_nobody_waits_for_one_that_has_ended_or_is_hardly_behind(self) -> None:
        now = START + HOUR
        alignment = PartitionAlignment(now=lambda: now)
        alignment.has_next(0, now - BEHIND_MS)
        assert alignment.limit(1) == NEVER
        alignment.has_next(0, now - BEHIND_MS - 1)
        assert 0 < alignment.limit(1) < now
        assert alignment.limit(0) == NEVER, "it waits for no other"
        alignment.end(0)
        assert alignment.limit(1) == NEVER

    def test_of_messages_of_one_time_those_of_the_first_partition_come_first(self) -> None:
        alignment = PartitionAlignment(now=None, most_ahead_ms=0)
        for partition in range(3):
            alignment.has_next(partition, START)
        assert [alignment.limit(partition) > START for partition in range(3)] == [True, False, False]

    def test_no_poll_of_a_partition_reads_anything_while_others_were_not_polled(self) -> None:
        alignment = PartitionAlignment(now=None)
        for partition in range(3):
            alignment.add(partition)
        waits = [alignment.limit(partition) == 0 for partition in (0, 0, 1, 0, 1, 2, 0, 1, 2)]
        assert waits == [True] * 5 + [False] * 4

    def test_a_partition_that_is_never_polled_is_waited_for_only_so_long(self, clock: list[float]) -> None:
        alignment = PartitionAlignment(now=None)
        for late in (1, 2):
            alignment.add(late)
            clock[0] += 10 * FIRST_PATIENCE_S  # the others are still opened
            assert not alignment.limit(0)
            clock[0] += FIRST_PATIENCE_S - 1
            assert not alignment.limit(0)
            clock[0] += 1
            assert alignment.limit(0)

    def test_nobody_waits_for_the_first_poll_of_one_that_has_ended(self) -> None:
        alignment = PartitionAlignment(now=None)
        alignment.add(1)
        assert not alignment.limit(0)
        alignment.end(1)
        assert alignment.limit(0)

    def test_a_batch_ends_before_what_may_not_be_read_yet(self) -> None:
        log_time = LogTime(BatchPolicy(lambda *_: None, lambda _: HOUR), 0, now=lambda: START + 20)
        log_time.begin_batch(START + 10)
        at, action = log_time.admit(START)
        assert not action.ends
        log_time.append(at)
        assert log_time.take_next(START + 9)
        assert not log_time.take_next(START + 10)
        assert log_time.admit(START + 10)[1].ends
        assert not log_time.admit(None)[1].ends, "a message without a time has no place among those of others"
