"""The spool: a row enters it once and leaves it at least once, whatever dies in between."""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import polars as pl
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, cluster_main

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.delivery import FactDelivery
from sinks.clickhouse.drain import PASSES_AT_ONCE, Drain
from sinks.clickhouse.errors import DeliveryGoesOn, SpoolClosed
from sinks.clickhouse.fake import FakeInserter
from sinks.clickhouse.segment import SegmentName, SegmentWriter
from sinks.clickhouse.sink import Batch, FactPartition, FactSink
from sinks.clickhouse.spool import Spool
from state.records.facts import DeadLetterFact, EventFact, StepMetricFact
from state.records.recommendation import Erase
from tests.support.facts import make
from tests.support.spool_job import DIED
from tests.support.waiting import join, read_line, running, wait_until

SECONDS = 30.0
"""How long a test waits for another thread before it is called hung."""


def letter(name: str) -> DeadLetterFact:
    return make(DeadLetterFact, dead_letter_id=name)


def batch(*names: str) -> Batch:
    return [letter(name) for name in names]


def names(inserter: FakeInserter) -> list[str]:
    return [str(row[0]) for row in inserter.rows("dead_letters")]


def drain(spool: Spool, inserter: FakeInserter) -> bool:
    return Drain(spool, inserter, pause=lambda _: None).drain_once()


def put(spool: Spool, *segments: Batch) -> None:
    """Write each batch as a segment of its own and let it be delivered."""
    partition = FactPartition(spool, "p", None)
    for rows in segments:
        partition.write_batch([rows])
        partition.snapshot()
    partition.flush()


# ------------------------------------------------------------------------------------------------------------ crash anywhere

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


# ----------------------------------------------------------------------------------------------------------- failing delivery


def test_a_store_that_is_down_is_retried_in_order_with_growing_pauses_and_few_log_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path)
    put(spool, batch("a"), batch("b"))
    clock, pauses = itertools.count(0, 10), list[float]()
    inserter = FakeInserter(failures=12)
    with caplog.at_level(logging.WARNING):
        drainer = Drain(spool, inserter, clock=lambda: next(clock), pause=pauses.append, jitter=lambda: 1.0)
        assert drainer.drain_once()
    assert names(inserter) == ["a", "b"]
    assert pauses[:3] == [0.2, 0.4, 0.8]
    assert pauses[-1] == 30.0
    assert len(caplog.records) == 2  # the first, and one after a minute
    assert drainer.last_error == ""
    assert drainer.rows_inserted == 2


def test_many_small_segments_are_inserted_together_once_they_come_too_fast_for_clickhouse_to_merge(tmp_path: Path) -> None:
    """The next segment is there as soon as one is inserted; the clock stands still meanwhile."""
    spool, clock = Spool(tmp_path), [0.0]

    class Endless(FakeInserter):
        def insert(self, table: str, frame: Any) -> None:
            super().insert(table, frame)
            if len(self.calls) < PASSES_AT_ONCE + 20:
                put(spool, batch(f"{len(self.calls)}"))

    def pause(seconds: float) -> None:
        clock[0] += seconds

    inserter = Endless()
    drainer = Drain(spool, inserter, clock=lambda: clock[0], pause=pause)
    put(spool, batch("first"))
    drainer.start()
    wait_until(lambda: len(inserter.calls) == PASSES_AT_ONCE + 20, "all segments")
    drainer.close(SECONDS)
    assert clock[0] == 20.0  # one pass a second, after those that may follow each other at once


