"""compose: makes the record that the app reads, with the catalog's text, and a request for a model's text."""

from __future__ import annotations

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream

from state import counters
from state.catalog.by_tenant import Plans
from state.counters import CounterTotals
from state.decision.chooser import Choices
from state.decision.composer import Composer
from state.decision.wording_request import WordingRequest, WordingSkipped, consider
from state.ids import Keys
from state.records.facts import RecommendationFact
from state.records.recommendation import Publish


class Composed:
    """What ``compose`` emits for one batch. Where a model is available, ``wording`` has a request or a skip reason for each decision."""

    __slots__ = ("counts", "effects", "rows", "wording")

    def __init__(self) -> None:
        self.effects: list[Publish] = []
        self.rows: list[RecommendationFact] = []
        self.wording: list[WordingRequest | WordingSkipped] = []
        self.counts: CounterTotals = {}


def compose_step(step_id: str, up: KeyedStream[Choices], plans: Plans, keys: Keys) -> Stream[Composed]:
    """Compose the decisions of ``up``."""
    composers = plans.map(lambda plan: Composer(plan, keys))

    def compose(batch: list[tuple[str, Choices]]) -> list[Composed]:
        out = Composed()
        for _, choices in batch:
            for decision in choices.decisions:
                request = decision.request
                plan = plans.of(request.tenant)
                publish, row = composers.of(request.tenant).compose(decision)
                out.effects.append(publish)
                out.rows.append(row)
                if plan.wording is not None:
                    out.wording.append(
                        consider(
                            plan,
                            publish.recommendation,
                            context=request.context,
                            traits=request.traits,
                            group=request.group,
                            at=request.at,
                        )
                    )
        if out.effects:
            out.counts[counters.RECOMMENDATIONS.name] = len(out.effects)
        return [out] if out.effects else []

    return op.flat_map_batch(step_id, up, compose)
