"""Spans of what happened to an event that had a ``traceparent``: the decision, the write to Redis, the request to a model. Pure.

The id of the decision's span is derived from the id of the decision, so that later spans know their parent without a lookup.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final

import msgspec

from state.records.recommendation import Publish, Recommendation

_SAMPLED: Final = 1


class Span(msgspec.Struct, frozen=True):
    """One span. Ids are hexadecimal, times nanoseconds since 1970. Attributes name no user and hold no text of one."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    began: int
    ended: int
    attributes: dict[str, str | int | float] = {}
    failed: str = ""
    """Why it failed, empty where it did not."""


def is_sampled(traceparent: str) -> bool:
    """Whether ``traceparent``, which is valid or empty, says that the trace is sampled."""
    return bool(traceparent) and bool(int(traceparent[-2:], 16) & _SAMPLED)


def decision_span(publish: Publish, ended: int) -> Span:
    """Return the span from the append of the event until the write begins. ``publish`` must have a ``traceparent``."""
    record = publish.recommendation
    _, trace, parent, _ = publish.traceparent.split("-")
    attributes: dict[str, str | int | float] = {
        "onramp.decision_id": record.decision_id,
        "onramp.trigger": record.trigger,
        "onramp.arm": record.arm,
        "onramp.path": record.path_id,
        "onramp.step": record.step_id,
        "onramp.propensity": record.propensity,
    }
    began = round(datetime.fromisoformat(record.created_at).timestamp() * 1e9)
    return Span("onramp decide", trace, _id(record.decision_id), parent, min(began, ended), ended, attributes)


def child_span(
    name: str, record: Recommendation, began: int, ended: int, attributes: dict[str, str | int | float] | None = None, failed: str = ""
) -> Span:
    """Return a child of the span of the decision of ``record``, which must have a trace id."""
    assert record.trace_id is not None, "the caller knows that the trace is sampled"
    own = _id(f"{record.decision_id} {name} {began}")
    return Span(name, record.trace_id, own, _id(record.decision_id), began, ended, attributes or {}, failed)


def _id(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