def test_a_segment_the_store_never_takes_is_set_aside_and_the_others_go_through(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(spool, batch("a"), batch("bad"), batch("c"))
    inserter = FakeInserter(poison=frozenset({"bad"}))
    drain(spool, inserter)
    assert names(inserter) == ["a", "c"]
    (error,) = spool.rejected.glob("*.error.txt")
    assert "refuses this row" in error.read_text()
    assert (spool.segments_ready, spool.segments_rejected) == (0, 1)
    (rejected,) = spool.rejected.glob("*.ready")
    rejected.rename(tmp_path / rejected.name)  # what the log line tells an operator to do
    inserter.poison = frozenset()
    drain(spool, inserter)
    assert names(inserter) == ["a", "c", "bad"]


def test_segments_of_two_versions_are_delivered_together(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    old, new = pl.DataFrame({"dead_letter_id": ["old"]}), pl.DataFrame({"dead_letter_id": ["new"], "added_later": [1]})
    for number, frame in enumerate((old, new), 1):
        writer = SegmentWriter(tmp_path / "a.tmp")
        writer.add("dead_letters", frame)
        writer.finish(spool.path(SegmentName("p", "0", number), "ready"))
    inserter = FakeInserter()
    assert drain(spool, inserter)
    assert [(frame.columns, frame.height) for _, frame in inserter.calls] == [
        (["dead_letter_id"], 1),
        (["dead_letter_id", "added_later"], 1),
    ]
    assert not spool.segments("ready")


def test_a_damaged_segment_is_set_aside(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(spool, batch("a"), batch("b"))
    first, _ = spool.segments("ready")
    first.path.write_bytes(first.path.read_bytes()[:-5])
    inserter = FakeInserter()
    drain(spool, inserter)
    assert names(inserter) == ["b"]
    assert spool.segments_rejected == 1


def test_a_hanging_insert_does_not_hold_the_dataflow(tmp_path: Path) -> None:
    inserter = FakeInserter()
    inserter.gate.clear()
    delivery = FactDelivery(ClickHouse(url="http://127.0.0.1:1"), tmp_path / "spool", inserter=inserter)
    delivery.start()
    partition = delivery.sink.build_part("step", "facts", None)
    partition.write_batch([batch("a")])
    partition.snapshot()
    partition.write_batch([[]])
    assert inserter.entered.wait(SECONDS)
    for name in "bcdef":
        partition.write_batch([batch(name)])
        partition.snapshot()
    assert not delivery.flush(timeout=0).complete
    inserter.gate.set()
    result = delivery.flush(SECONDS)
    delivery.close()
    assert (result.complete, result.left, result.rows_inserted) == (True, 0, 6)
    assert names(inserter) == list("abcdef")


def test_closing_after_an_abort_leaves_pending_segments_pending(tmp_path: Path) -> None:
    inserter = FakeInserter()
    delivery = FactDelivery(ClickHouse(url="http://127.0.0.1:1"), tmp_path / "spool", inserter=inserter)
    delivery.start()
    partition = delivery.sink.build_part("step", "facts", None)
    partition.write_batch([batch("a")])
    partition.snapshot()
    delivery.close()
    assert len(delivery.spool.segments("pending")) == 1
    assert names(inserter) == []


def test_erasures_follow_the_rows_of_their_segment(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(spool, [make(EventFact, event_id="e"), Erase("t", "u", 7)])
    inserter = FakeInserter()
    drain(spool, inserter)
    assert inserter.erased == [Erase("t", "u", 7)]
    assert len(inserter.rows("events")) == 1


# ---------------------------------------------------------------------------------------------------------------- a full spool


class Heard(logging.Handler):
    """Sets an event when something is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.event = threading.Event()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()
        self.event.set()


def test_a_full_spool_holds_the_writer_back_and_says_so_until_something_is_delivered(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1, warn_seconds=0.001)
    partition = FactPartition(spool, "p", None)
    partition.write_batch([batch("a")])
    partition.snapshot()
    written = threading.Event()

    def write() -> None:
        partition.write_batch([[], batch("b")])
        written.set()

    writer, heard, logger = threading.Thread(target=write, daemon=True), Heard(), logging.getLogger("sinks.clickhouse.spool")
    logger.addHandler(heard)
    writer.start()
    assert heard.event.wait(SECONDS)
    logger.removeHandler(heard)
    assert "stopped reading its input" in heard.text
    assert not written.is_set()
    inserter = FakeInserter()
    assert drain(spool, inserter)
    assert written.wait(SECONDS)
    join(writer, "the writer that was held back")
    partition.flush()
    drain(spool, inserter)
    assert names(inserter) == ["a", "b"]


def test_an_epoch_larger_than_the_spool_is_let_through(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1)
    partition = FactPartition(spool, "p", None, chunk_rows=1)
    for name in "abc":
        partition.write_batch([batch(name)])
    partition.snapshot()
    partition.write_batch([batch("d")])
    assert spool.blocked_writers == 0


def test_closing_releases_a_writer_that_is_held_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1)
    partition = FactPartition(spool, "p", None)
    partition.write_batch([batch("a")])
    partition.snapshot()
    raised: list[BaseException] = []

    def write() -> None:
        try:
            partition.write_batch([[], batch("b")])
        except SpoolClosed as error:
            raised.append(error)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    assert spool.wait_until(lambda: spool.blocked_writers == 1, SECONDS)
    spool.close()
    join(writer, "the writer that was held back")
    assert len(raised) == 1


def test_a_stop_request_releases_a_writer_that_is_held_back_by_a_dead_store(tmp_path: Path) -> None:
    spool, stop = Spool(tmp_path, max_bytes=1), threading.Event()
    spool.stopping = stop.is_set
    partition = FactPartition(spool, "p", None)
    partition.write_batch([batch("a")])
    partition.snapshot()
    partition.write_batch([batch("b")])  # ready now: a delivery could make space
    raised: list[BaseException] = []

    def write() -> None:
        try:
            partition.write_batch([[], batch("c")])
        except SpoolClosed as error:
            raised.append(error)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    assert spool.wait_until(lambda: spool.blocked_writers == 1, SECONDS)
    stop.set()
    join(writer, "the writer that was held back")
    assert len(raised) == 1


# --------------------------------------------------------------------------------------------------- broken answers, broken clocks


class Garbled(FakeInserter):
    """The answers to the first calls cannot be read: the driver raises what its parser raises."""

    def __init__(self, broken: int) -> None:
        super().__init__()
        self.broken = broken

    def warm(self) -> None:
        self.broken -= 1
        if self.broken >= 0:
            raise IndexError("tuple index out of range")


def test_an_answer_that_cannot_be_read_does_not_end_the_drain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.clickhouse.drain.POLL_SECONDS", 0.01)
    inserter, spool = Garbled(2), Spool(tmp_path)
    put(spool, batch("a"))
    drained = Drain(spool, inserter)
    drained.start()
    wait_until(lambda: names(inserter) == ["a"], "the row")
    drained.close()
    assert drained.failures == 2


def test_a_spool_that_cannot_be_listed_for_a_moment_does_not_end_the_drain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.clickhouse.drain.POLL_SECONDS", 0.01)
    inserter, spool = FakeInserter(), Spool(tmp_path)
    spool.rejected.rmdir()
    drained = Drain(spool, inserter)
    drained.start()
    wait_until(lambda: drained.failures > 0, "a look that failed")
    spool.rejected.mkdir()
    put(spool, batch("a"))
    wait_until(lambda: names(inserter) == ["a"], "the row")
    drained.close()


def test_after_a_clock_that_jumped_back_segments_are_still_delivered_in_the_order_of_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, now = Spool(tmp_path), [10**18]
    monkeypatch.setattr("sinks.clickhouse.sink.time.time_ns", lambda: now[0])
    state, written = "", list[str]()
    for number in range(6):
        now[0] -= 3_600 * 10**9 * (number % 3)
        partition = FactPartition(spool, "p", state)
        partition.write_batch([batch(f"row {number}")])
        state = partition.snapshot()
        written.append(f"row {number}")
    FactPartition(spool, "p", state).flush()  # its epoch is durable
    inserter = FakeInserter()
    drain(spool, inserter)
    assert names(inserter) == written


# --------------------------------------------------------------------------------------------------- several drains, one spool


def test_two_drains_on_one_directory_never_deliver_a_segment_twice(tmp_path: Path) -> None:
    put(Spool(tmp_path), *(batch(f"row{number}") for number in range(40)))
    inserters = [FakeInserter(), FakeInserter()]
    drains = [Drain(Spool(tmp_path), inserter) for inserter in inserters]
    for drainer in drains:
        drainer.start()
    watching = Spool(tmp_path)

    def all_delivered() -> bool:
        watching.refresh()
        return not watching.segments_ready

    wait_until(all_delivered, "two drains to deliver every segment")
    for drainer in drains:
        drainer.close()
    assert sorted(names(inserters[0]) + names(inserters[1])) == sorted(f"row{number}" for number in range(40))


HOLD = """
import sys
from pathlib import Path
from sinks.clickhouse.spool import Spool
with Spool(Path(sys.argv[1])).lease() as segments:
    print(len(segments), flush=True)
    sys.stdin.read()
"""


def test_segments_of_a_live_process_are_left_alone_and_those_of_a_dead_one_are_adopted(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(spool, batch("a"))
    inserter = FakeInserter()
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with running(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as other:
        assert read_line(other.stdout, "the other process to hold the segments") == "1\n"
        assert not drain(spool, inserter)
    assert drain(spool, inserter)
    assert names(inserter) == ["a"]


def test_a_partition_name_that_could_not_be_a_file_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        FactSink(Spool(tmp_path), ["a/b"])


# ----------------------------------------------------------------------------------------------------------------------- pause


def test_no_drain_of_any_process_delivers_while_delivery_is_paused(tmp_path: Path) -> None:
    spool, inserter = Spool(tmp_path), FakeInserter()
    put(spool, batch("a"))
    with Spool(tmp_path).delivery_paused(["later"], 5):
        put(Spool(tmp_path), batch("b"))
        assert not drain(Spool(tmp_path), inserter)
        assert names(inserter) == []
        late = FactPartition(Spool(tmp_path), "later", None)
        late.write_batch([batch("c")])
        late.flush()
        assert not drain(spool, inserter)
    assert drain(spool, inserter)
    assert sorted(names(inserter)) == ["a", "b", "c"]


def test_a_pause_waits_for_a_delivery_and_gives_up_in_words(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(spool, batch("a"))
    with spool.lease() as leased:
        assert leased
        with pytest.raises(DeliveryGoesOn, match="on their way to ClickHouse"), Spool(tmp_path).delivery_paused(["p"], 0.02):
            pytest.fail("it did not wait")
    with Spool(tmp_path).delivery_paused(["p"], 0.02), spool.lease() as leased:
        assert leased == []
