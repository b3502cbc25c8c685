"""The onboarding job on one page: the picture in the README, top to bottom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream
from bytewax.inputs import Source
from bytewax.outputs import Sink

from operators.cancel_calls import CancellingEffect
from operators.choose import choose_step
from operators.compose import compose_step
from operators.counters import CounterView, counters_step
from operators.decode import decode_step
from operators.enrich import enrich_step
from operators.estimate import estimate_step
from operators.facts import facts_step
from operators.select import only, only_outputs
from operators.sink_batches import gather_effects, gather_letters
from operators.stitch import stitch_step
from operators.timer_registry import TimerRegistry
from operators.timers import timers_step
from operators.track import track_step
from state.catalog.plan import Plan
from state.ids import Keys
from state.messages import Message, Tick
from state.records.facts import Fact
from state.records.recommendation import Effect, Erase, MarkShown, Publish, ReplaceText
from state.stream_items import Count, Decision
from state.stuck.parameters import ParameterStore

if TYPE_CHECKING:
    from flows.model_service import ModelService


@dataclass(frozen=True)
class FlowParts:
    """What the graph is built from: where it reads, where it writes, and what it knows.

    ``lanes`` and ``sink_partitions`` say over how many workers timers and sinks may be spread; 1 where one worker runs. ``model`` words
    guidance, None where there is none.
    """

    source: Source[Message | Tick]
    recommendations: Sink[Any]
    facts: Sink[Any]
    dead_letters: Sink[Any]
    plan: Plan
    keys: Keys
    wheels: TimerRegistry
    board: CounterView
    lanes: int = 1
    sink_partitions: int = 1
    parameters: ParameterStore = field(default_factory=ParameterStore)
    model: ModelService | None = None


def build(parts: FlowParts) -> Dataflow:
    """Return the dataflow. Builds only; nothing runs and nothing connects."""
    plan, keys, wheels = parts.plan, parts.keys, parts.wheels
    flow = Dataflow("onboarding")

    # Messages become events, or dead letters with a reason; the passing of time wakes people.
    messages = op.input("messages", flow, parts.source)
    decoded = decode_step("decode", messages, keys)
    woken = timers_step("timers", decoded.ticks, wheels, parts.lanes)

    # What a visitor did before signing in counts for the user.
    known = stitch_step("stitch", decoded.events, plan, keys)

    # Each person's state: progress, signs of being stuck, whether to guide, what came of it.
    arrivals = op.merge("arrivals", known, woken)
    tracked = track_step("track", arrivals, plan, keys, wheels, parts.parameters)

    # What people without guidance do teaches how long steps take and what being stuck looks like.
    estimated = estimate_step("estimate", tracked, plan, parts.parameters)

    # Each (tenant, trigger) has a learner that chooses the arm and learns from the rewards; the catalog has the words.
    chosen = choose_step("choose", tracked, plan)
    choices = only_outputs("choices", chosen, Decision)
    composed = compose_step("compose", choices, plan, keys)

    # A model may find better words for what stands in Redis; nothing waits for them.
    meanwhile: Stream[CancellingEffect] = only_outputs("meanwhile", tracked, (Publish, Erase, MarkShown))
    enriched = []
    if (model := parts.model) is not None:
        enriched = [
            enrich_step("enrich", composed, meanwhile, calls=model.calls, forget=model.forget, counters=model.counters, lanes=parts.lanes)
        ]

    # The app reads Redis: new guidance, better words for it, guidance taken back, people forgotten.
    effects: Stream[Effect] = op.merge(
        "all_effects", meanwhile, only("guidance", composed, Publish), *(only("better_words", each, ReplaceText) for each in enriched)
    )
    op.output("recommendations", gather_effects("effects", effects, parts.sink_partitions), parts.recommendations)

    # Analysts read ClickHouse: every event, signal, decision, non-decision and outcome.
    told = op.merge(
        "told",
        decoded.rejected,
        decoded.ticks,
        only_outputs("tracked_facts", tracked, (Fact, Erase)),
        only_outputs("estimated_facts", estimated, Fact),
        only_outputs("chosen_facts", chosen, Fact),
        only("composed_facts", composed, Fact),
        *(only("enriched_facts", each, Fact) for each in enriched),
    )
    op.output("facts", facts_step("tell", told, parts.sink_partitions), parts.facts)

    # Operators read the dead letters, and the tally of everything.
    op.output("dead_letters", gather_letters("letters", decoded.rejected), parts.dead_letters)
    counters_step("tally", op.merge("counted", told, decoded.counts, only_outputs("tracked_counts", tracked, Count)), parts.board)
    return flow
