"""compose: a choice becomes the record that the app reads, in the words of the catalog; and perhaps the wish for a model's."""

from __future__ import annotations

import bytewax.operators as op
from bytewax.dataflow import Stream

from state.catalog.plan import Plan
from state.decision.composer import Composed, Composer
from state.decision.wording_request import Kept, Wish, consider
from state.ids import Keys
from state.stream_items import Decision


def compose_step(step_id: str, up: Stream[Decision], plan: Plan, keys: Keys) -> Stream[Composed | Wish | Kept]:
    """Word the choices of ``up``: for each the effect that publishes it and the fact that tells of it.

    Where a model may word guidance, the wish for that follows, or why there is none.
    """
    composer = Composer(plan, keys)

    def word(choices: list[Decision]) -> list[Composed | Wish | Kept]:
        worded: list[Composed | Wish | Kept] = []
        for choice in choices:
            publish, fact = composer.compose(choice)
            worded += (publish, fact)
            if plan.wording is not None:
                worded.append(consider(plan, choice, publish.recommendation))
        return worded

    return op.flat_map_batch(step_id, up, word)
