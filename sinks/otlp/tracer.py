"""Makes spans of what the job does for events whose ``traceparent`` says that the trace is sampled."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

from state.records.recommendation import Effect, Publish, Recommendation, ReplaceText
from state.spans import Span, child_span, decision_span, is_sampled

WRITE: Final = "onramp redis write"
MODEL: Final = "onramp model request"
_REMEMBERED: Final = 10_000
"""The most decisions that are remembered, for later spans: a text by a model, and its write."""


class Tracer:
    """``send`` takes spans and must not wait. The methods may be called by any thread."""

    def __init__(self, send: Callable[[Sequence[Span]], None]) -> None:
        """Nothing was traced yet."""
        self._send = send
        self._sampled: OrderedDict[str, None] = OrderedDict()

    def written(self, effects: Sequence[Effect], began: int, ended: int) -> None:
        """Redis has all ``effects``, which were sent from ``began`` to ``ended`` (ns)."""
        spans: list[Span] = []
        for effect in effects:
            if isinstance(effect, Publish) and is_sampled(effect.traceparent):
                self._remember(effect.recommendation.decision_id)
                spans += [decision_span(effect, began), child_span(WRITE, effect.recommendation, began, ended)]
            elif isinstance(effect, ReplaceText) and self._is_traced(effect.recommendation):
                spans.append(child_span(WRITE, effect.recommendation, began, ended, {"onramp.source": effect.recommendation.source}))
        if spans:
            self._send(spans)

    def asked(self, record: Recommendation, began: int, ended: int, attributes: dict[str, Any], failed: str) -> None:
        """A request for a model's text for ``record`` has ended. A request that overtook the write of its decision has no span."""
        if self._is_traced(record):
            self._send([child_span(MODEL, record, began, ended, attributes, failed)])

    def _is_traced(self, record: Recommendation) -> bool:
        return record.trace_id is not None and record.decision_id in self._sampled

    def _remember(self, decision: str) -> None:
        self._sampled[decision] = None
        if len(self._sampled) > _REMEMBERED:
            self._sampled.popitem(last=False)
