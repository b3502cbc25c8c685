"""Scenario ``short``: small runs of the other scenarios, in a few minutes. Figures of so short runs are rough; ratios are less so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.speed import core, growth, latency, start


def measure(*, repeat: int, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run ``core`` without peers, ``growth`` from one to ten thousand people, ``latency`` at 500 events/s, and ``start``."""
    common: dict[str, Any] = {"repeat": repeat, "seed": seed, "tell": tell}
    live: dict[str, Any] = {"partitions": 6, "recovery_partitions": 32, "address": None}
    ours = ["bare loop", "onramp", "stock bytewax"]
    return {
        "core": core.measure(
            names=ours, events=60_000, slow_events=15_000, users=6000, epoch=1.0, fold="small", log_rate=100.0, **live, **common
        ),
        "growth": growth.measure(
            sizes=[1000, 10_000], epoch=20.0, fixed_epoch=False, epochs=3, recovery_partitions=32, user_events=20, log_rate=1000.0,
            fixed_log_rate=False, density_events=5000, dense_rate=10.0, sparse=100, most_events=100_000, **common,
        ),
        "latency": latency.measure(rates=[500], sign_ups=50.0, users=5000, epoch=2.0, epochs=3, **live, **(common | {"repeat": 1})),
        "start": start.measure(demo_users=0, **common),
    }  # fmt: skip


def lines(results: Mapping[str, Any]) -> list[str]:
    """Format the results of all scenarios."""
    table = []
    for name, module in (("core", core), ("growth", growth), ("latency", latency), ("start", start)):
        table += [f"{name}:", *(f"  {line}" for line in module.lines(results[name])), ""]
    return table[:-1]
