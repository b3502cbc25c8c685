"""timers: log time wakes whoever is due, once, and reaches every worker of a cluster."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, cluster_main

from operators.decode import Decoded
from operators.identify import Identified
from operators.lanes import Lanes
from operators.link import AddressedArrival
from operators.timer_registry import TimerRegistry
from operators.timers import DueTimers, TickLane, timers_step
from state.duration import DAY
from state.messages import Tick
from state.person.arrivals import GuidanceSwitched, TimerDue
from tests.support.waiting import PATIENCE


def decoded(*ticks: Tick) -> Decoded:
    out = Decoded()
    out.ticks += ticks
    return out


def test_a_tick_calls_whoever_is_due_in_its_partition_in_order() -> None:
    wheels = TimerRegistry()
    for partition, key, deadline in ((0, "b", 10), (0, "a", 10), (0, "c", 5), (0, "later", 11), (1, "elsewhere", 1)):
        wheels.for_this_thread().register(partition, key, deadline)
    due = DueTimers(wheels, DAY)
    tick = Tick(0, 10, 7)
    assert due.take([tick]) == [("c", TimerDue(0, 10, 7)), ("a", TimerDue(0, 10, 7)), ("b", TimerDue(0, 10, 7))]
    assert due.take([tick]) == []
    assert due.take([Tick(1, 10, 9), Tick(0, 11, 9)]) == [("elsewhere", TimerDue(1, 10, 9)), ("later", TimerDue(0, 11, 9))]
    assert len(wheels) == 0


def test_a_switch_wakes_everybody_of_its_tenant_and_nobody_of_another() -> None:
    wheels = TimerRegistry()
    for key, deadline, tenant in (("due", 10, "t"), ("later", 90, "t"), ("other", 10, "u"), ("other later", 90, "u"), ("left", 95, "t")):
        wheels.for_this_thread().register(0, key, deadline, tenant)
    wheels.for_this_thread().register(1, "elsewhere", 10, "t")
    wheels.wake_everybody(0, "t", 10)
    wheels.wake_everybody(0, "nobody's", 10)
    switched, woken = GuidanceSwitched("t", 0, 10, 7), TimerDue(0, 10, 7)
    assert DueTimers(wheels, DAY).take([Tick(0, 10, 7)]) == [
        ("due", switched), ("later", switched), ("left", switched), ("due", woken), ("other", woken),
    ]  # fmt: skip
    assert len(wheels) == 4


def test_a_lane_has_nothing_to_remember() -> None:
    assert TickLane().snapshot() is None


@pytest.mark.interpreted
@pytest.mark.parametrize("workers", [2, 3])
def test_a_tick_reaches_every_worker(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    owned: defaultdict[int, int] = defaultdict(int)

    def note(self: DueTimers, ticks: list[Tick]) -> list[AddressedArrival]:
        owned[threading.get_ident()] += len(ticks)
        return []

    monkeypatch.setattr(DueTimers, "take", note)
    flow, lanes = Dataflow("lanes"), Lanes(workers)
    ticks = op.input("ticks", flow, TestingSource([decoded(Tick(0, 1, 3))]))
    identified = op.input("identified", flow, TestingSource(list[tuple[str, Identified]]()))
    op.output(
        "out", timers_step("timers", ticks, identified, TimerRegistry(one_worker=False), lanes, DAY), TestingSink(list[AddressedArrival]())
    )
    cluster_main(flow, [], 0, worker_count_per_proc=workers)  # type: ignore[no-untyped-call]
    assert sum(owned.values()) == len(lanes.every)
    assert len(owned) == workers


def test_a_flow_for_one_worker_does_not_run_with_two() -> None:
    """Ticks would reach one of them, and the timers of the other would never be due."""
    timers = TimerRegistry()
    timers.for_this_thread()
    refused = [str(error) for error in in_another_thread(timers.for_this_thread)]
    assert refused == ["the flow was built for one worker, and runs with more: build it with the number of its workers"]
    timers = TimerRegistry(one_worker=False)
    timers.for_this_thread()
    assert in_another_thread(timers.for_this_thread) == []


def in_another_thread(call: Callable[[], object]) -> list[RuntimeError]:
    """What ``call`` raises there."""
    raised: list[RuntimeError] = []

    def run() -> None:
        try:
            call()
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    return raised


def test_on_one_worker_ticks_come_among_the_arrivals() -> None:
    """Timers of a tick are looked up when the tick comes, and what comes beside it passes as it is."""
    woken: list[AddressedArrival] = []
    wheels = TimerRegistry()
    other: list[AddressedArrival] = [("other", GuidanceSwitched("t", 0, 2, 4))]
    bundles: list[tuple[str, Identified]] = [("lane 0", [Tick(0, 1, 3)]), ("lane 0", other), ("lane 0", [Tick(0, 5, 5)])]

    def arm(bundle: Identified) -> Identified:
        for item in bundle:
            if isinstance(item, Tick):
                wheels.for_this_thread().register(0, f"due at {item.at}", item.at)
        return bundle

    flow = Dataflow("lane")
    ticks = op.input("ticks", flow, TestingSource([decoded(Tick(0, 1, 3))]))
    identified = op.map_value("arm", op.input("in", flow, TestingSource(bundles)), arm)
    op.output("out", timers_step("timers", ticks, identified, wheels, Lanes(1), DAY), TestingSink(woken))
    cluster_main(flow, [], 0)  # type: ignore[no-untyped-call]
    assert woken == [("due at 1", TimerDue(0, 1, 3)), *other, ("due at 5", TimerDue(0, 5, 5))]
