"""choose: the bandit, one learner a (tenant, trigger). Takes asks and rewards in the order in which they happened."""

from __future__ import annotations

from collections.abc import Callable

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from state.catalog.plan import Plan
from state.decision import learner_snapshot
from state.decision.chooser import Chooser, Chosen
from state.decision.guidance import Output
from state.stream_items import DecisionOutcome, DecisionRequest


class Choosing(StatefulBatchLogic[DecisionRequest | DecisionOutcome, list[Chosen], bytes]):
    """One learner in the dataflow."""

    def __init__(self, chooser: Chooser, resume_state: bytes | None) -> None:
        """Called for the first ask of a key, and after a restart for every key that was ever written down."""
        self._chooser = chooser
        self._bandit = chooser.bandit(learner_snapshot.decode(resume_state))

    @override
    def on_batch(self, values: list[DecisionRequest | DecisionOutcome]) -> tuple[list[list[Chosen]], bool]:
        # Bytewax visits people in order of their keys; what happened first must be learned first, however the input was batched.
        values.sort(key=lambda item: (item.seq, item.at, item.who, item.turn))
        outputs: list[Chosen] = []
        for value in values:
            if type(value) is DecisionRequest:
                outputs += self._chooser.decide(self._bandit, value)
            elif type(value) is DecisionOutcome:
                outputs += self._chooser.learn(self._bandit, value)
        return [outputs], False

    @override
    def snapshot(self) -> bytes:
        return learner_snapshot.encode(self._bandit.learner)


def choosing(plan: Plan) -> Callable[[bytes | None], Choosing]:
    """Builder for ``stateful_batch``."""
    chooser = Chooser(plan)
    return lambda resume_state: Choosing(chooser, resume_state)


def choose_step(step_id: str, up: KeyedStream[list[Output]], plan: Plan) -> KeyedStream[list[Chosen]]:
    """Route asks and rewards from the people to their learners, and choose."""

    def address(batch: list[tuple[str, list[Output]]]) -> list[tuple[str, DecisionRequest | DecisionOutcome]]:
        return [
            (f"{item.tenant}|{item.trigger}", item)
            for _, outputs in batch
            for item in outputs
            if type(item) is DecisionRequest or type(item) is DecisionOutcome
        ]

    return op.stateful_batch(step_id, op.flat_map_batch(f"{step_id}_address", up, address), choosing(plan))
