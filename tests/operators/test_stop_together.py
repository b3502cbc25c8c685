"""A request to stop one process reaches all of them, through the lanes that each owns."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from threading import Event, get_ident

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.testing import TestingSink, cluster_main

from operators.lanes import Lanes
from operators.stop_together import StopLogic, StopSource, stop_step
from tests.support.waiting import ends_within

_LONG_S = 20.0


class Request(Event):
    """``threads``: those that made the request."""

    def __init__(self) -> None:
        super().__init__()
        self.threads = set[int]()

    def __call__(self) -> bool:
        return self.is_set()

    def set(self) -> None:
        self.threads.add(get_ident())
        super().set()


def test_a_worker_tells_every_lane_once_and_ends() -> None:
    stop, now = Request(), datetime(2026, 1, 1, tzinfo=UTC)
    watch = StopSource(stop, ["0", "1"], lambda: now).build("step", 0, 1)
    assert watch.next_batch() == []
    assert watch.next_awake() == now + timedelta(milliseconds=10), "until then no epoch ends"
    stop.set()
    assert watch.next_batch() == [("0", None), ("1", None)]
    for _ in range(19):
        now += timedelta(milliseconds=10)
        assert watch.next_batch() == []
        assert watch.next_awake() == now + timedelta(milliseconds=10)
    now += timedelta(milliseconds=10)
    with pytest.raises(StopIteration):
        watch.next_batch()


def test_a_lane_passes_the_request_on() -> None:
    stop = Request()
    assert StopLogic(stop.set).on_batch([None]) == ([], False)
    assert stop()


class UntilAllAreTold(DynamicSource[None]):
    """Each worker reads until all have made the request, or for ``_LONG_S``. The first one is asked to stop."""

    def __init__(self, stop: Request, workers: int) -> None:
        self._stop, self._workers = stop, workers

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSourcePartition[None]:
        stop, workers, until = self._stop, self._workers, time.monotonic() + _LONG_S
        if worker_index == 0:
            Event.set(stop)

        class Reading(StatelessSourcePartition[None]):
            def next_batch(self) -> list[None]:
                if len(stop.threads) == workers or time.monotonic() > until:
                    raise StopIteration
                return []

        return Reading()


@pytest.mark.parametrize("workers", [2, 3])
def test_the_request_of_one_reaches_all_workers(workers: int) -> None:
    """Workers stand for processes, which make the request each in their own."""
    stop, flow = Request(), Dataflow("stops")
    stop_step("stop", flow, stop, Lanes(workers))
    op.output("out", op.input("read", flow, UntilAllAreTold(stop, workers)), TestingSink(list[None]()))
    with ends_within(60, "a flow whose stop was requested"):
        cluster_main(flow, [], 0, worker_count_per_proc=workers)  # type: ignore[no-untyped-call]
    assert len(stop.threads) == workers
