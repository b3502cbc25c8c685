"""Every row of the job is the same however its input is divided into batches: ticks, timers and parameters stand at their log time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from bytewax.run import cli_main
from bytewax.testing import TestingSink

from benchmarks.generate import write_input
from flows.catalogs import load_catalog
from flows.onboarding import FlowParts, SideChannels, build
from sources.files.source import JsonlSource
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.decode import peek
from state.ids import Keys
from state.records.facts import StepMetricFact

EVENTS = 20_000
"""With 8,000 a timer that fires in a later period than its own goes unnoticed."""


def rows(source: Path, batch_size: int) -> list[str]:
    """All rows and effects, as text, in one order."""
    plan, side = Plan(load_catalog("saas")), SideChannels()
    effects, facts = list[tuple[str, list[object]]](), list[tuple[str, list[object]]]()
    policy = side.batch_policy((plan,), batch_size)
    parts = FlowParts(
        JsonlSource(source, peek, policy, now=lambda: 1 << 60),
        TestingSink(effects),
        TestingSink(facts),
        TestingSink([]),
        ByTenant(plan),
        Keys(b"tests"),
        side,
    )
    cli_main(build(parts), epoch_interval=timedelta(seconds=10))  # type: ignore[no-untyped-call]
    assert any(queues.awake for queues in side.awake._queues.values()), "the people of this job are those that its source encodes"
    found = [repr(each) for _, batch in (*effects, *facts) for each in batch if not isinstance(each, StepMetricFact)]  # counted by batch
    return sorted(found)


def test_a_source_lets_the_people_of_its_own_job_be_encoded() -> None:
    side = SideChannels()
    assert side.batch_policy((), 10).while_idle == side.awake.encode_some


def test_batches_of_another_size_give_the_same_rows(tmp_path: Path) -> None:
    source = tmp_path / "events.jsonl"
    write_input(source, events=EVENTS, seed=1)
    whole, small = rows(source, 1_000), rows(source, 7)
    assert len(whole) > 2 * EVENTS
    assert whole == small
