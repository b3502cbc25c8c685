"""timers: log time wakes whoever is due, once, and reaches every worker of a cluster."""

from __future__ import annotations

import threading
from collections import defaultdict

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, cluster_main

from operators.decode import Decoded
from operators.link import AddressedArrival
from operators.timer_registry import TimerRegistry
from operators.timers import LANES, TimerLogic, timers_step
from state.duration import DAY
from state.messages import Tick
from state.person.arrivals import TimerDue


def decoded(*ticks: Tick) -> Decoded:
    out = Decoded()
    out.ticks += ticks
    return out


def test_a_tick_calls_whoever_is_due_in_its_partition_in_order() -> None:
    wheels = TimerRegistry()
    for partition, key, deadline in ((0, "b", 10), (0, "a", 10), (0, "c", 5), (0, "later", 11), (1, "elsewhere", 1)):
        wheels.for_this_thread().register(partition, key, deadline)
    waking = TimerLogic(wheels, DAY)
    tick = Tick(0, 10, 7)
    assert waking.on_batch([tick]) == ([[("c", TimerDue(10, 7)), ("a", TimerDue(10, 7)), ("b", TimerDue(10, 7))]], False)
    assert waking.on_batch([tick]) == ([], False)
    assert waking.on_batch([Tick(1, 10, 9), Tick(0, 11, 9)]) == ([[("elsewhere", TimerDue(10, 9)), ("later", TimerDue(11, 9))]], False)
    assert len(wheels) == 0


def test_lanes_of_one_worker_find_nothing_left_to_do() -> None:
    wheels = TimerRegistry()
    wheels.for_this_thread().register(0, "a", 1)
    assert [bool(TimerLogic(wheels, DAY).on_batch([Tick(0, 1, 3)])[0]) for _ in range(3)] == [True, False, False]


def test_a_lane_has_nothing_to_remember() -> None:
    assert TimerLogic(TimerRegistry(), DAY).snapshot() is None


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 5, 6, 7, 8])
def test_every_worker_owns_a_lane(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a real cluster of threads: the engine alone says which worker owns which key."""
    owned: defaultdict[int, int] = defaultdict(int)

    def note(self: TimerLogic, values: list[Tick]) -> tuple[list[list[AddressedArrival]], bool]:
        owned[threading.get_ident()] += len(values)
        return [], False

    monkeypatch.setattr(TimerLogic, "on_batch", note)
    flow = Dataflow("lanes")
    ticks = op.input("ticks", flow, TestingSource([decoded(Tick(0, 1, 3))]))
    op.output("out", timers_step("timers", ticks, TimerRegistry(), LANES, DAY), TestingSink(list[tuple[str, list[AddressedArrival]]]()))
    cluster_main(flow, [], 0, worker_count_per_proc=workers)  # type: ignore[no-untyped-call]
    assert sum(owned.values()) == LANES
    assert len(owned) == workers


def test_one_worker_needs_one_lane() -> None:
    woken: list[tuple[str, list[AddressedArrival]]] = []
    wheels = TimerRegistry()
    flow = Dataflow("lane")
    ticks = op.input("ticks", flow, TestingSource([decoded(Tick(0, 1, 3)), decoded(Tick(0, 5, 5))]))

    def arm(batch: Decoded) -> Decoded:
        for tick in batch.ticks:
            wheels.for_this_thread().register(0, f"due at {tick.at}", tick.at)
        return batch

    op.output("out", timers_step("timers", op.map("arm", ticks, arm), wheels, 1, DAY), TestingSink(woken))
    cluster_main(flow, [], 0)  # type: ignore[no-untyped-call]
    assert woken == [("0", [("due at 1", TimerDue(1, 3))]), ("0", [("due at 5", TimerDue(5, 5))])]
