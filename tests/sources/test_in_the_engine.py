"""The sources under Bytewax itself: aborted anywhere and resumed from its recovery store, nothing is lost or out of order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import AbortExecution, Source
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, run_main

from sources.batching import BatchPolicy
from sources.files.source import JsonlSource
from sources.local_log.log import EventLog, Record
from sources.local_log.source import LocalLogSource
from state.messages import Message, Tick
from tests.sources.harness import LOOKAHEAD, NOW, line, peek
from tests.sources.kafka_topic import group_offset, produce, source_of
from tests.support.tansu import Tansu, tansu_fixture
from tests.support.waiting import wait_until

broker = tansu_fixture
START = 1_700_000_000_000
COUNT = 30


Make = Callable[[Callable[[], bool]], Source[Message | Tick]]
"""Takes ``stopping``."""


def run(make: Make, store: Path, abort_at: int | None = None) -> list[int]:
    """Run to the end, or abort as a crash would once message ``abort_at`` is out; return the positions that came out."""
    out: list[int] = []

    def crash() -> bool:
        if abort_at is not None and out and out[-1] >= abort_at:
            raise AbortExecution
        return False

    flow = Dataflow("sources")
    stream = op.input("input", flow, make(crash))
    places = op.filter_map("places", stream, lambda item: item.offset if isinstance(item, Message) else None)
    op.output("out", places, TestingSink(out))
    run_main(flow, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(str(store)))  # type: ignore[no-untyped-call]
    return out


@pytest.fixture
def store(tmp_path: Path) -> Path:
    directory = tmp_path / "recovery"
    directory.mkdir()
    init_db_dir(directory, 1)  # type: ignore[no-untyped-call]
    return directory


def whole_over_aborts(make: Make, store: Path) -> None:
    runs = [run(make, store, abort_at) for abort_at in (4, 11, 12, 25)]
    runs.append(run(make, store))
    positions = [place for places in runs for place in places]
    assert sorted(set(positions)) == list(range(min(positions), min(positions) + COUNT))
    assert all(places == list(range(places[0], places[0] + len(places))) for places in runs if places)
    assert len(positions) < 2 * COUNT
    assert run(make, store) == []


def test_a_file_aborted_and_resumed(tmp_path: Path, store: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(line(START + n * 40_000) + b"\n" for n in range(COUNT)))
    policy = BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD, 3)
    whole_over_aborts(lambda crash: JsonlSource(path, peek, policy, now=lambda: NOW, stopping=crash), store)


def test_the_local_log_aborted_and_resumed(tmp_path: Path, store: Path) -> None:
    times = iter(range(START, START + COUNT * 400, 400))
    with EventLog(tmp_path / "log", partitions=1, retention=None, now=lambda: next(times)) as log:
        for _ in range(COUNT):
            log.append([Record(b"u", b"x")])
    policy = BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD, 3)
    whole_over_aborts(lambda crash: LocalLogSource(tmp_path / "log", policy, now=lambda: NOW, tail=False, stopping=crash), store)


def test_a_topic_aborted_and_resumed_leaves_the_group_exact(broker: Tansu, store: Path) -> None:
    topic = broker.new_topic()
    produce(broker, topic, [b"x"] * COUNT, times=[START + n * 400 for n in range(COUNT)])
    whole_over_aborts(lambda crash: source_of(broker, topic, group="engine", batch_size=3, stopping=crash), store)
    wait_until(lambda: group_offset(broker, topic, "engine") == COUNT, "the commit")


def test_a_refused_file_ends_the_flow_in_good_order(tmp_path: Path, store: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(START) + b"\n")
    made: list[JsonlSource] = []

    def make(crash: Callable[[], bool]) -> JsonlSource:
        made.append(JsonlSource(path, peek, BatchPolicy(lambda *_: None, lambda _: LOOKAHEAD), now=lambda: NOW, stopping=crash))
        return made[-1]

    assert run(make, store) == [1]
    content = path.read_bytes()
    path.write_bytes(b"something else altogether, and longer\n")
    assert run(make, store) == []
    assert made[-1].progress.error is not None
    path.write_bytes(content + line(START) + b"\n")
    assert run(make, store) == [2]
