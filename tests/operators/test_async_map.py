"""Calls that take long, beside a flow that must not feel them."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, run_main

from operators.async_map import DRAINED, SHED, TIMEOUT, AsyncCalls, AsyncPolicy, CallEnded, Cancel, Gate, PendingCalls
from tests.support.waiting import ends_within, let_pass, never, until, wait_until

Item = tuple[str, str]
Call = Callable[[Item], Any]


def calls(call: Call, **policy: Any) -> AsyncCalls[Item, str]:
    return AsyncCalls(
        call, lambda item: item, lambda items: json.dumps(items).encode(), lambda data: [tuple(each) for each in json.loads(data)],
        AsyncPolicy(**{"poll_seconds": 0.005, **policy}),
    )  # fmt: skip


async def at_once(item: Item) -> str:
    return item[1].upper()


async def unanswered(item: Item) -> str:
    await never()
    return item[1]


async def broken(item: Item) -> str:
    raise ValueError(item[1])


def collected(lane: PendingCalls[Item, str], count: int) -> list[CallEnded[Item, str]]:
    found: list[CallEnded[Item, str]] = []

    def all_ended() -> bool:
        found.extend(lane.on_notify()[0])
        return len(found) >= count

    wait_until(all_ended, f"{count} calls to end")
    return found


def test_results_come_back_with_their_items() -> None:
    lane = PendingCalls(calls(at_once), None)
    first, _ = lane.on_batch([("ann", "a"), ("ben", "b")])
    found = first + collected(lane, 2 - len(first))
    assert {(each.item, each.result, each.reason) for each in found} == {(("ann", "a"), "A", ""), (("ben", "b"), "B", "")}
    assert lane.notify_at() is None
    assert json.loads(lane.snapshot()) == []


def test_what_a_call_raises_is_a_value() -> None:
    lane = PendingCalls(calls(broken), None)
    first, _ = lane.on_batch([("ann", "a")])
    (found,) = first + collected(lane, 1 - len(first))
    assert (found.result, found.reason) == (None, "error:ValueError")


def test_a_call_has_a_deadline_its_turn_included() -> None:
    lane = PendingCalls(calls(unanswered, in_flight=1, deadline_seconds=0.05), None)
    first, _ = lane.on_batch([("ann", "a"), ("ben", "b")])
    assert [each.reason for each in first + collected(lane, 2 - len(first))] == [TIMEOUT, TIMEOUT]


def test_no_more_than_allowed_are_in_flight() -> None:
    running, most = Counter[str](), [0]

    async def counted(item: Item) -> str:
        running["now"] += 1
        most[0] = max(most[0], running["now"])
        await let_pass(0.005, "others may start meanwhile")
        running["now"] -= 1
        return item[1]

    lane = PendingCalls(calls(counted, in_flight=3), None)
    first, _ = lane.on_batch([(f"u{number}", "x") for number in range(30)])
    assert len(first + collected(lane, 30 - len(first))) == 30
    assert most[0] == 3


def test_above_the_cap_items_fail_at_once_with_a_reason() -> None:
    made = calls(unanswered, most_pending=2)
    lane = PendingCalls(made, None)
    shed, _ = lane.on_batch([("ann", "a"), ("ben", "b"), ("cem", "c")])
    assert [(each.item[0], each.reason) for each in shed] == [("cem", SHED)]
    assert made.gate.pending == 2
    lane.on_batch([Cancel("ann", "gone"), Cancel("ben", "gone")])
    assert made.gate.pending == 0


def test_a_cancel_ends_the_pending_items_of_its_key_and_no_others() -> None:
    lane = PendingCalls(calls(unanswered), None)
    lane.on_batch([("ann", "a"), ("ben", "b")])
    assert lane.on_batch([Cancel("ann", "gone", lambda item: item[1] == "other")])[0] == []
    (ended,) = lane.on_batch([Cancel("ann", "gone")])[0]
    assert (ended.item, ended.reason) == (("ann", "a"), "gone")
    assert json.loads(lane.snapshot()) == [["ben", "b"]]
    lane.on_batch([Cancel("ben", "gone")])


def test_a_newer_item_takes_an_older_ones_place_and_a_replayed_one_does_not() -> None:
    lane = PendingCalls(calls(unanswered), None)
    lane.on_batch([("ann", "a")])
    assert lane.on_batch([("ann", "a")])[0] == []
    (older,) = lane.on_batch([("ann", "b")])[0]
    assert (older.item, older.reason) == (("ann", "a"), "superseded")
    lane.on_batch([Cancel("ann", "gone")])


def test_the_end_of_the_input_waits_for_answers_up_to_one_deadline_for_all() -> None:
    async def soon(item: Item) -> str:
        await (let_pass(0.05, "the lanes are at the end of their input by now") if item[1] == "soon" else never())
        return item[1]

    made = calls(soon, drain_seconds=4)
    lanes = [PendingCalls(made, None), PendingCalls(made, None)]
    for number, lane in enumerate(lanes):
        lane.on_batch([(f"soon{number}", "soon"), (f"late{number}", "late")])
    with ends_within(7, "the end of two lanes, which would take 8 s with a deadline each"):
        found = [each for lane in lanes for each in lane.on_eof()[0]]
    assert Counter(each.reason for each in found) == {"": 2, DRAINED: 2}


def test_a_job_that_stops_keeps_pending_items_for_the_next_run() -> None:
    made = calls(unanswered)
    made.stopping = lambda: True
    lane = PendingCalls(made, None)
    lane.on_batch([("ann", "a")])
    assert lane.on_eof() == ([], False)
    again = PendingCalls(calls(at_once), lane.snapshot())
    (found,) = collected(again, 1)
    assert found.item == ("ann", "a")
    lane.on_batch([Cancel("ann", "gone")])


def test_the_gate_shuts_at_its_mark_and_opens_again_well_below() -> None:
    gate = Gate(AsyncPolicy(in_flight=10, low_water=0.5))
    gate.add(9)
    assert gate.open()
    gate.add(1)
    assert not gate.open()
    gate.add(-4)
    assert not gate.open()
    gate.add(-1)
    assert gate.open()


def flow(items: list[Any], out: list[Any], made: AsyncCalls[Item, str]) -> Dataflow:
    built = Dataflow("calls")
    up = op.map("lane", op.input("in", built, TestingSource(items, batch_size=5)), lambda item: ("0", item))
    op.output("out", op.stateful_batch("calls", up, lambda state: PendingCalls(made, state)), TestingSink(out))
    return built


@pytest.mark.parametrize("crash_at", range(0, 40, 3))
def test_a_crash_loses_no_call(tmp_path: Path, crash_at: int) -> None:
    """Before the crash no call ends; after it all do. Each is answered once at least."""
    items: list[Any] = [(f"u{number}", "x") for number in range(40)]
    init_db_dir(tmp_path, 1)  # type: ignore[no-untyped-call]
    recovery = RecoveryConfig(str(tmp_path))  # type: ignore[no-untyped-call]
    out: list[Any] = []
    source = [*items[:crash_at], TestingSource.ABORT(), *items[crash_at:]]  # aborts once
    for call in (unanswered, at_once):
        run_main(flow(source, out, calls(call)), epoch_interval=timedelta(0), recovery_config=recovery)  # type: ignore[no-untyped-call]
    assert {each.item for _, each in out} == set(items)
    assert all(each.result == "X" for _, each in out)


def test_calls_do_not_hold_up_the_worker() -> None:
    main = threading.current_thread()
    seen: list[threading.Thread] = []
    release = threading.Event()

    async def where(item: Item) -> str:
        seen.append(threading.current_thread())
        await until(release.is_set, "the worker to go on")
        return item[1]

    lane = PendingCalls(calls(where), None)
    assert lane.on_batch([(f"u{number}", "x") for number in range(50)])[0] == [], "it returned while no call had ended"
    release.set()
    assert len(collected(lane, 50)) == 50
    assert main not in seen
