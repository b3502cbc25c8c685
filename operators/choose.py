"""choose: the bandit, one learner for each (tenant, trigger). It takes requests and outcomes in the order in which they happened."""

from __future__ import annotations

from collections.abc import Callable

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.track import Tracked
from state.catalog.plan import Plan
from state.decision import learner_snapshot
from state.decision.chooser import Choices, Chooser
from state.decision.messages import DecisionOutcome, DecisionRequest, input_order


class ChooseLogic(StatefulBatchLogic[DecisionRequest | DecisionOutcome, Choices, bytes]):
    """One learner in the dataflow."""

    def __init__(self, chooser: Chooser, resume_state: bytes | None) -> None:
        """Called for the first request of a key, and after a restart for every key in the recovery store."""
        self._chooser = chooser
        self._bandit = chooser.bandit(learner_snapshot.decode(resume_state))

    @override
    def on_batch(self, values: list[DecisionRequest | DecisionOutcome]) -> tuple[list[Choices], bool]:
        # Bytewax emits people in order of their keys. Sorting makes the result independent of how the input was batched.
        values.sort(key=input_order)
        out = Choices()
        for value in values:
            if type(value) is DecisionRequest:
                self._chooser.decide(self._bandit, value, out)
            else:
                self._chooser.learn(self._bandit, value, out)  # type: ignore[arg-type]
        return [out], False

    @override
    def snapshot(self) -> bytes:
        return learner_snapshot.encode(self._bandit.learner)


def choose_logic(plan: Plan) -> Callable[[bytes | None], ChooseLogic]:
    """Builder for ``stateful_batch``."""
    chooser = Chooser(plan)
    return lambda resume_state: ChooseLogic(chooser, resume_state)


def choose_step(step_id: str, up: Stream[Tracked], plan: Plan) -> KeyedStream[Choices]:
    """Route requests and outcomes to their learners, and choose arms."""

    def route(batch: list[Tracked]) -> list[tuple[str, DecisionRequest | DecisionOutcome]]:
        messages: list[DecisionRequest | DecisionOutcome] = []
        for tracked in batch:
            messages += tracked.requests
            messages += tracked.outcomes
        return [(f"{message.tenant}|{message.trigger}", message) for message in messages]

    return op.stateful_batch(step_id, op.flat_map_batch(f"{step_id}_route", up, route), choose_logic(plan))
