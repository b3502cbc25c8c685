"""Every row of an import is an event, left out or rejected; the counts say which, and a limit is not silent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.tables import importing
from sources.tables.importing import Outcome, import_rows
from sources.tables.mapper import Mapper
from sources.tables.mapping import parse_mapping
from sources.tables.row_files import TableRow

NOW = 1_790_000_000_000
MAPPING = "eventId: i\nuserId: u\ntimestamp: {column: t, unit: s}\nevent: {column: e, values: {a: {type: track}}, otherwise: skip}\n"


def row(number: int, **values: Any) -> TableRow:
    return TableRow(number, {"i": number, "u": "ana", "t": 1_772_000_000 + number, "e": "a", **values})


def run(rows: Iterator[TableRow] | list[TableRow], most: int | None = None) -> tuple[Outcome, list[tuple[int, bytes]], list[Any]]:
    events: list[tuple[int, bytes]] = []
    rejected: list[Any] = []
    outcome = import_rows(
        rows,
        Mapper(parse_mapping(MAPPING, "m.yaml"), now=NOW),
        take=lambda at, line: events.append((at, line)),
        reject=lambda line: rejected.append(json.loads(line)),
        watch=lambda: None,
        most_rows=most,
    )
    return outcome, events, rejected


@given(kinds=st.lists(st.sampled_from(["event", "skip", "bad row", "no user", "no time"]), max_size=30))
def test_no_row_is_lost(kinds: list[str]) -> None:
    made: dict[str, Callable[[int], TableRow]] = {
        "event": row,
        "skip": lambda n: row(n, e="z"),
        "bad row": lambda n: TableRow(n, None, "has 1 cell", "x"),
        "no user": lambda n: row(n, u=None),
        "no time": lambda n: row(n, t="soon"),
    }
    outcome, events, rejected = run([made[kind](number) for number, kind in enumerate(kinds, 1)])
    assert outcome.rows == len(kinds) == outcome.events + outcome.left_out + outcome.rejected.total()
    assert (outcome.events, outcome.left_out) == (kinds.count("event"), kinds.count("skip")) == (len(events), outcome.left_out)
    names = {"bad_row": "bad row", "missing_user": "no user", "bad_value": "no time"}
    assert [names[each["reason"]] for each in rejected] == [kind for kind in kinds if kind in names.values()]
    assert [each["line"] for each in rejected] == [number for number, kind in enumerate(kinds, 1) if kind in names.values()]
    assert sum(example.rows for example in outcome.examples.values()) == len(rejected)
    assert [outcome.first, outcome.last] == ([min(events)[0], max(events)[0]] if events else [None, None])


def test_a_limit_is_told() -> None:
    assert (run([row(1), row(2)], most=2)[0].complete, run([row(1), row(2)], most=1)[0].complete) == (True, False)
    assert run([row(1), row(2)], most=1)[0].rows == 1


def test_repeated_ids_of_one_user_are_counted_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run([row(1), row(1), row(1, u="ben"), row(2)])[0].repeated == 1
    monkeypatch.setattr(importing, "IDS_COMPARED", 1)
    assert run([row(1), row(2), row(2), row(1)])[0].repeated == 1


def test_kinds_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_MOST_KINDS", 1)
    text = MAPPING.replace("values: {a: {type: track}}, otherwise: skip", "otherwise: track")
    outcome = import_rows(
        [row(n, e=f"k{n}") for n in range(4)],
        Mapper(parse_mapping(text, "m.yaml"), now=NOW),
        take=lambda *_: None,
        reject=lambda _: None,
        watch=lambda: None,
    )
    assert dict(outcome.kinds) == {"track k0": 1, "(others)": 3}


def test_a_rejected_row_that_is_no_json_is_shown_as_it_is() -> None:
    (rejected,) = run([row(1, u=None, x=b"\xff")])[2]
    assert "\\xff" in rejected["text"]
