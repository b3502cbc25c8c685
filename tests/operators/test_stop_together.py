"""A request to stop one process reaches all of them, through the lanes that each owns."""

from __future__ import annotations

from threading import Event

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, cluster_main

from operators.lanes import Lanes
from operators.stop_together import StopLogic, StopSource, stop_step
from tests.support.waiting import ends_within


class Request(Event):
    def __call__(self) -> bool:
        return self.is_set()


def test_a_worker_tells_every_lane_once_and_ends() -> None:
    stop = Request()
    watch = StopSource(stop, ["0", "1"]).build("step", 0, 1)
    assert watch.next_batch() == []
    before = watch.next_awake()
    stop.set()
    assert watch.next_batch() == [("0", None), ("1", None)]
    assert watch.next_awake() >= before
    with pytest.raises(StopIteration):
        watch.next_batch()


def test_a_lane_passes_the_request_on() -> None:
    stop = Request()
    assert StopLogic(stop.set).on_batch([None]) == ([], False)
    assert stop()


def test_the_request_of_one_ends_the_flow_of_all_workers() -> None:
    stop = Request()
    flow = Dataflow("stops")
    stop_step("stop", flow, stop, Lanes(2))
    lines = op.input("lines", flow, TestingSource([1, 2, 3]))
    op.output("out", op.map("request", lines, lambda _line: stop.set()), TestingSink(list[None]()))
    with ends_within(60, "a flow whose stop was requested"):
        cluster_main(flow, [], 0, worker_count_per_proc=2)  # type: ignore[no-untyped-call]
    assert stop()
