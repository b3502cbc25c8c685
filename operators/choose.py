"""choose: the bandit, one learner for each (tenant, trigger). It takes requests and outcomes in the order in which they happened."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.lanes import by_key
from operators.track import Tracked
from state.catalog.by_tenant import ByTenant, Plans
from state.decision.bandit import LEARNER_CODEC, Bandit, Learner
from state.decision.chooser import Choices, Chooser
from state.decision.messages import CatalogMet, DecisionOutcome, DecisionRequest, LearnerInput, input_order


class ChooseLogic(StatefulBatchLogic[list[LearnerInput], Choices, bytes]):
    """One learner in the dataflow."""

    def __init__(self, choosers: ByTenant[Chooser], resume_state: bytes | None) -> None:
        """Called for the first request of a key, and after a restart for every key in the recovery store.

        A learner does not know its tenant, so it waits for the first message of one.
        """
        self._choosers = choosers
        self._learner = LEARNER_CODEC.decode(resume_state) if resume_state is not None else Learner()
        self._chooser: Chooser | None = None
        self._bandit: Bandit | None = None

    @override
    def on_batch(self, values: list[list[LearnerInput]]) -> tuple[list[Choices], bool]:
        # Bytewax emits people in order of their keys. Sorting makes the result independent of how the input was batched.
        messages = sorted(chain.from_iterable(values), key=input_order)
        out = Choices()
        if not messages:
            return [out], False
        chooser = self._chooser or self._choosers.of(messages[0].tenant)
        bandit = self._bandit or chooser.bandit(self._learner)
        self._chooser, self._bandit = chooser, bandit
        for value in messages:
            if type(value) is DecisionRequest:
                chooser.decide(bandit, value, out)
            elif type(value) is DecisionOutcome:
                chooser.learn(bandit, value, out)
            else:
                chooser.meet(bandit, value.tenant, out)
        return [out], False

    @override
    def snapshot(self) -> bytes:
        return LEARNER_CODEC.encode(self._learner)


def choose_logic(plans: Plans) -> Callable[[bytes | None], ChooseLogic]:
    """Builder for ``stateful_batch``."""
    choosers = plans.map(Chooser)
    return lambda resume_state: ChooseLogic(choosers, resume_state)


def choose_step(step_id: str, up: Stream[Tracked], plans: Plans) -> KeyedStream[Choices]:
    """Route requests and outcomes to their learners, and choose arms."""

    def route(batch: list[Tracked]) -> list[tuple[str, list[LearnerInput]]]:
        messages: list[LearnerInput] = []
        for tracked in batch:
            messages += [CatalogMet(tenant) for tenant in tracked.met if plans.find(tenant) is not None]
            messages += tracked.requests
            messages += tracked.outcomes
        return by_key((f"{message.tenant}|{message.trigger}", message) for message in messages)

    return op.stateful_batch(step_id, op.flat_map_batch(f"{step_id}_route", up, route), choose_logic(plans))
