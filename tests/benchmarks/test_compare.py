"""Comparing speed: runs alternate, and the ratio is of medians."""

from __future__ import annotations

from benchmarks.compare import Run, alternate, figures


def test_runs_of_the_trees_alternate() -> None:
    order: list[str] = []

    def run(name: str) -> Run:
        order.append(name)
        return {"seconds": float(len(order)), "cpu": 1.0}

    base, new = alternate(lambda: run("base"), lambda: run("new"), repeat=2)
    assert order == ["base", "new", "base", "new"]
    assert [each["seconds"] for each in base] == [1.0, 3.0]
    assert [each["seconds"] for each in new] == [2.0, 4.0]


def test_a_ratio_above_one_means_that_the_new_tree_is_faster() -> None:
    base = [{"seconds": 2.0, "cpu": 4.0}, {"seconds": 90.0, "cpu": 4.0}, {"seconds": 2.0, "cpu": 4.0}]
    new = [{"seconds": 1.0, "cpu": 5.0}, {"seconds": 1.0, "cpu": 5.0}, {"seconds": 1.0, "cpu": 5.0}]
    found = figures(100, base, new)
    assert found["ratio"] == 2.0
    assert found["cpuRatio"] == 0.8
    assert (found["base"]["eventsPerSecond"], found["base"]["least"], found["base"]["most"]) == (50, 1, 50)
