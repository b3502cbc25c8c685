"""share: brings what an estimator published to the stores of the other processes of the job.

It sends the parameters with the first observation after a boundary, and once after a start. They go through the dataflow, so they need no
store and no topic of their own, and a process never knows more than the snapshot to which all return after a crash. A process that they
reach late goes on with the version before, which is in the rows of what it decides.
"""

from __future__ import annotations

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic
from typing_extensions import override

from operators.estimate import Estimated
from operators.lanes import Lanes
from state.stuck.parameters import ParameterStore


class ShareLogic(StatefulBatchLogic[Estimated, None, None]):
    """One lane: what arrives is published in the store of this process."""

    def __init__(self, parameters: ParameterStore) -> None:
        """Called once per lane, on the worker that owns it."""
        self._parameters = parameters

    @override
    def on_batch(self, values: list[Estimated]) -> tuple[list[None], bool]:
        for value in values:
            self._parameters.receive(value.tenant, value.published)
        return [], False

    @override
    def snapshot(self) -> None:
        return None


def share_step(step_id: str, up: KeyedStream[Estimated], parameters: ParameterStore, lanes: Lanes) -> KeyedStream[None]:
    """Bring what the estimators of all processes publish to ``parameters``, the store of this process."""

    def route(batch: list[tuple[str, Estimated]]) -> list[tuple[str, Estimated]]:
        published = [Estimated([], each.tenant, each.published) for _, each in batch]
        return [(lane, each) for each in published for lane in lanes.every]

    return op.stateful_batch(step_id, op.flat_map_batch(f"{step_id}_lanes", up, route), lambda _nothing: ShareLogic(parameters))
