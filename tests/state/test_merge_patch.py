"""JSON Merge Patch as RFC 7396 has it, and what a patch did, field by field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.merge_patch import ABSENT, Change, changes, merge_patch

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_the_standard(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


@given(JSON, JSON)
def test_a_patch_applied_twice_is_applied_once(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@given(JSON, JSON)
def test_there_are_changes_exactly_where_the_values_differ(before: Any, after: Any) -> None:
    assert (changes(before, after) == []) == (repr(_sorted(before)) == repr(_sorted(after)))


def _sorted(value: Any) -> Any:
    """Objects have no order, and True is not 1."""
    if isinstance(value, dict):
        return sorted((name, _sorted(each)) for name, each in value.items()), "object"
    return value


def test_changes_name_the_path_and_both_values() -> None:
    before = {"eventType": "click", "payload": {"path": "/a", "old": 1}}
    after = {"eventType": "page_view", "payload": {"path": "/a", "title": "A"}}
    assert changes(before, after) == [
        Change("eventType", "click", "page_view"),
        Change("payload.old", 1, ABSENT),
        Change("payload.title", ABSENT, "A"),
    ]
