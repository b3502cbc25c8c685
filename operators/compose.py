"""compose: a choice becomes the record that the app reads, in the words of the catalog; and perhaps the wish for a model's."""

from __future__ import annotations

import bytewax.operators as op
from bytewax.dataflow import Stream

from state.composer import Composed, Composer
from state.ids import Keys
from state.items import Choice
from state.plan import Plan
from state.wording import Kept, Wish, consider


def compose_step(step_id: str, up: Stream[Choice], plan: Plan, keys: Keys) -> Stream[Composed | Wish | Kept]:
    """Word the choices of ``up``: for each the effect that publishes it and the fact that tells of it.

    Where a model may word guidance, the wish for that follows, or why there is none.
    """
    composer = Composer(plan, keys)

    def word(choices: list[Choice]) -> list[Composed | Wish | Kept]:
        worded: list[Composed | Wish | Kept] = []
        for choice in choices:
            publish, fact = composer.compose(choice)
            worded += (publish, fact)
            if plan.wording is not None:
                worded.append(consider(plan, choice, publish.recommendation))
        return worded

    return op.flat_map_batch(step_id, up, word)
