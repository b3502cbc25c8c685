"""What every source keeps: resumed at any point it gives each message once, it stops when told, its snapshots are plain data."""

from __future__ import annotations

import gzip
import pickle
import pickletools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sources.batching import BatchPolicy
from sources.files.source import TICK_MS, JsonlSource
from sources.kafka.client import Cluster
from sources.kafka.source import KafkaSource
from sources.local_log.log import EventLog, Record
from sources.local_log.source import LocalLogSource
from state.messages import Message, Tick
from tests.sources.harness import LOOKAHEAD, NOW, Part, drain, line, peek
from tests.sources.kafka_topic import produce
from tests.support.tansu import Tansu, tansu_fixture

broker = tansu_fixture
START = 1_700_000_000_000
COUNT = 12
TIMES = [START + n * TICK_MS * 2 // 3 for n in range(COUNT)]


@dataclass
class Case:
    """A bounded source over ``COUNT`` messages."""

    open: Callable[..., Part]
    """Takes a snapshot, and optionally ``stopping`` and ``paused``."""


@pytest.fixture(params=["file", "gzip", "kafka", "local log"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    lines = [line(time, n=n) for n, time in enumerate(TIMES)]
    policy = BatchPolicy(None, lambda _: LOOKAHEAD, 2)  # timers unknown: as many ticks as can be
    opened: list[Part] = []
    if request.param == "kafka":
        broker: Tansu = request.getfixturevalue("broker")
        topic = broker.new_topic()
        produce(broker, topic, lines, times=TIMES)

        def build(snapshot: Any, **more: Any) -> Part:
            source = KafkaSource(Cluster(broker.brokers, topic, "g"), policy, now=lambda: int(time.time() * 1_000), tail=False, **more)
            (name,) = source.list_parts()
            return source.build_part("input", name, snapshot)
    elif request.param == "local log":
        clock = iter(TIMES)
        with EventLog(tmp_path / "log", partitions=1, retention=None, now=lambda: next(clock)) as log:
            for value in lines:
                log.append([Record(b"user", value)])

        def build(snapshot: Any, **more: Any) -> Part:
            source = LocalLogSource(tmp_path / "log", policy, now=lambda: int(time.time() * 1_000), tail=False, **more)
            (name,) = source.list_parts()
            return source.build_part("input", name, snapshot)
    else:
        path = tmp_path / "events.jsonl"
        content = b"\n".join(lines)
        path.write_bytes(gzip.compress(content) if request.param == "gzip" else content)

        def build(snapshot: Any, **more: Any) -> Part:
            source = JsonlSource(path, peek, policy, now=lambda: NOW, **more)
            (name,) = source.list_parts()
            return source.build_part("input", name, snapshot)

    def open_part(snapshot: Any, **more: Any) -> Part:
        part = build(snapshot, **more)
        opened.append(part)
        return part

    yield Case(open_part)
    for part in opened:
        part.close()  # for the second time, some of them


def messages_of(items: list[Message | Tick]) -> list[Message]:
    return [item for item in items if isinstance(item, Message)]


def test_resumed_after_every_batch_it_gives_every_message_once_and_the_same(case: Case) -> None:
    whole: list[Message | Tick] = []
    assert drain(case.open(None), whole.extend)
    assert len(messages_of(whole)) == COUNT
    for batches in range(0, len(whole) + 1, 3):
        items: list[Message | Tick] = []
        first = case.open(None)
        drain(first, items.extend, batches)
        assert drain(case.open(pickle.loads(pickle.dumps(first.snapshot()))), items.extend)
        assert messages_of(items) == messages_of(whole)


def test_resumed_again_and_again_it_gives_every_message_once_and_the_same(case: Case) -> None:
    whole: list[Message | Tick] = []
    drain(case.open(None), whole.extend)
    items: list[Message | Tick] = []
    snapshot, ended = None, False
    for _ in range(100 * len(whole)):
        part = case.open(snapshot)
        ended = drain(part, items.extend, 1)
        snapshot = part.snapshot()
        part.close()
        if ended:
            break
    assert ended, "the input has an end"
    assert messages_of(items) == messages_of(whole)


def test_snapshots_are_plain_data(case: Case) -> None:
    part = case.open(None)
    drain(part, lambda _: None, 3)
    snapshot = part.snapshot()
    opcodes = {opcode.name for opcode, _, _ in pickletools.genops(pickle.dumps(snapshot))}
    assert not opcodes & {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "NEWOBJ"}


def test_a_snapshot_does_not_change_afterwards(case: Case) -> None:
    part = case.open(None)
    drain(part, lambda _: None, 1)
    snapshot = part.snapshot()
    before = pickle.dumps(snapshot)
    drain(part, lambda _: None)
    assert pickle.dumps(snapshot) == before


def test_at_its_end_it_stays_at_its_end(case: Case) -> None:
    part = case.open(None)
    drain(part, lambda _: None)
    for _ in range(3):
        with pytest.raises(StopIteration):
            part.next_batch()


def test_told_to_stop_it_ends_at_once_and_loses_nothing(case: Case) -> None:
    stop = [False]
    items: list[Message | Tick] = []
    part = case.open(None, stopping=lambda: stop[0])
    drain(part, items.extend, 3)
    stop[0] = True
    with pytest.raises(StopIteration):
        part.next_batch()
    drain(case.open(part.snapshot()), items.extend)
    assert [message.offset for message in messages_of(items)] == sorted({message.offset for message in messages_of(items)})
    assert len(messages_of(items)) == COUNT


def test_paused_it_gives_nothing_and_then_goes_on(case: Case) -> None:
    pause = [True]
    items: list[Message | Tick] = []
    part = case.open(None, paused=lambda: pause[0])
    assert [list(part.next_batch()) for _ in range(5)] == [[]] * 5
    pause[0] = False
    drain(part, items.extend)
    assert len(messages_of(items)) == COUNT


def test_time_and_seq_only_grow_and_no_batch_has_two_ticks(case: Case) -> None:
    batches: list[list[Message | Tick]] = []
    drain(case.open(None), batches.append)
    assert any(isinstance(item, Tick) for batch in batches for item in batch)
    log_time = seq = 0
    for batch in batches:
        assert sum(isinstance(item, Tick) for item in batch) <= 1
        for item in batch:
            if isinstance(item, Message):
                assert item.seq > seq
                assert item.seq % 2 == 0
                assert item.log_time >= log_time
                log_time = item.log_time
            else:
                assert item.seq >= seq
                assert item.seq % 2 == 1
            seq = item.seq
