"""Several processes on one spool: no segment is delivered twice, none is left behind, and a pause holds for all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sinks.clickhouse.drain import Drain
from sinks.clickhouse.errors import DeliveryGoesOn
from sinks.clickhouse.fake import FakeInserter
from sinks.clickhouse.sink import FactPartition, FactSink
from sinks.clickhouse.spool import Spool
from tests.sinks.spools import batch, drain, names, put
from tests.support.waiting import read_line, running, wait_until


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
