"""The collector: what the fold of one person emits for one batch, sorted by destination."""

from __future__ import annotations

from state.counters import Counter, CounterTotals
from state.decision.messages import DecisionOutcome, DecisionRequest
from state.event import Event
from state.records.facts import Fact
from state.records.recommendation import Effect, Erase
from state.stuck.observations import EpisodeObservation

Row = Fact | Erase
"""What the ClickHouse sink takes: a row to insert, or a person whose rows it deletes."""


class Collector:
    """Outputs of one person, each kind in the order in which it was emitted. Call ``begin`` before each input.

    ``seq`` and ``key`` order the outputs of this person among those of others. ``met`` is the tenant where the person met the catalog in
    force for the first time, else empty. An ``Erase`` is among both the effects and the rows. ``waiting`` events of merged visitors have
    overtaken the one that brings the person's id; None for none.
    """

    __slots__ = (
        "_number",
        "counts",
        "effects",
        "key",
        "met",
        "observations",
        "outcomes",
        "requests",
        "rows",
        "seq",
        "traceparent",
        "waiting",
    )

    def __init__(self, key: str = "") -> None:
        self.key, self.met = key, ""
        self.seq, self.traceparent = 0, ""
        self.requests: list[DecisionRequest] = []
        self.outcomes: list[DecisionOutcome] = []
        self.observations: list[EpisodeObservation] = []
        self.effects: list[Effect] = []
        self.rows: list[Row] = []
        self.counts: CounterTotals = {}
        self.waiting: list[Event] | None = None
        self._number = 0

    def begin(self, seq: int, traceparent: str = "") -> None:
        """Start the input ``seq``."""
        self.seq, self.traceparent = seq, traceparent

    def next_number(self) -> int:
        """Number the requests and outcomes of this batch, so that those of one input keep their order."""
        self._number += 1
        return self._number

    def count(self, counter: Counter, label: str = "", by: int = 1) -> None:
        """Add ``by`` to ``counter``."""
        name = counter.key(label) if label else counter.name
        self.counts[name] = self.counts.get(name, 0) + by

    def __bool__(self) -> bool:
        return bool(self.rows or self.counts or self.requests or self.outcomes or self.effects or self.observations)
