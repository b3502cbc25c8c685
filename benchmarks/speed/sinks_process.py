"""One process of ``sinks``: writes the graph's results for a file into the real sinks, without the graph. Prints one line of JSON."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bytewax.run import cli_main

from benchmarks.speed.engine import CallingSink, nothing
from benchmarks.speed.seeding import keys
from flows.catalogs import load_catalog
from flows.engines import open_engines
from flows.onboarding import FlowParts, SideChannels, build
from flows.run import tuned_garbage_collector
from flows.settings import load_settings
from sinks.redis.sink import RecommendationSink
from sinks.redis.writer import WritePolicy
from sources.files.source import JsonlSource
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.decode import peek, peek_person
from system.wall_clock import wall_clock

_READY_S = 120.0
_SEGMENT = 50
"""Batches of facts between two ends of an epoch."""


@dataclass(frozen=True)
class Task:
    """``input`` is a file of events, ``rounds`` how often its facts are inserted."""

    input: str
    rounds: int = 1


def collected(path: str) -> tuple[list[list[Any]], list[list[Any]]]:
    """Return the batches of effects and of facts that the graph makes of a file."""
    settings, plan, side = load_settings(), Plan(load_catalog("saas")), SideChannels()
    policy = side.batch_policy((plan,), settings.batch_size)
    source = JsonlSource(path, peek, policy, now=wall_clock, peek_person=peek_person)
    effects: list[list[Any]] = []
    facts: list[list[Any]] = []
    flow = build(
        FlowParts(
            source,
            CallingSink(lambda items: effects.extend(batch for _, batch in items)),
            CallingSink(lambda items: facts.extend(batch for _, batch in items)),
            CallingSink(nothing),
            ByTenant(plan),
            keys(),
            side,
        )
    )
    with tuned_garbage_collector():
        cli_main(flow)  # type: ignore[no-untyped-call]
    return effects, facts


def write_effects(url: str, effects: list[list[Any]], *, at_once: int) -> dict[str, float]:
    """Write all effects; ``at_once`` is how many are collected before they are sent."""
    sink = RecommendationSink(url, WritePolicy(), min_effects=at_once)
    partition = sink.build_part("redis", "0", None)
    begun, cpu = time.perf_counter(), time.process_time()
    for batch in effects:
        partition.write_batch([batch])
    partition.snapshot()
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    partition.close()
    count = sum(len(batch) for batch in effects)
    return {"effects": count, "perSecond": count / took, "cpuPerEffect": cpu / count}


def run(task: Task) -> dict[str, Any]:
    effects, facts = collected(task.input)
    with tempfile.TemporaryDirectory() as directory:
        settings = load_settings(data_dir=Path(directory) / "data")
        with open_engines(settings, "benchmark") as engines:
            engines.clickhouse.start(lambda: None)
            result: dict[str, Any] = {}
            for name, at_once in (("redis", 1), ("redis, collected", 500)):
                write_effects(engines.redis_url, effects[:2], at_once=at_once)
                _empty(engines.redis_url)
                result[name] = write_effects(engines.redis_url, effects, at_once=at_once)
                _empty(engines.redis_url)
            partition = engines.delivery.sink.build_part("facts", "0", None)
            partition.write_batch(facts[:1])
            partition.snapshot()
            if not engines.delivery.flush(_READY_S).complete:
                sys.exit("ClickHouse did not take the first rows")
            before = engines.delivery.drain.rows_inserted
            begun, cpu = time.perf_counter(), time.process_time()
            for _ in range(task.rounds):
                for number, batch in enumerate(facts):
                    partition.write_batch([batch])
                    if number % _SEGMENT == 0:
                        partition.snapshot()
            spooled, caller = time.perf_counter() - begun, time.process_time() - cpu
            partition.snapshot()
            if not engines.delivery.flush(600).complete:
                sys.exit("ClickHouse did not take all rows")
            took, rows = time.perf_counter() - begun, engines.delivery.drain.rows_inserted - before
            result["clickhouse"] = {
                "rows": rows,
                "perSecond": rows / took,
                "spooledPerSecond": rows / spooled,
                "cpuPerRow": caller / rows,
                "threads": threading.active_count(),
            }
    return result


def _empty(url: str) -> None:
    from redis import Redis  # noqa: PLC0415

    Redis.from_url(url).flushall()


if __name__ == "__main__":
    print(json.dumps(run(Task(**json.loads(sys.argv[1])))))
