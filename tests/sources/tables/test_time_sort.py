"""Events come back by time, in bounded memory, and none is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.tables import time_sort
from sources.tables.time_sort import SortError, TimeSort


@given(times=st.lists(st.integers(-5, 5), max_size=60), memory=st.sampled_from([1, 400, 2_000, 10**6]))
def test_the_order_is_that_of_a_stable_sort(times: list[int], memory: int) -> None:
    events = [(at, f"{number}".encode()) for number, at in enumerate(times)]
    with TimeSort(memory_bytes=memory) as order:
        for at, line in events:
            order.add(at, line)
        assert list(order.in_order()) == [line for _, line in sorted(events, key=lambda each: each[0])]


def test_many_parts_are_merged_and_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_sort, "_MOST_PARTS", 3)
    events = [(at * 7919 % 101, f"{at}".encode()) for at in range(200)]
    with TimeSort(tmp_path, memory_bytes=1_000) as order:
        for at, line in events:
            order.add(at, line)
        assert len(order._parts) <= 4
        assert list(order.in_order()) == [line for _, line in sorted(events, key=lambda each: each[0])]
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with TimeSort(tmp_path / "gone", memory_bytes=1) as order, pytest.raises(SortError, match=r"gone \(No such file"):
        order.add(1, b"x")
