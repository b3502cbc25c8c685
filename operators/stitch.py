"""stitch: what a visitor did before signing in counts for the user that the visitor turns out to be.

Runs before ``track``, keyed by the visitor, so that the graph stays without loops: it remembers a visitor's evidence and, upon
``identity_merged``, hands it on under the user's key; what the device still sends under its old id follows. Batches without a visitor pass
by; a batch with one goes through as a whole, so that everything of a batch stays on one way (``track`` puts it in order).
"""

from __future__ import annotations

from collections.abc import Callable

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.decode import Arrival
from state.catalog.plan import Plan
from state.events import Event
from state.ids import Keys
from state.person.visitor import Stitcher, Visitor
from state.person.visitor import decode as decode_visitor
from state.person.visitor import encode as encode_visitor
from state.stream_items import Merged

Addressed = tuple[str, Arrival]

PASSING = "-"
"""Key of everything that is not about a visitor."""


class Stitching(StatefulBatchLogic[Addressed, list[Addressed], bytes]):
    """One visitor, or, under ``PASSING``, everybody else."""

    def __init__(self, stitcher: Stitcher, keys: Keys, resume_state: bytes | None) -> None:
        """Called for the first event of a key, and after a restart for every key that was ever written down."""
        self._stitcher, self._keys = stitcher, keys
        self._visitor = decode_visitor(resume_state) if resume_state is not None else Visitor()

    @override
    def on_batch(self, values: list[Addressed]) -> tuple[list[list[Addressed]], bool]:
        passed: list[Addressed] = []
        for key, arrival in values:
            if isinstance(arrival, Event) and arrival.anonymous:
                event = self._stitcher.event(self._visitor, arrival)
                passed.append((key, event) if event is arrival else (self._keys.stream_key(event.tenant, event.user), event))
            else:
                passed.append((key, arrival))
                if isinstance(arrival, Merged):
                    to = self._keys.stream_key(arrival.tenant, arrival.into)
                    passed += [(to, event) for event in self._stitcher.merge(self._visitor, arrival)]
        return [passed], False

    @override
    def snapshot(self) -> bytes:
        return encode_visitor(self._visitor)


def stitching(plan: Plan, keys: Keys) -> Callable[[bytes | None], Stitching]:
    """Builder for ``stateful_batch``."""
    stitcher = Stitcher(plan)
    return lambda resume_state: Stitching(stitcher, keys, resume_state)


def _concerns_visitor(arrival: Arrival) -> bool:
    return isinstance(arrival, Merged) or arrival.anonymous


def stitch_step(step_id: str, up: KeyedStream[Arrival], plan: Plan, keys: Keys) -> KeyedStream[Arrival]:
    """Join visitors with the users they become."""

    def passing_by(batch: list[Addressed]) -> list[Addressed]:
        return [] if any(_concerns_visitor(arrival) for _, arrival in batch) else batch

    def through(batch: list[Addressed]) -> list[tuple[str, Addressed]]:
        if not any(_concerns_visitor(arrival) for _, arrival in batch):
            return []
        return [(key if _concerns_visitor(arrival) else PASSING, (key, arrival)) for key, arrival in batch]

    stitched = op.stateful_batch(step_id, op.flat_map_batch(f"{step_id}_through", up, through), stitching(plan, keys))
    joined = op.flat_map_batch(f"{step_id}_joined", stitched, lambda batch: [each for _, passed in batch for each in passed])
    return op.merge(f"{step_id}_both", op.flat_map_batch(f"{step_id}_by", up, passing_by), joined)
