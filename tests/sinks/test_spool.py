"""The spool: a row enters it once and leaves it at least once, whatever dies in between."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, cluster_main

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.delivery import FactDelivery
from sinks.clickhouse.fake import FakeInserter
from sinks.clickhouse.sink import FactPartition
from sinks.clickhouse.spool import Spool
from state.records.facts import EventFact, StepMetricFact
from tests.sinks.spools import SECONDS, batch, drain, letter, names, put
from tests.support.facts import make
from tests.support.spool_job import DIED

EPOCHS = [["a", "b"], ["c"], [], ["d", "e", "f"]]


class Job:
    """What Bytewax does with a partition, reduced to steps that a test can stop between."""

    def __init__(self, directory: Path, inserter: FakeInserter) -> None:
        self.directory, self.inserter = directory, inserter
        self.state: str | None = None
        self.epoch = 0

    def run(self, *, die_after: int | None, one_by_one: bool) -> bool:
        """Run from the last durable epoch to the end, or die after so many steps. Returns whether it reached the end."""
        steps = itertools.count(1)
        spool = Spool(self.directory)
        partition = FactPartition(spool, "p", self.state, chunk_rows=2)

        def died() -> bool:
            drain(spool, self.inserter)
            return next(steps) == die_after

        for epoch in range(self.epoch, len(EPOCHS)):
            rows = EPOCHS[epoch]
            for some in [[name] for name in rows] if one_by_one else [rows]:
                partition.write_batch([batch(*some)])
                if died():
                    return False
            state = partition.snapshot()
            if died():
                return False  # after the snapshot, before it was durable
            self.state, self.epoch = state, epoch + 1
            if died():
                return False  # durable, and nothing has told the sink yet
        partition.flush()
        drain(spool, self.inserter)
        return True


@pytest.mark.parametrize(("first", "second"), list(itertools.product(range(1, 17), (1, 2, 3, 5, None))))
def test_a_crash_at_any_step_and_again_later_delivers_every_row_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, second: int | None
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # a dying process loses nothing it has written; only the machine's power does
    job = Job(tmp_path, FakeInserter())
    if not job.run(die_after=first, one_by_one=True) and not job.run(die_after=second, one_by_one=False):
        assert job.run(die_after=None, one_by_one=True)
    assert sorted(names(job.inserter)) == ["a", "b", "c", "d", "e", "f"]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


@pytest.mark.parametrize("position", range(7))
def test_the_real_engine_aborted_at_any_item_delivers_every_row_once(tmp_path: Path, position: int) -> None:
    rows = list("abcdef")
    items: list[Any] = [("0", batch(name)) for name in rows]
    items.insert(position, TestingSource.ABORT())
    recovery_path = tmp_path / "recovery"
    recovery_path.mkdir()
    init_db_dir(recovery_path, 1)  # type: ignore[no-untyped-call]
    recovery = RecoveryConfig(str(recovery_path))  # type: ignore[no-untyped-call]
    inserter = FakeInserter()

    def run() -> FactDelivery:
        delivery = FactDelivery(ClickHouse(url="http://127.0.0.1:1"), tmp_path / "spool", inserter=inserter)
        flow = Dataflow("facts")
        op.output("facts", op.input("events", flow, TestingSource(items, batch_size=1)), delivery.sink)
        cluster_main(flow, [], 0, epoch_interval=timedelta(0), recovery_config=recovery)  # type: ignore[no-untyped-call]
        return delivery

    run()  # dies at the abort: nothing is settled
    delivery = run()
    delivery.start()
    assert delivery.flush(SECONDS).complete
    delivery.close()
    assert sorted(names(inserter)) == rows


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("heartbeats", [True, False])
def test_what_is_promoted_is_durable_even_beside_steps_with_timers(tmp_path: Path, workers: int, heartbeats: bool) -> None:
    """The job dies at once after a promotion; what it promoted must be covered by the state it resumes with."""
    for promotion in (1, 2, 3):
        job = [sys.executable, "-m", "tests.support.spool_job", str(tmp_path), str(promotion), str(workers), str(int(heartbeats))]
        died = subprocess.run(job, capture_output=True, text=True, check=False, timeout=SECONDS)
        assert died.returncode == DIED, died.stderr
        assert died.stdout == ("" if promotion == 1 else "covered\n")


def test_rows_of_an_ordinary_batch_do_not_prove_the_epoch_before_durable(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    partition = FactPartition(spool, "p", None)
    partition.write_batch([batch("a")])
    partition.snapshot()
    partition.write_batch([batch("b")])
    assert (spool.segments_pending, spool.segments_ready) == (1, 0)
    partition.snapshot()
    assert (spool.segments_pending, spool.segments_ready) == (1, 1)


def test_a_heartbeat_proves_the_epoch_before_durable(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    partition = FactPartition(spool, "p", None)
    partition.write_batch([batch("a")])
    partition.snapshot()
    partition.write_batch([batch("b"), []])
    assert (spool.segments_pending, spool.segments_ready) == (0, 1)


def test_an_epoch_without_rows_writes_no_segment_and_keeps_the_position(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    partition = FactPartition(spool, "p", None)
    assert partition.snapshot() == ""
    partition.write_batch([batch("a")])
    position = partition.snapshot()
    partition.write_batch([[]])
    assert partition.snapshot() == position
    assert FactPartition(spool, "p", position).snapshot() == position


def test_the_age_of_the_oldest_segment_is_known(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert spool.oldest() is None
    put(spool, batch("a"))
    put(spool, batch("b"))
    first = min(spool.segments("ready") + spool.segments("pending"))
    os.utime(first.path, (1_000_000, 1_000_000))
    assert spool.oldest() == 1_000_000


def test_pending_segments_of_a_partition_that_is_not_built_here_stay(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    other = FactPartition(spool, "other", None)
    other.write_batch([batch("a")])
    other.snapshot()
    FactPartition(spool, "mine", None)
    assert [segment.name.partition for segment in spool.segments("pending")] == ["other"]


def test_partial_ids_are_unique_within_a_segment_and_over_a_lost_recovery_store(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for _ in range(2):  # twice from nothing: as if the recovery store had been lost
        partition = FactPartition(spool, "p", None, chunk_rows=3)
        for _ in range(4):
            partition.write_batch([[make(StepMetricFact, count=1), letter("x"), make(StepMetricFact, count=1)]])
        partition.snapshot()
        partition.flush()
    inserter = FakeInserter()
    drain(spool, inserter)
    ids = [str(row[-1]) for row in inserter.rows("step_metrics_1m")]
    assert len(ids) == len(set(ids)) == 16


def test_a_second_delivery_of_a_segment_carries_the_same_partial_ids(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(spool, [make(StepMetricFact, count=1), make(StepMetricFact, count=2)])
    (segment,) = spool.segments("ready")
    kept = segment.path.read_bytes()
    inserter = FakeInserter()
    drain(spool, inserter)
    segment.path.write_bytes(kept)
    drain(spool, inserter)
    first, second = (frame for _, frame in inserter.calls)
    assert first.equals(second)


def test_values_that_no_column_can_hold_do_not_stop_the_job(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(spool, [make(EventFact, event_id="e", payload="bad \ud800 surrogate \x00 🙂", source_offset=2**70)])
    inserter = FakeInserter()
    drain(spool, inserter)
    ((*_, payload, _status, _time, _log_time, _partition, offset, _trace, _version),) = inserter.rows("events")
    assert payload == "bad ? surrogate \x00 🙂"
    assert offset == 2**63 - 1
