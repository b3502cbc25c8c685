"""compose: a choice becomes the record that the app reads, in the words of the catalog."""

from __future__ import annotations

import bytewax.operators as op
from bytewax.dataflow import Stream

from state.composer import Composed, Composer
from state.ids import Keys
from state.items import Choice
from state.plan import Plan


def compose_step(step_id: str, up: Stream[Choice], plan: Plan, keys: Keys) -> Stream[Composed]:
    """Word the choices of ``up``: for each the effect that publishes it and the fact that tells of it."""
    composer = Composer(plan, keys)
    return op.flat_map_batch(step_id, up, lambda choices: [item for choice in choices for item in composer.compose(choice)])
