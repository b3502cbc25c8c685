"""facts: rows for analysts, one batch at a time, with the step metrics that follow from them.

A batch travels as one item, so the engine's cost per item occurs once. The metrics are additive partials of tumbling one-minute windows.
They are counted per batch, and the sink identifies them when they are durable; therefore no operator keeps an open window, and a resume
neither doubles nor loses a count (docs/adr/0006).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream

from operators.bundle import Bundle
from operators.decode import Decoded
from operators.lanes import spread
from operators.sink_batches import by_person, unkeyed
from state.person.collector import Row
from state.records.minute_metrics import with_metrics
from state.records.recommendation import Erase


class HasRows(Protocol):
    """The outputs of a step that has rows."""

    @property
    def rows(self) -> Sequence[Any]:
        """Facts and erasures, those of one person in order."""
        ...


def _person_of(row: Row) -> str:
    user: str = getattr(row, "user_id", "")
    return user


def facts_step(step_id: str, up: Stream[HasRows | tuple[str, HasRows]], partitions: int, erased: int = 1) -> KeyedStream[list[Row]]:
    """The rows of a batch, as one item for each partition of the sink. Deletions go to the first ``erased`` partitions, too.

    The sink wraps numbers beyond its partitions, so there ``erased`` may be more than it has.
    """
    everywhere = range(max(partitions, erased))

    def gather(batch: list[HasRows | tuple[str, HasRows]]) -> list[tuple[str, list[Row]]]:
        rows: list[Row] = [row for outputs in unkeyed(batch) for row in outputs.rows]
        split = dict(by_person(with_metrics(rows), _person_of, partitions)) if rows else {}
        if len(everywhere) > 1 and (erasures := [row for row in rows if type(row) is Erase]):
            # Only the rows of one partition are delivered in order. Rejected messages that name the person, and rows from before the number
            # of partitions was changed, may be in any.
            for each in everywhere:
                missing = [row for row in erasures if spread(row.user_id, partitions) != each]
                if missing:
                    split.setdefault(str(each), Bundle()).extend(missing)
        return list(split.items())

    return op.flat_map_batch(step_id, up, gather)


def heartbeat_step(step_id: str, up: Stream[Decoded], partitions: int) -> KeyedStream[list[Row]]:
    """An empty item for every partition of the sink whenever log time advances.

    It makes rows durable. An item that comes straight from the source proves to the sink that the source has moved on, so the epoch before
    is durable. An ordinary row proves nothing, since it may still belong to the last epoch.
    """

    def beat(batch: list[Decoded]) -> list[tuple[str, list[Row]]]:
        if not any(decoded.ticks for decoded in batch):
            return []
        return [(str(partition), []) for partition in range(partitions)]

    return op.flat_map_batch(step_id, up, beat)
