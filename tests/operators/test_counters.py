"""counters: every step's work is counted once, by catalogued names, however it was cut and across restarts."""

from __future__ import annotations

import ast
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

from operators.counters import CounterView, counter_logic, counters_step, sum_of
from state import counters
from state.counters import COUNTERS, Counter, CounterTotals, add
from state.person.collector import Collector
from tests.state.lives import Counted, Life, event, of_kind, signup

ROOT = Path(__file__).parents[2]


class Outputs:
    """What a step counted."""

    def __init__(self, counts: CounterTotals) -> None:
        self.counts = counts


def totals_of(outputs: list[Any]) -> list[CounterTotals]:
    """What a life's outputs add, one at a time."""
    return [{f"{each.name}|{each.label}" if each.label else each.name: each.by} for each in of_kind(outputs, Counted)]


# the catalogue


def test_each_counter_of_the_module_is_in_the_catalogue_once_under_a_name_of_its_own() -> None:
    made = {name: value for name, value in vars(counters).items() if isinstance(value, Counter)}
    assert len(made) == len(COUNTERS) == len({counter.name for counter in COUNTERS}) == len(set(made.values()))
    assert set(made.values()) == set(COUNTERS)
    for counter in COUNTERS:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", counter.name), counter.name
        assert counter.unit
        assert counter.meaning


def _uses(path: Path) -> list[tuple[str, str, bool]]:
    """``counters.NAME`` in the code of one file, as (place, name, whether a label is given): increments and keys."""
    found: list[tuple[str, str, bool]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr == "name" and (name := _counter_in(node.value)):
            found.append((f"{path.relative_to(ROOT)}:{node.lineno}", name, False))
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        place = f"{path.relative_to(ROOT)}:{node.lineno}"
        if node.func.attr == "count" and node.args and (name := _counter_in(node.args[0])):
            found.append((place, name, len(node.args) > 1 or any(each.arg == "label" for each in node.keywords)))
        elif node.func.attr == "increment" and len(node.args) > 1 and (name := _counter_in(node.args[1])):
            found.append((place, name, len(node.args) > 2 or any(each.arg == "label" for each in node.keywords)))
        elif name := _counter_in(node.func.value):
            if node.func.attr == "key":
                found.append((place, name, bool(node.args)))
            elif node.func.attr in ("total", "by_label"):
                found.append((place, name, node.func.attr == "by_label"))
    return found


def _counter_in(node: ast.expr) -> str:
    """``NAME`` of ``counters.NAME``, where it is a counter."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "counters" and node.attr.isupper():
        return node.attr
    return ""


USES = [
    use for room in ("state", "operators", "flows", "cli", "reports") for path in sorted((ROOT / room).rglob("*.py")) for use in _uses(path)
]


def test_each_counter_is_counted_somewhere() -> None:
    counting = {name for place, name, _ in USES if place.startswith(("state/", "operators/"))}
    assert counting == {name for name, value in vars(counters).items() if isinstance(value, Counter)}


@pytest.mark.parametrize(("place", "name", "labelled"), USES, ids=[f"{place} {name}" for place, name, _ in USES])
def test_a_label_is_given_where_and_only_where_the_counter_has_one(place: str, name: str, labelled: bool) -> None:
    counter = getattr(counters, name)
    assert counter in COUNTERS, place
    assert labelled == bool(counter.label), place


def test_what_a_life_counts_is_in_the_catalogue_and_labelled_as_it_says() -> None:
    life = Life()
    life.see(signup(), signup(), event("recommendation_shown", 1), event("recommendation_clicked", 2, recommendationId="nobody's"))
    life.see(event("form_submit", 3, form="connect"), event("user_deleted", 4), event("track", 5))
    known = {counter.name: counter for counter in COUNTERS}
    counted = of_kind(life.outputs, Counted)
    assert len({each.name for each in counted}) >= 6
    for each in counted:
        assert bool(each.label) == bool(known[each.name].label), each


def test_totals_are_read_by_the_name_and_by_label() -> None:
    out = Collector("key")
    out.count(counters.EVENTS_APPLIED)
    out.count(counters.EVENTS_APPLIED, by=2)
    out.count(counters.EVENTS_IGNORED, "late")
    out.count(counters.EVENTS_IGNORED, "deleted", by=3)
    out.count(counters.PEOPLE, by=-1)
    assert out.counts == {"events_applied": 3, "events_ignored|late": 1, "events_ignored|deleted": 3, "people": -1}
    assert counters.EVENTS_APPLIED.total(out.counts) == 3
    assert counters.STEPS_COMPLETED.total(out.counts) == 0
    assert counters.EVENTS_IGNORED.by_label({**out.counts, "events_ignored|never": 0}) == {"deleted": 3, "late": 1}


# the sum


def test_a_batch_adds_up_over_keyed_and_other_outputs() -> None:
    batch = [
        Outputs({"messages_read": 5, "events_ignored|late": 1}),
        ("key", Outputs({"messages_read": 2, "people_activated": -1})),
        Outputs({}),
    ]
    assert sum_of(batch) == {"messages_read": 7, "events_ignored|late": 1, "people_activated": -1}  # type: ignore[arg-type]
    assert sum_of([]) == {}


def test_the_step_shows_its_totals_and_emits_nothing() -> None:
    view, out = CounterView(), list[Any]()
    flow = Dataflow("counters")
    items: list[Any] = [Outputs({"messages_read": 1}), ("key", Outputs({"messages_read": 2, "people": 1})), Outputs({})]
    op.output("out", counters_step("counters", op.input("in", flow, TestingSource(items)), view), TestingSink(out))
    run_main(flow)  # type: ignore[no-untyped-call]
    assert (view.total, view.resumed, out) == ({"messages_read": 3, "people": 1}, {}, [])


def test_a_lifes_totals_do_not_depend_on_how_it_was_cut() -> None:
    life = Life()
    life.see(signup(), event("recommendation_shown", 1), event("form_submit", 2, form="connect"), event("user_deleted", 3))
    counted = totals_of(life.outputs)
    whole: CounterTotals = {}
    for each in counted:
        add(whole, each)
    assert len(whole) >= 5
    for first, second in combinations(range(len(counted) + 1), 2):
        view = CounterView()
        logic = counter_logic(view)(None)
        for part in (counted[:first], counted[first:second], counted[second:]):
            logic.on_batch(part)
        assert view.total == whole


def test_a_resumed_sum_goes_on_exactly_and_remembers_what_it_resumed_from() -> None:
    view = CounterView()
    logic = counter_logic(view)(None)
    assert logic.on_batch([{"messages_read": 3}, {"messages_read": 4, "people": 1}]) == ([], False)
    again = CounterView()
    resumed = counter_logic(again)(logic.snapshot())
    assert again.total == again.resumed == {"messages_read": 7, "people": 1}
    resumed.on_batch([{"messages_read": 1, "people_activated": -1}])
    assert again.total == {"messages_read": 8, "people": 1, "people_activated": -1}
    assert again.resumed == {"messages_read": 7, "people": 1}
    assert counter_logic(CounterView())(resumed.snapshot()).snapshot() == resumed.snapshot()


def test_what_a_reader_has_taken_from_the_view_does_not_change_under_them() -> None:
    view = CounterView()
    logic = counter_logic(view)(None)
    logic.on_batch([{"messages_read": 1}])
    taken = view.total
    logic.on_batch([{"messages_read": 1}])
    assert (taken, view.total) == ({"messages_read": 1}, {"messages_read": 2})
