"""Partitions that are added to a topic while the job runs are read, or they count as lag and a warning names them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError, KafkaException

from sources.batching import BatchPolicy
from sources.errors import BrokerError, OffsetGapError, SourceError, UnknownTopicError, UnreachableError
from sources.kafka.partition_watch import LEAST_SPARE, with_spares
from sources.kafka.source import KafkaSource
from sources.kafka.spare_partition import SparePartition
from sources.log_time import GRID_MS, LAG_MS
from state.messages import Message, Tick
from state.stuck.parameters import PERIOD
from tests.sources.harness import LOOKAHEAD
from tests.support.scripted_kafka import START, ScriptedCluster, ScriptedRecord
from tests.support.waiting import ends_within, wait_until


class Run:
    """A source and its partitions, driven as one Bytewax worker does."""

    def __init__(self, cluster: ScriptedCluster, states: dict[str, Any] | None = None, *, accept_gap: bool = False) -> None:
        self.stopping = False
        known = [int(name.rpartition(":")[2]) for name in states or {}]
        self.source = KafkaSource(
            cluster,
            BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD),
            now=lambda: START + 1_000,
            accept_gap=accept_gap,
            stopping=lambda: self.stopping,
            known=known,
            watch_every_s=0.02,
        )
        self.parts = {name: self.source.build_part("input", name, (states or {}).get(name)) for name in self.source.list_parts()}
        self.read: list[tuple[int, int]] = []
        self.ticks: list[tuple[int, int]] = []

    def poll(self) -> list[tuple[int, int]]:
        for part in self.parts.values():
            batch = part.next_batch()
            self.read += [(item.partition, item.offset) for item in batch if isinstance(item, Message)]
            self.ticks += [(item.partition, item.at - START) for item in batch if isinstance(item, Tick)]
        return self.read

    def states(self) -> dict[str, Any]:
        return {name: part.snapshot() for name, part in self.parts.items()}


@contextmanager
def run(cluster: ScriptedCluster, states: dict[str, Any] | None = None, *, accept_gap: bool = False) -> Iterator[Run]:
    started = Run(cluster, states, accept_gap=accept_gap)
    try:
        yield started
    finally:
        started.stopping = True
        for part in started.parts.values():
            with pytest.raises(StopIteration):
                part.next_batch()
            part.close()


def two_records() -> ScriptedCluster:
    return ScriptedCluster(records=[ScriptedRecord(0), ScriptedRecord(1)], end=2)


def test_a_new_partition_is_read_from_its_beginning(caplog: pytest.LogCaptureFixture) -> None:
    cluster = two_records()
    with caplog.at_level(logging.INFO), run(cluster) as running:
        assert list(running.parts) == [f"events:{index}" for index in range(1 + LEAST_SPARE)]
        wait_until(lambda: running.poll() == [(0, 0), (0, 1)], "what is there at the start")
        cluster.present.append(1)
        wait_until(lambda: running.poll()[2:] == [(1, 0), (1, 1)], "the new partition")
    assert "events has new partitions; this job reads them from their beginning: 1" in caplog.text


def test_a_new_partition_that_a_broker_does_not_know_yet_is_tried_again() -> None:
    cluster = two_records()
    with run(cluster) as running:
        cluster.unknown[0] = 3
        cluster.present.append(1)
        wait_until(lambda: (1, 1) in running.poll(), "the new partition")
        assert cluster.unknown == [0]


def test_a_new_partition_without_a_leader_is_opened_once_it_has_one(caplog: pytest.LogCaptureFixture) -> None:
    cluster = two_records()
    cluster.leaderless.add(1)
    with caplog.at_level(logging.INFO), run(cluster) as running:
        cluster.present.extend([1, 2])
        wait_until(lambda: (2, 1) in running.poll(), "the new partition that has a leader")
        assert not [place for place in running.read if place[0] == 1]
        assert "from their beginning: 2" in caplog.text
        cluster.leaderless.clear()
        wait_until(lambda: (1, 1) in running.poll(), "the other one")


def test_a_new_partition_whose_leader_does_not_answer_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.kafka.spare_partition._OPEN_SPARE_S", 0.02)
    cluster = two_records()
    cluster.silent.add(1)
    with ends_within(30, "a few tries to open it, of which none takes the minute of the cluster"), run(cluster) as running:
        cluster.present.append(1)

        def tried() -> bool:
            running.poll()
            return len(cluster.consumers) > 5

        wait_until(tried, "a few tries")
        assert running.read == [(0, 0), (0, 1)]
        assert sum(not consumer.closed for consumer in cluster.consumers) == 2  # that of the first partition, and the watch's
        cluster.silent.clear()
        wait_until(lambda: (1, 1) in running.poll(), "the new partition")
        part = running.parts["events:1"]
        assert isinstance(part, SparePartition)
        assert part._opened is not None
        assert part._opened._timeout_s == cluster.timeout_s


def test_no_error_ends_the_watch_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    cluster = two_records()
    with run(cluster) as running:
        cluster.list_errors.extend([KafkaException(KafkaError(KafkaError._TRANSPORT)), AttributeError("a field that is no longer there")])
        cluster.present.append(1)
        wait_until(lambda: (1, 1) in running.poll(), "the new partition")
    assert "The partitions of events cannot be listed now (AttributeError('a field that is no longer there')); trying again" in caplog.text


def test_a_partition_that_cannot_be_opened_leaves_no_consumer_behind() -> None:
    cluster = ScriptedCluster(timeout_s=0.01, silent={0})
    source = KafkaSource(cluster, BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD), now=lambda: START)
    for state, error, text in ((None, UnreachableError, "did not answer"), ((0, 0, START, 0, START), SourceError, "another version")):
        with pytest.raises(error, match=text):
            source.build_part("input", "events:0", state)
    assert [consumer.closed for consumer in cluster.consumers] == [True]


def test_a_partition_that_was_new_in_the_last_run_resumes_where_it_was() -> None:
    cluster = two_records()
    with run(cluster) as first:
        cluster.present.append(1)
        wait_until(lambda: len(first.poll()) == 4, "both partitions")
        states = first.states()
    assert states["events:2"] is None
    with run(cluster, states) as second:
        cluster.records.append(ScriptedRecord(2))
        opened: list[Any] = [second.parts["events:0"], second.parts["events:1"]]
        for part in opened:
            part._consumer.end = 3
        wait_until(lambda: len(second.poll()) >= 2, "the third message of both")
    assert sorted(second.read) == [(0, 2), (1, 2)]


def test_a_partition_that_has_gone_keeps_its_position_until_it_is_back() -> None:
    cluster = two_records()
    state = (1, 2, START, 4, START)
    with run(cluster, {"events:5": state}) as running:
        running.poll()
        assert running.states()["events:5"] == (*state, "")


def test_a_partition_that_has_gone_is_listed_as_long_as_the_recovery_store_has_it() -> None:
    """Bytewax refuses a resume with a partition that the source does not list."""
    far = 3 * LEAST_SPARE
    with run(two_records(), {f"events:{far}": None, "events:0": None}) as running:
        assert list(running.parts) == [f"events:{index}" for index in range(far + 1)]


def at_minute(minute: int, offset: int = 7, topic: str = "topic:old") -> tuple[int, int, int, int, int, str]:
    return 1, offset, START + minute * 60_000, 4, START + minute * 60_000, topic


def test_the_time_of_a_partition_that_has_gone_goes_on_with_the_slowest_of_the_others() -> None:
    """It wakes the users whose last event was there, and no sooner than what they may have sent since was read."""
    cluster = ScriptedCluster(records=[ScriptedRecord(0, time=(TIMESTAMP_CREATE_TIME, START + 95_500))], end=1, present=[0, 1])
    states: dict[str, Any] = {"events:0": at_minute(0, 0, ""), "events:1": at_minute(0, 0, ""), "events:9": at_minute(0, 7, "")}
    with run(cluster, states) as running:
        running.parts["events:0"].next_batch()
        running.states()
        running.poll()
        assert [place for place in running.ticks if place[0] == 9] == [], "events:1 was not read yet"
        running.poll()
        running.states()
        wait_until(lambda: running.poll() and (9, 94_000) in running.ticks, "its tick")
        assert [place for place in running.ticks if place[0] == 9] == [(9, 94_000)]
        assert running.states()["events:9"] == (1, 7, START + 95_000, 4, START + 94_000, "")


def test_a_process_that_reads_only_spare_partitions_lets_those_that_have_gone_follow_the_clock() -> None:
    source = KafkaSource(two_records(), BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD), now=lambda: START + 90_000, known=[9])
    source.list_parts()
    part = source.build_part("input", "events:9", at_minute(0, 7, ""))
    assert part.next_batch() == []
    part.snapshot()
    assert part.next_batch() == [Tick(9, START + 87_000, 5)]
    source.stopping = lambda: True
    with pytest.raises(StopIteration):
        part.next_batch()
    part.close()


LATE = START + 10 * PERIOD


@contextmanager
def late_part(index: int, due: list[int], *, paused: Callable[[], bool] = lambda: False) -> Iterator[Any]:
    """Partition ``index`` of a job that was down for ten periods, with timers at the times of ``due``."""
    policy = BatchPolicy(lambda _, after=-1: min((each for each in due if each > after), default=None), lambda _: LOOKAHEAD)
    source = KafkaSource(ScriptedCluster(end=7), policy, now=lambda: LATE, paused=paused, known=[9])
    source.list_parts()
    part = source.build_part("input", f"events:{index}", (1, 7, LATE, 4, START, ""))
    try:
        yield part
    finally:
        part.close()


@pytest.mark.parametrize("index", [0, 9], ids=["a partition of the topic", "one that has gone"])
def test_a_partition_does_not_sleep_between_the_ticks_that_its_timers_wait_for(index: int) -> None:
    due = [START + PERIOD // 3, START + 4 * PERIOD]
    boundaries = [-(-each // PERIOD) * PERIOD for each in due]
    with late_part(index, due) as part:
        found = []
        for _ in range(3):
            [tick] = part.next_batch()
            found.append((tick.at, part.next_awake() is None))
            due[:] = [each for each in due if each > tick.at]
    assert found == [*((each, True) for each in boundaries), (LATE // GRID_MS * GRID_MS - LAG_MS, False)]


@pytest.mark.parametrize("index", [0, 9], ids=["a partition of the topic", "one that has gone"])
def test_time_stands_still_while_the_job_pauses(index: int) -> None:
    pause = [True]
    with late_part(index, [], paused=lambda: pause[0]) as part:
        assert part.next_batch() == []
        pause[0] = False
        assert [type(item) for item in part.next_batch()] == [Tick]


def test_fewer_partitions_of_a_topic_that_was_created_again_need_the_setting_that_accepts_a_gap() -> None:
    cluster = ScriptedCluster(records=[ScriptedRecord(0)], end=1, id="topic:new")
    states = {"events:0": at_minute(1), "events:9": at_minute(1)}
    with pytest.raises(OffsetGapError, match="topic events is not the one that this data directory has read: it was created again"):
        Run(cluster, states)
    with run(cluster, states, accept_gap=True) as running:
        wait_until(lambda: running.poll() == [(0, 0)], "the message of the new topic")
        kept = running.states()
    assert kept["events:9"][1::4] == (0, "topic:new"), "in the new topic it begins at its beginning"
    with run(cluster, kept) as later:
        cluster.present.append(9)
        wait_until(lambda: later.poll() == [(9, 0)], "the partition that the topic has again, without the setting")


def test_the_first_messages_wait_for_nothing() -> None:
    source = KafkaSource(two_records(), BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD), now=lambda: START)
    part = source.build_part("input", source.list_parts()[0], None)
    assert len(part.next_batch()) == 2
    part.close()


def stalled(running: Run) -> Any:
    """The first partition, as if it had fetched nothing for an hour."""
    part: Any = running.parts["events:0"]
    part._fetched_at -= 3_600
    return part


def test_nothing_is_read_from_a_topic_that_was_created_again_during_a_stall() -> None:
    cluster = ScriptedCluster(records=[ScriptedRecord(0)], end=1, id="topic:old")
    with run(cluster) as running:
        wait_until(lambda: running.poll() == [(0, 0)], "what is there at the start")
        part = stalled(running)
        cluster.created_again.append("topic:new")
        cluster.records[:] = [ScriptedRecord(offset) for offset in range(5)]
        part._consumer.position = 1  # it goes on there by itself
        with pytest.raises(OffsetGapError, match=r"created again.*topic:old before, topic:new now"):
            wait_until(lambda: running.poll() != [(0, 0)], "no message")
        assert running.read == [(0, 0)]
        cluster.created_again.clear()
        running.source._saw("topic:old")  # for the end of the run


def test_a_topic_that_was_created_again_is_read_from_its_beginning_where_that_is_accepted(caplog: pytest.LogCaptureFixture) -> None:
    cluster = ScriptedCluster(records=[ScriptedRecord(0)], end=1, id="topic:old")
    with run(cluster, accept_gap=True) as running:
        wait_until(lambda: running.poll() == [(0, 0)], "what is there at the start")
        part = stalled(running)
        cluster.created_again.append("topic:new")
        cluster.records[:] = [ScriptedRecord(offset) for offset in range(3)]
        part._consumer.position = 1
        wait_until(lambda: len(running.poll()) == 4, "the new topic")
        assert running.read == [(0, 0), (0, 0), (0, 1), (0, 2)]
        assert running.states()["events:0"][1::4] == (3, "topic:new")
    assert "is of another topic than before (topic:old, now topic:new). Continuing at 0." in caplog.text


def test_a_client_that_does_not_know_the_new_topic_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> KafkaException:
        return KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))

    cluster = ScriptedCluster(records=[ScriptedRecord(0)], end=1, id="topic:old")
    with run(cluster, accept_gap=True) as running:
        wait_until(lambda: running.poll() == [(0, 0)], "what is there at the start")
        part = stalled(running)
        cluster.created_again.append("topic:new")
        part._consumer.position = 1
        cluster.bound_errors.extend([unknown(), unknown()])
        wait_until(lambda: len(running.poll()) == 2, "the message of the new topic")
        assert (running.read, cluster.bound_errors) == ([(0, 0), (0, 0)], [])
        monkeypatch.setattr("sources.kafka.topic_identity._UNKNOWN_S", -1.0)
        cluster.created_again.append("topic:newer")
        cluster.bound_errors.append(unknown())
        stalled(running)
        with pytest.raises(UnknownTopicError):
            wait_until(lambda: len(running.poll()) > 2, "no message")
        running.parts["events:0"]._errors.forget_refusal()  # type: ignore[union-attr]


def test_messages_wait_while_nobody_tells_which_topic_it_is(caplog: pytest.LogCaptureFixture) -> None:
    cluster = ScriptedCluster(records=[ScriptedRecord(0)], end=1, id="topic:old")
    with run(cluster) as running:
        part = stalled(running)
        cluster.id_errors.append(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
        part.next_batch()
        wait_until(lambda: running.poll() or "does not tell whether it is still the same topic" in caplog.text, "the warning")
        assert running.read == []
        cluster.id_errors.clear()
        wait_until(lambda: running.poll() == [(0, 0)], "the message")


def test_a_job_without_a_doubt_goes_on_while_nobody_tells_which_topic_it_is() -> None:
    """A broker that is down, of which nothing but this question is asked, stops nobody who reads from another one."""
    cluster = ScriptedCluster(records=[ScriptedRecord(0)], end=1, id="topic:old")
    with run(cluster) as running:
        cluster.id_errors.append(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
        running.source.watch.confirmed_at -= 3_600  # type: ignore[union-attr]
        part: Any = running.parts["events:0"]
        part._identity._confirmed_from = 0.0
        wait_until(lambda: running.poll() == [(0, 0)], "the message")


def test_a_job_that_is_refused_meanwhile_says_so() -> None:
    """While messages wait the partition fetches none, and does not hear of it."""
    cluster = ScriptedCluster(records=[ScriptedRecord(0)], end=1, id="topic:old")
    with run(cluster) as running:
        part = stalled(running)
        cluster.id_errors.append(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
        cluster.connection_errors.append(KafkaError(KafkaError._AUTHENTICATION))
        part.next_batch()
        with pytest.raises(BrokerError, match="refuses this job"):
            wait_until(running.poll, "no message")
        assert running.read == []
        cluster.connection_errors.clear()
        cluster.id_errors.clear()


def test_a_refusal_that_has_passed_does_not_end_the_job_at_its_next_pause() -> None:
    """A broker that starts may refuse a login that it takes a moment later."""
    cluster = ScriptedCluster(records=[ScriptedRecord(0)], end=1, id="topic:old")
    with run(cluster) as running:
        wait_until(lambda: running.poll() == [(0, 0)], "what is there at the start")
        watch: Any = running.source.watch
        cluster.connection_errors.append(KafkaError(KafkaError._AUTHENTICATION))
        cluster.id_errors.append(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
        wait_until(lambda: watch._errors._refusal is not None, "the refusal")
        cluster.id_errors.clear()  # it is answered, though the connection reports what happened to it before
        asked = watch.ask_again()
        wait_until(lambda: watch.confirmed_at >= asked, "the answer after it")
        part = stalled(running)
        part._consumer.records = [ScriptedRecord(1)]
        part._consumer.position = 1
        wait_until(lambda: running.poll() == [(0, 0), (0, 1)], "the message after a pause")


def test_a_watch_that_cannot_connect_says_so_and_tries_again(caplog: pytest.LogCaptureFixture) -> None:
    """A file that the settings name may be in the middle of its replacement."""
    cluster = ScriptedCluster(records=[ScriptedRecord(0)], end=1, id="topic:old")
    cluster.admin_errors.append(BrokerError("The Kafka settings are not valid: the certificate cannot be read."))
    with run(cluster) as running:
        wait_until(lambda: running.poll() == [(0, 0)], "what is there at the start")
        part = stalled(running)
        part._consumer.records = [ScriptedRecord(1)]
        part._consumer.position = 1
        wait_until(lambda: running.poll() == [(0, 0), (0, 1)], "the message after a pause")
    assert "the certificate cannot be read. So nobody can ask whether events is still the same topic; trying again" in caplog.text


def test_a_job_that_needs_long_for_each_batch_goes_on() -> None:
    cluster = ScriptedCluster(records=[ScriptedRecord(0), ScriptedRecord(1)], end=2, id="topic:old")
    with run(cluster) as running:

        def polled() -> bool:
            stalled(running)
            return running.poll() == [(0, 0), (0, 1)]

        wait_until(polled, "both messages")


@pytest.mark.parametrize("sign", ["new metadata", "an error"])
def test_messages_wait_after_each_sign_that_the_topic_may_be_another(sign: str) -> None:
    cluster = ScriptedCluster(id="topic:old")
    with run(cluster) as running:
        part: Any = running.parts["events:0"]
        cluster.id_errors.append(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
        if sign == "new metadata":
            for age in (60_000, 100):
                part._on_statistics(json.dumps({"time": 1, "brokers": {}, "topics": {"events": {"metadata_age": age, "partitions": {}}}}))
        else:
            part._handle_error(KafkaError(KafkaError.UNKNOWN_TOPIC_ID))
        part._consumer.records = [ScriptedRecord(0)]
        assert part._identity._confirmed_from > running.source.watch.confirmed_at  # type: ignore[union-attr]
        part.next_batch()
        assert running.poll() == []
        cluster.id_errors.clear()
        wait_until(lambda: running.poll() == [(0, 0)], "the message")


def test_partitions_beyond_the_spare_ones_are_lag_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    cluster = two_records()
    with run(cluster) as running:
        cluster.present.extend(range(1, LEAST_SPARE + 3))

        def seen() -> bool:
            running.poll()
            return running.source.lag.get(LEAST_SPARE + 2) == 2

        wait_until(seen, "the lag of a partition that nothing reads")
        assert running.source.lag[LEAST_SPARE + 1] == 2
        wait_until(lambda: len(running.poll()) == 2 * (LEAST_SPARE + 1), "the partitions that have a spare")
    assert f"Restart the job to read them: {LEAST_SPARE + 1}, {LEAST_SPARE + 2}" in caplog.text


@pytest.mark.parametrize(("present", "listed"), [([0], 9), ([0, 1, 2, 3, 4, 5], 14), (list(range(64)), 128), ([0, 7], 16)])
def test_a_topic_can_at_least_double(present: list[int], listed: int) -> None:
    assert with_spares(present) == listed
