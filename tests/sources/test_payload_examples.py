"""Examples that satisfy a catalog's conditions: found wherever there are any, and right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sources.closed_loop.payload_examples import MISSING, payloads, values
from state.catalog.model import Condition

# The reference: what a matcher means, written again from the catalog's documentation. Nothing of the engine is used.


def passes(condition: Condition, value: Any) -> bool:
    for test, wanted in condition.model_dump(exclude_unset=True).items():
        if test == "exists":
            ok = (value is not None) is wanted
        elif test == "eq":
            ok = value == wanted and type(value) is type(wanted)
        elif test == "in_":
            ok = any(value == one and type(value) is type(one) for one in wanted)
        elif test == "not_in":
            ok = value not in [one for one in wanted if type(one) is type(value)]
        elif isinstance(value, str) and isinstance(wanted, str):
            ok = re.search({"prefix": r"\A%s", "suffix": r"%s\Z", "contains": "%s"}[test] % re.escape(wanted), value) is not None
        elif isinstance(value, int | float) and not isinstance(value, bool):
            ok = {"gt": value > wanted, "gte": not value < wanted, "lt": value < wanted, "lte": not value > wanted}.get(test, False)
        else:
            ok = False
        if not ok:
            return False
    return True


def get(payload: Any, field: str) -> Any:
    for part in field.split("."):
        payload = payload.get(part) if isinstance(payload, dict) else None
    return payload


def satisfied(where: Mapping[str, Condition], payload: Any) -> bool:
    return all(passes(condition, get(payload, field)) for field, condition in where.items())


_texts = st.text("ab -/é7", min_size=1, max_size=6)
_numbers = st.one_of(st.integers(-1000, 1000), st.floats(-1000, 1000).filter(lambda number: number not in (0.0, -0.0)))
_scalars = st.one_of(_texts, st.booleans(), st.integers(-50, 50))
_satisfiable: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"eq": _scalars}),
    st.fixed_dictionaries({"in": st.lists(_scalars, min_size=1, max_size=4)}, optional={"exists": st.just(True)}),
    st.fixed_dictionaries({"not_in": st.lists(_scalars, min_size=1, max_size=6)}, optional={"exists": st.just(True)}),
    st.fixed_dictionaries({"prefix": _texts}, optional={"suffix": _texts, "contains": _texts, "not_in": st.lists(_texts, max_size=3)}),
    st.fixed_dictionaries({"suffix": _texts}, optional={"contains": _texts}),
    st.fixed_dictionaries({"contains": _texts}),
    st.fixed_dictionaries({"gt": _numbers}, optional={"not_in": st.lists(st.integers(-50, 50), max_size=4)}),
    st.fixed_dictionaries({"gte": _numbers}),
    st.fixed_dictionaries({"lt": _numbers}),
    st.fixed_dictionaries({"lte": _numbers}),
    st.tuples(_numbers, st.floats(0.001, 50)).map(lambda pair: {"gt": pair[0], "lt": pair[0] + pair[1]}),
    st.tuples(_numbers, st.floats(0, 50)).map(lambda pair: {"gte": pair[0], "lte": pair[0] + pair[1]}),
    st.fixed_dictionaries({"exists": st.booleans()}),
)
_anything = st.dictionaries(
    st.sampled_from(["prefix", "suffix", "contains", "eq", "gt", "gte", "lt", "lte", "exists"]), _scalars, min_size=1, max_size=4
)


@given(_satisfiable.map(Condition.model_validate))
def test_for_every_condition_that_can_be_met_a_value_is_found_that_meets_it(condition: Condition) -> None:
    found = values(condition)
    assert found
    for value in found:
        assert passes(condition, None if value is MISSING else value)


@given(_anything)
def test_a_condition_that_contradicts_itself_gives_no_value_rather_than_a_wrong_one(tests: dict[str, Any]) -> None:
    try:
        condition = Condition.model_validate(tests)
    except ValueError:
        return
    for value in values(condition):
        assert passes(condition, None if value is MISSING else value)


@given(st.dictionaries(st.sampled_from(["a", "b", "c.d", "c.e.f"]), _satisfiable.map(Condition.model_validate), max_size=4))
def test_every_payload_satisfies_all_conditions_and_survives_json(where: dict[str, Condition]) -> None:
    found = payloads(where, {"path": "/x"})
    assert found
    for payload in found:
        assert satisfied(where, msgspec.json.decode(msgspec.json.encode(payload)))
        assert payload["path"] == "/x"


def test_fields_that_stand_in_each_others_way_give_no_payload() -> None:
    where = {"a": Condition(eq=1), "a.b": Condition(eq=2)}
    assert payloads(where, {}) == []
