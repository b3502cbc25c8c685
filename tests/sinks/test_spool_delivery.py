"""What the drain delivers when ClickHouse is down, refuses, hangs or answers nonsense, and when the spool is full."""

from __future__ import annotations

import itertools
import logging
import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.delivery import FactDelivery
from sinks.clickhouse.drain import PASSES_AT_ONCE, Drain
from sinks.clickhouse.errors import SpoolClosed
from sinks.clickhouse.fake import FakeInserter
from sinks.clickhouse.segment import SegmentName, SegmentWriter
from sinks.clickhouse.sink import Batch, FactPartition
from sinks.clickhouse.spool import Spool
from state.records.facts import EventFact
from state.records.recommendation import Erase
from tests.sinks.spools import SECONDS, batch, drain, names, put
from tests.support.facts import make
from tests.support.waiting import join, wait_until


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


def test_a_job_that_gave_up_on_a_hanging_insert_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inserter = FakeInserter()
    inserter.gate.clear()
    delivery = FactDelivery(ClickHouse(url="http://127.0.0.1:1"), tmp_path / "spool", inserter=inserter)
    delivery.start()
    partition = delivery.sink.build_part("step", "facts", None)
    partition.write_batch([batch("a")])
    partition.snapshot()
    partition.write_batch([[]])
    assert inserter.entered.wait(SECONDS)
    assert not delivery.flush(timeout=0).complete
    waited = list[float]()
    monkeypatch.setattr(delivery.drain, "close", waited.append)
    delivery.close()
    assert waited == [0.0], "it has waited for this insert"
    inserter.gate.set()


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


def held_back(spool: Spool, partition: FactPartition, rows: Batch) -> tuple[threading.Thread, list[SpoolClosed]]:
    """A thread that the full spool holds back with ``rows``, and where the error goes that ends its wait."""
    raised: list[SpoolClosed] = []

    def write() -> None:
        try:
            partition.write_batch([[], rows])
        except SpoolClosed as error:
            raised.append(error)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    assert spool.wait_until(lambda: spool.blocked_writers == 1, SECONDS), "nobody was held back"
    return writer, raised


def test_closing_releases_a_writer_that_is_held_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1)
    partition = FactPartition(spool, "p", None)
    partition.write_batch([batch("a")])
    partition.snapshot()
    writer, raised = held_back(spool, partition, batch("b"))
    spool.close()
    join(writer, "the writer that was held back")
    assert len(raised) == 1


def test_a_stop_request_releases_a_writer_that_is_held_back_by_a_dead_store(tmp_path: Path) -> None:
    stop = threading.Event()
    spool = Spool(tmp_path, max_bytes=1, stopping=stop.is_set)
    partition = FactPartition(spool, "p", None)
    partition.write_batch([batch("a")])
    partition.snapshot()
    partition.write_batch([batch("b")])  # ready now: a delivery could make space
    writer, raised = held_back(spool, partition, batch("c"))
    stop.set()
    join(writer, "the writer that was held back")
    assert len(raised) == 1


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
