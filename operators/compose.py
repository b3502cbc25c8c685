"""compose: turns a choice into the record that the app reads, with the catalog's text, and into a request for a model's text."""

from __future__ import annotations

import bytewax.operators as op
from bytewax.dataflow import Stream

from state.catalog.plan import Plan
from state.decision.composer import Composed, Composer
from state.decision.wording_request import WordingRequest, WordingSkipped, consider
from state.ids import Keys
from state.stream_items import Decision


def compose_step(step_id: str, up: Stream[Decision], plan: Plan, keys: Keys) -> Stream[Composed | WordingRequest | WordingSkipped]:
    """For each choice in ``up`` emit the effect that publishes it and its fact.

    Where a model may word guidance, emit a wording request as well, or the reason why there is none.
    """
    composer = Composer(plan, keys)

    def word(choices: list[Decision]) -> list[Composed | WordingRequest | WordingSkipped]:
        worded: list[Composed | WordingRequest | WordingSkipped] = []
        for choice in choices:
            publish, fact = composer.compose(choice)
            worded += (publish, fact)
            if plan.wording is not None:
                ask = choice.ask
                worded.append(consider(plan, publish.recommendation, context=ask.context, traits=ask.traits, group=ask.group, at=ask.at))
        return worded

    return op.flat_map_batch(step_id, up, word)
