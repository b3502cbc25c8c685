"""The Kafka source against a real broker on the wire."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer

from sources.batching import BatchPolicy
from sources.errors import BrokerError, OffsetGapError, SourceError, UnreachableError
from sources.kafka.append import append_everywhere
from sources.kafka.client import Cluster, ErrorHandler
from sources.kafka.closing import ConsumerCloser
from sources.kafka.partition import ACCEPT_GAP_SETTING, Partition
from sources.kafka.source import KafkaSource
from sources.log_time import LAG_MS, MIN_TIME
from state.messages import Message, Tick
from tests.sources.harness import LOOKAHEAD, drain
from tests.sources.kafka_topic import group_offset, produce, source_of, wall
from tests.support.refusing_kafka import run_refusing_kafka
from tests.support.scripted_kafka import ScriptedCluster, ScriptedRecord
from tests.support.tansu import Tansu, run_tansu, tansu_fixture
from tests.support.waiting import ends_within, join, pause, suspend, wait_until

broker = tansu_fixture
START = 1_700_000_000_000


@pytest.fixture
def own_broker() -> Iterator[Tansu]:
    """A broker of this test alone, to be killed."""
    with run_tansu() as tansu:
        yield tansu


def read(source: KafkaSource, part: str, resume: Any = None) -> tuple[list[Message], Any]:
    built = source.build_part("input", part, resume)
    items: list[Message | Tick] = []
    try:
        assert drain(built, items.extend)
        return [item for item in items if isinstance(item, Message)], built.snapshot()
    finally:
        built.close()


def opened(source: KafkaSource) -> Partition:
    """The first partition."""
    part = source.build_part("input", f"{source.cluster.topic}:0", None)
    assert isinstance(part, Partition)
    return part


def test_six_partitions_each_in_order_with_everything_a_message_carries(broker: Tansu) -> None:
    topic = broker.new_topic(6)
    for index in range(6):
        produce(broker, topic, [b"%d-%d" % (index, n) for n in range(50)], index, key=b"user", headers={"traceparent": "00-a-b-01"})
    source = source_of(broker, topic)
    parts = source.list_parts()
    assert parts == [f"{topic}:{index}" for index in range(6)]
    for index, part in enumerate(parts):
        messages, snapshot = read(source, part)
        assert source.positions.of[index] == snapshot[1:3], "for metrics"
        assert [message.value for message in messages] == [b"%d-%d" % (index, n) for n in range(50)]
        assert [message.offset for message in messages] == list(range(50))
        assert [message.seq for message in messages] == list(range(2, 102, 2))
        assert {(m.key, m.topic, m.partition, m.traceparent) for m in messages} == {(b"user", topic, index, "00-a-b-01")}
        assert all(abs(m.log_time - wall()) < 60_000 and m.reference == m.log_time for m in messages)
        assert source.lag[index] == 0


def test_what_concerns_everybody_is_in_every_partition_with_one_time(broker: Tansu) -> None:
    topic = broker.new_topic(3)
    produce(broker, topic, [b"a"], 1)
    source = source_of(broker, topic)
    assert append_everywhere(source.cluster, b"switch", START) == 3
    read_last = [read(source, part)[0][-1] for part in source.list_parts()]
    assert [(message.value, message.offset) for message in read_last] == [(b"switch", 0), (b"switch", 1), (b"switch", 0)]


def test_a_batch_ends_after_a_switch_of_guidance(broker: Tansu) -> None:
    topic = broker.new_topic()
    produce(broker, topic, [b"a", b"b"], key=b"user")
    append_everywhere(source_of(broker, topic).cluster, b'{"eventType": "guidance_switched"}', wall())
    produce(broker, topic, [b"c"], key=b"user")
    source = source_of(broker, topic)
    part = opened(source)
    batches: list[list[bytes]] = []

    def take(batch: list[Message | Tick]) -> None:
        assert not source.positions.clock.paused
        batches.append([item.value for item in batch if isinstance(item, Message)])
        assert source.positions.of[0].offset >= sum(map(len, batches))
        part.snapshot()
        assert list(source.positions.clock.paused) == [0]

    assert drain(part, take)
    part.close()
    ends = [batch[-1] for batch in batches if batch]
    assert b'{"eventType": "guidance_switched"}' in ends
    assert ends[-1] == b"c"


def test_what_concerns_everybody_is_refused_with_a_sentence_where_there_is_no_topic(broker: Tansu) -> None:
    with pytest.raises(SourceError, match="has no topic nowhere"):
        append_everywhere(Cluster(broker.brokers, "nowhere", "g", timeout_s=1.0), b"switch", START)


def test_time_never_goes_back_and_a_producer_with_a_wrong_clock_moves_nothing(broker: Tansu) -> None:
    topic = broker.new_topic()
    produce(broker, topic, [b"a", b"b", b"c", b"d"], times=[253_370_764_800_000, START, START - 5, 253_370_764_800_000])
    messages, _ = read(source_of(broker, topic), f"{topic}:0")
    assert [message.log_time for message in messages] == [MIN_TIME, START, START, START]
    assert abs(messages[0].reference - wall()) < 60_000
    assert messages[3].reference == START


def test_poison_passes_as_bytes(broker: Tansu) -> None:
    topic = broker.new_topic()
    values = [b"", b"\x00\xff", "🙂".encode(), b"{" * 1_000_000]
    produce(broker, topic, values)
    producer = Producer({"bootstrap.servers": broker.brokers, "log_level": 0})
    producer.produce(topic, None, key=b"k", partition=0)
    producer.flush(10)
    messages, _ = read(source_of(broker, topic), f"{topic}:0")
    assert [message.value for message in messages] == [*values, b""]


def test_offsets_reach_the_group_only_once_durable_and_a_job_without_a_snapshot_reads_everything_all_the_same(
    broker: Tansu, caplog: pytest.LogCaptureFixture
) -> None:
    """The position belongs to the state. A job that has lost both would otherwise have neither the old users nor their events."""
    topic = broker.new_topic()
    produce(broker, topic, [b"%d" % n for n in range(10)])
    source = source_of(broker, topic, group="g1", batch_size=4)
    part = source.build_part("input", f"{topic}:0", None)
    batch: list[Message | Tick] = []

    def first() -> bool:
        batch.extend(part.next_batch())
        return bool(batch)

    wait_until(first, "the first batch")
    part.snapshot()
    pause(0.2, "a commit that must not happen would take less")
    assert group_offset(broker, topic, "g1") < 0  # that epoch may still be lost
    part.next_batch()
    read_so_far = sum(isinstance(item, Message) for item in batch)
    wait_until(lambda: group_offset(broker, topic, "g1") == read_so_far, "the commit")
    part.close()
    everything, _ = read(source_of(broker, topic, group="another"), f"{topic}:0")
    assert len(everything) == 10
    assert not [each for each in caplog.records if each.name == "sources.kafka.partition"]
    everything, _ = read(source_of(broker, topic, group="g1"), f"{topic}:0")
    assert len(everything) == 10
    assert f"the consumer group g1 has read it up to offset {read_so_far}, and this data directory has no position in it" in caplog.text


def test_a_clean_end_leaves_the_group_exact(broker: Tansu) -> None:
    topic = broker.new_topic()
    produce(broker, topic, [b"x"] * 25)
    read(source_of(broker, topic, group="g2"), f"{topic}:0")
    wait_until(lambda: group_offset(broker, topic, "g2") == 25, "the commit")


@pytest.mark.slow  # this broker reports no error for such an offset; it shows in the statistics, after a few seconds
def test_a_position_that_is_not_in_the_topic_is_refused_until_accepted(broker: Tansu) -> None:
    topic = broker.new_topic()
    produce(broker, topic, [b"x"] * 3)
    snapshot = (1, 1_000, START, 2_000, START)
    with pytest.raises(OffsetGapError, match=ACCEPT_GAP_SETTING):
        read(source_of(broker, topic), f"{topic}:0", snapshot)
    messages, _ = read(source_of(broker, topic, accept_gap=True), f"{topic}:0", snapshot)
    assert [message.offset for message in messages] == [0, 1, 2]
    assert messages[0].seq == 2_002
    assert messages[0].log_time > START


def test_a_topic_that_was_created_again_is_refused_until_accepted_although_it_has_the_position(broker: Tansu) -> None:
    """The messages before the position are others, and were never read."""
    topic = broker.new_topic()
    produce(broker, topic, [b"old"] * 3)
    _, snapshot = read(source_of(broker, topic), f"{topic}:0")
    more, snapshot = read(source_of(broker, topic), f"{topic}:0", snapshot)
    assert not more, "nothing is wrong with the topic as long as it is the same"
    broker.create_again(topic)
    produce(broker, topic, [b"%d" % n for n in range(10)])
    with pytest.raises(OffsetGapError, match=rf"created again, or it is that of another cluster .*{ACCEPT_GAP_SETTING}=true"):
        read(source_of(broker, topic), f"{topic}:0", snapshot)
    messages, again = read(source_of(broker, topic, accept_gap=True), f"{topic}:0", snapshot)
    assert [message.value for message in messages] == [b"%d" % n for n in range(10)]
    assert messages[0].seq > snapshot[3], "what follows comes after everything before"
    assert read(source_of(broker, topic), f"{topic}:0", again)[0] == [], "it is accepted once"


def test_a_snapshot_without_the_id_of_its_topic_gets_it_and_goes_on(broker: Tansu) -> None:
    topic = broker.new_topic()
    produce(broker, topic, [b"x"] * 5)
    messages, snapshot = read(source_of(broker, topic), f"{topic}:0", (1, 3, START, 8, START))
    assert [message.offset for message in messages] == [3, 4]
    broker.create_again(topic)
    produce(broker, topic, [b"x"] * 10)
    with pytest.raises(OffsetGapError, match="created again"):
        read(source_of(broker, topic), f"{topic}:0", snapshot)


@pytest.mark.parametrize(("now", "kept"), [("", "cluster:a"), ("cluster:a", "cluster:a"), ("topic:x", "topic:x")])
def test_a_cluster_that_does_not_tell_the_id_of_a_topic_is_believed(now: str, kept: str) -> None:
    cluster = ScriptedCluster(records=[ScriptedRecord(0), ScriptedRecord(1)], end=2, id=now)
    part = KafkaSource(cluster, BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD), now=wall, tail=False).build_part(
        "input", "events:0", (1, 1, START, 4, START, "cluster:a")
    )
    assert part.snapshot() == (1, 1, START, 4, START, kept)
    part.close()


def test_an_old_broker_has_no_ids_of_topics() -> None:
    with run_refusing_kafka() as kafka:
        assert Cluster(kafka.brokers, kafka.topic, "g", timeout_s=20).topic_id(lambda: False) == ""


def test_an_unknown_topic_is_one_sentence(broker: Tansu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.kafka.client._TOPIC_GRACE_S", 0.5)
    with pytest.raises(BrokerError, match="has no topic nobody-made-this; create it"):
        source_of(broker, "nobody-made-this").list_parts()


def test_settings_do_not_change_what_a_guarantee_rests_on(broker: Tansu) -> None:
    topic = broker.new_topic()
    produce(broker, topic, [b"x"])
    settings = {"enable.partition.eof": "false", "group.id": "another", "bootstrap.servers": "127.0.0.1:1", "auto.offset.reset": "latest"}
    source = source_of(broker, topic)
    source.cluster = Cluster(broker.brokers, topic, topic, settings, timeout_s=20)
    messages, _ = read(source, f"{topic}:0")
    assert [message.value for message in messages] == [b"x"]
    wait_until(lambda: group_offset(broker, topic, topic) == 1, "the commit")


def test_wrong_settings_are_one_sentence_without_secrets(broker: Tansu) -> None:
    cluster = Cluster(broker.brokers, "t", "g", settings={"sasl.passwort": "hunter2"})
    with pytest.raises(BrokerError, match=r"settings are not valid: .*sasl\.passwort") as raised:
        cluster.partitions(lambda: False)
    assert "hunter2" not in str(raised.value)
    assert "hunter2" not in repr(cluster)


def test_nobody_there_is_one_sentence_after_a_bounded_time() -> None:
    cluster = Cluster("127.0.0.1:1", "t", "g", timeout_s=0.5)
    with pytest.raises(UnreachableError, match="did not answer"):
        cluster.partitions(lambda: False)


def test_what_can_wait_is_done_while_there_is_nothing_to_read(broker: Tansu) -> None:
    done = list[int]()
    policy = BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD, 100, lambda: done.append(1))
    part = opened(KafkaSource(Cluster(broker.brokers, broker.new_topic(), "onramp"), policy, now=wall))
    assert not part.next_batch()
    assert part.next_awake() is not None
    assert len(done) == 1
    part.close()


def test_a_timer_fires_before_the_message_that_passes_it_when_working_off_a_backlog(broker: Tansu) -> None:
    topic = broker.new_topic()
    times = [START, START + 1_500, START + 10 * LOOKAHEAD, START + 10 * LOOKAHEAD + 1]
    produce(broker, topic, [b"a", b"b", b"c", b"d"], times=times)
    timers = [START + LOOKAHEAD]
    source = source_of(broker, topic, peek=lambda *_: timers[0] if timers else None)
    part = source.build_part("input", f"{topic}:0", None)
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


def test_ticks_stay_behind_the_messages_and_come_at_most_once_a_second_of_log_time(broker: Tansu) -> None:
    topic = broker.new_topic()
    produce(broker, topic, [b"x"] * 40, times=[START + n * 250 for n in range(40)])
    part = source_of(broker, topic, batch_size=1).build_part("input", f"{topic}:0", None)
    items: list[Message | Tick] = []
    drain(part, items.extend)
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


def test_what_the_wall_clock_says_is_written_down_before_it_is_sent(broker: Tansu) -> None:
    topic = broker.new_topic()
    produce(broker, topic, [b"x"])
    part = opened(source_of(broker, topic, tail=True))
    sent: list[int] = []

    def idle_time_passed() -> bool:
        sent.extend(item.at for item in part.next_batch() if isinstance(item, Tick))
        return part._time.idle_time > part._time.log_time

    wait_until(idle_time_passed, "idle time")
    idle_time = part._time.idle_time
    assert all(at < idle_time - 1_000 for at in sent), "a tick of the wall clock went out before any snapshot"
    state = part.snapshot()
    part.close()
    again = source_of(broker, topic, tail=True).build_part("input", f"{topic}:0", state)
    (tick,) = again.next_batch()
    assert isinstance(tick, Tick)
    assert idle_time - 1_000 <= tick.at <= idle_time
    again.close()


@pytest.mark.slow
def test_idle_time_passes_with_the_wall_clock_but_not_while_the_broker_is_dead(own_broker: Tansu) -> None:
    topic = own_broker.new_topic()
    produce(own_broker, topic, [b"x"])
    part = source_of(own_broker, topic, tail=True).build_part("input", f"{topic}:0", None)
    ticks: list[Tick] = []

    def look() -> None:
        ticks.extend(item for item in part.next_batch() if isinstance(item, Tick))

    def passes(count: int) -> bool:
        look()
        part.snapshot()
        return len(ticks) >= count

    wait_until(lambda: passes(3), "three ticks")
    assert all(wall() - tick.at >= 2_000 for tick in ticks)
    assert wall() - ticks[-1].at < 6_000
    own_broker.kill()
    died = wall()
    for _ in range(1_200):
        look()
        pause(0.005, "six seconds without a broker, in which a live one would let three ticks pass")
    assert max(tick.at for tick in ticks) <= died
    part.close()


@pytest.mark.slow
def test_a_broker_that_dies_and_comes_back_without_its_messages_is_a_gap_not_a_silence(own_broker: Tansu) -> None:
    topic = own_broker.new_topic()
    produce(own_broker, topic, [b"x"] * 5)
    part = source_of(own_broker, topic, tail=True).build_part("input", f"{topic}:0", None)
    items: list[Message | Tick] = []

    def five() -> bool:
        items.extend(part.next_batch())
        return sum(isinstance(item, Message) for item in items) == 5

    wait_until(five, "five messages")
    own_broker.kill()
    for _ in range(100):
        assert not [item for item in part.next_batch() if isinstance(item, Message)]
        pause(0.005, "the broker is dead for a while")
    own_broker.start()
    own_broker.create_topic(topic)

    def poll() -> bool:
        part.next_batch()
        return False

    with pytest.raises((OffsetGapError, BrokerError)):
        wait_until(poll, "the gap to be found")
    part.close()


def test_a_broker_that_freezes_and_comes_back_costs_nothing(own_broker: Tansu) -> None:
    topic = own_broker.new_topic()
    produce(own_broker, topic, [b"%d" % n for n in range(5)])
    part = source_of(own_broker, topic, tail=True).build_part("input", f"{topic}:0", None)
    values: list[bytes] = []

    def has(count: int) -> bool:
        values.extend(item.value for item in part.next_batch() if isinstance(item, Message))
        return len(values) >= count

    wait_until(lambda: has(5), "five messages")
    assert own_broker.process is not None
    suspend(own_broker.process.pid)
    for _ in range(200):
        has(6)
        pause(0.005, "the broker is frozen for a while")
    own_broker.process.send_signal(signal.SIGCONT)
    produce(own_broker, topic, [b"%d" % n for n in range(5, 10)])
    wait_until(lambda: has(10), "ten messages")
    part.close()
    assert values == [b"%d" % n for n in range(10)]


def test_partitions_close_within_some_seconds_although_the_broker_is_dead(own_broker: Tansu, caplog: pytest.LogCaptureFixture) -> None:
    """Librdkafka itself waits for the answer to a commit: 45 seconds for each consumer, or for ever."""
    topic = own_broker.new_topic(3)
    source = source_of(own_broker, topic, tail=True)
    source.closer = ConsumerCloser(topic, 1.0)
    parts = [source.build_part("input", f"{topic}:{index}", None) for index in range(3)]
    own_broker.kill()
    for part in parts:
        part.snapshot()
    with ends_within(20, "closing three partitions"):
        for part in parts:
            part.close()
    assert [f"{topic}: Kafka does not answer the last commit of a partition; this process ends without it"] * 3 == [
        record.getMessage() for record in caplog.records if record.name == "sources.kafka.closing"
    ]


@pytest.mark.parametrize("code", [KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE])
def test_what_kafka_itself_says_of_a_lost_position_is_a_gap(broker: Tansu, code: int) -> None:
    topic = broker.new_topic()
    part = opened(source_of(broker, topic))
    with pytest.raises(OffsetGapError):
        part._handle_error(KafkaError(code))
    part.close()


def test_what_librdkafka_retries_is_logged_now_and_then_and_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    errors = ErrorHandler(Cluster("broker:9092", "events", "onramp"))
    for _ in range(100):
        errors.handle(KafkaError(KafkaError._TRANSPORT))
    errors.raise_if_refused()
    assert len(caplog.records) == 1


def test_the_start_waits_for_a_broker_that_is_still_coming(own_broker: Tansu) -> None:
    own_broker.kill()
    found: list[str] = []
    source = source_of(own_broker, "late", timeout_s=60)
    starting = threading.Thread(target=lambda: found.extend(source.list_parts()), daemon=True)
    starting.start()
    pause(0.5, "the start finds no broker at first")
    own_broker.start()
    own_broker.create_topic("late", 2)
    join(starting, "the start", within=90)
    assert found == ["late:0", "late:1"]


def test_a_timer_that_a_fired_timer_registers_fires_before_the_message_too(broker: Tansu) -> None:
    topic = broker.new_topic()
    produce(broker, topic, [b"a", b"b"], times=[START, START + 10 * LOOKAHEAD])
    timers = [START + LOOKAHEAD]
    part = source_of(broker, topic, peek=lambda *_: timers[0] if timers else None).build_part("input", f"{topic}:0", None)
    seen: list[bytes | int] = []

    def take(batch: list[Message | Tick]) -> None:
        for item in batch:
            if isinstance(item, Message):
                seen.append(item.value)
            elif timers and item.at >= timers[0]:
                seen.append(timers[0])
                timers[:] = [timers[0] + LOOKAHEAD] if len(seen) < 4 else []

    assert drain(part, take)
    part.close()
    assert seen == [b"a", START + LOOKAHEAD, START + 2 * LOOKAHEAD, START + 3 * LOOKAHEAD, b"b"]
