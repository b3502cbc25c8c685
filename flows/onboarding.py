"""The onboarding job on one page: the picture in the README, top to bottom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream
from bytewax.inputs import Source
from bytewax.outputs import Sink

from operators.awake import AwakePeople
from operators.choose import choose_step
from operators.compose import compose_step
from operators.counters import CounterView, counters_step
from operators.decode import decode_step
from operators.enrich import Wording, enrich_step
from operators.estimate import estimate_step
from operators.facts import facts_step, heartbeat_step
from operators.identify import identify_step
from operators.lanes import Lanes
from operators.link import VisitorIds, link_step
from operators.share import share_step
from operators.sink_batches import dead_letter_batches, effect_batches
from operators.stitch import stitch_step
from operators.stop_together import Stop, stop_step
from operators.switches import SharedSwitches, switches_step
from operators.timer_registry import TimerRegistry
from operators.timers import timers_step
from operators.track import track_step
from sources.batching import BatchPolicy
from state.catalog.by_tenant import Plans
from state.catalog.plan import Plan
from state.ids import Keys
from state.messages import Message, Tick
from state.stuck.parameters import ParameterStore


@dataclass(frozen=True)
class SideChannels:
    """What steps of one process share outside the streams. None of it is state: after a restart the steps' snapshots fill it again.

    ``timers``: ``track`` registers deadlines, ``timers`` and the source read them. ``parameters``: ``estimate`` publishes what it has
    learned, ``share`` what other processes have; ``track`` reads it at the next boundary of log time. ``counters``: ``counters`` shows its
    totals, displays and metrics read them. ``visitors``: ``link`` notes the ids of visitors, and hears of each that turns out to be a
    user's. ``switches``: ``decode`` and ``switches`` publish what operators decided, ``track`` asks what holds at a log time.
    ``awake``: ``track`` notes who has changed; the source has them encoded while there is nothing to read.
    """

    timers: TimerRegistry = field(default_factory=TimerRegistry)
    parameters: ParameterStore = field(default_factory=ParameterStore)
    counters: CounterView = field(default_factory=CounterView)
    visitors: VisitorIds = field(default_factory=VisitorIds)
    switches: SharedSwitches = field(default_factory=SharedSwitches)
    awake: AwakePeople = field(default_factory=AwakePeople)

    def batch_policy(self, plans: Iterable[Plan], batch_size: int) -> BatchPolicy:
        """How the source forms batches, and what it does while there is nothing to read."""
        return BatchPolicy(self.timers.peek, partial(self.parameters.lookahead, tuple(plans)), batch_size, self.awake.encode_some)


@dataclass(frozen=True)
class FlowParts:
    """What the graph is built from: source, sinks, catalogs and keys.

    ``workers`` is their number in all processes of the job, ``processes`` that of the processes, ``sink_partitions`` that of the workers
    which write to each sink. ``known_sink_partitions``: those of earlier runs too, where they were more. ``erased_partitions``: those that
    may have rows of a deleted user. ``wording`` calls the model, None without one.
    """

    source: Source[Message | Tick]
    recommendations: Sink[Any]
    facts: Sink[Any]
    dead_letters: Sink[Any]
    plans: Plans
    keys: Keys
    side: SideChannels = field(default_factory=SideChannels)
    workers: int = 1
    sink_partitions: int = 1
    known_sink_partitions: int = 1
    erased_partitions: int = 1
    processes: int = 1
    stop: Stop | None = None
    wording: Wording | None = None

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for fewer workers than processes: timers of some would never be due."""
        if self.workers < self.processes:
            raise ValueError(f"{self.processes} processes have at least as many workers, and workers is {self.workers}")


def build(parts: FlowParts) -> Dataflow:
    """Return the dataflow. It does not run and connects to nothing yet."""
    plans, keys, side, lanes, partitions = parts.plans, parts.keys, parts.side, Lanes(parts.workers), parts.sink_partitions
    flow = Dataflow("onboarding")

    # Messages become events, or dead letters with a reason.
    messages = op.input("messages", flow, parts.source)
    decoded = decode_step("decode", messages, keys, side.switches, plans)

    # Operators pause guidance, resume it, or give it to a share of people.
    switched = switches_step("switches", decoded, side.switches, side.timers)

    # What a visitor did before signing in counts for the user; what happens to the user later reaches the visitor.
    linked = link_step("link", decoded, side.visitors, lanes)
    stitched = stitch_step("stitch", linked, plans, side.visitors)
    identified = identify_step("identify", stitched, lanes)

    # Log time passes, and wakes people.
    longest = max(plan.limits.recommendation_ttl for plan in plans.distinct)
    arrivals = timers_step("timers", decoded, identified, side.timers, lanes, longest)

    # Each person's state: progress, signs of being stuck, whether to guide, what became of guidance.
    tracked = track_step("track", arrivals, plans, keys, side.timers, side.parameters, side.switches, side.awake)

    # How long steps take, and what being stuck looks like, is learned from how episodes end.
    estimated = estimate_step("estimate", tracked, plans, side.parameters, shared=parts.processes > 1)
    if parts.processes > 1:
        share_step("share", estimated, side.parameters, lanes)

    # Each (tenant, trigger) has a learner that chooses the arm and learns from outcomes; the tenant's catalog has the words.
    chosen = choose_step("choose", tracked, plans)
    composed = compose_step("compose", chosen, plans, keys)

    # A model may find better words for what stands in Redis; nothing waits for them.
    enriched = [enrich_step("enrich", composed, tracked, parts.wording)] if parts.wording is not None else []

    # Apps read Redis: new guidance, better words for it, guidance withdrawn, people deleted.
    changes: Stream[Any] = op.merge("changes", tracked, composed, *enriched)
    op.output("recommendations", effect_batches("effects", changes, partitions), parts.recommendations)

    # Analysts read ClickHouse: every event, signal, decision, non-decision and outcome. The heartbeat makes their rows durable.
    evidence: Stream[Any] = op.merge("evidence", decoded, switched, tracked, estimated, chosen, composed, *enriched)
    rows = facts_step("facts", evidence, partitions, parts.erased_partitions)
    beats = heartbeat_step("heartbeat", decoded, max(partitions, parts.known_sink_partitions))
    op.output("clickhouse", op.merge("rows", rows, beats), parts.facts)

    # Operators read the dead letters, and the counters.
    op.output("dead_letters", dead_letter_batches("rejected", decoded), parts.dead_letters)
    counters_step("counters", op.merge("counted", decoded, tracked, chosen, composed), side.counters)

    # A job of several processes ends in order only if all of them do.
    if parts.stop is not None and parts.processes > 1:
        stop_step("stop", flow, parts.stop, lanes)
    return flow
