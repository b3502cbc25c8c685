"""Turns an answer into what leaves this room: the effect on the record in Redis, and the rows that analysts read."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

import msgspec

from llm.answer import Answer, Exchange
from state.decision.wording_request import WordingRequest, WordingSkipped, cache_key
from state.records.fact_builders import recommendation_fact
from state.records.facts import LlmAnswerFact, LlmCallFact, RecommendationFact
from state.records.recommendation import ReplaceText

MODEL: Final = "model"
TEMPLATE: Final = "template"
NO_ANSWER: Final = Answer()

LONGEST_ANSWER: Final = 20_000
"""Characters of a rejected answer that are kept. A server may ignore the limit on output tokens."""

_NOT_SENT: Final = frozenset({"breaker_open", "over_rate", "over_budget", "budget_unknown"})
"""Reasons for which a shared call ended before its first request."""


class CallCounters:
    """Counts rows as the views of model calls count them: ``asked``, and of those ``calls`` and ``improved``. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, row: LlmCallFact) -> None:
        """Add a row."""
        if was_asked(row):
            with self._lock:
                self._counts.update(("asked", *(("calls",) if row.source == "call" else ()), *(("improved",) * (row.status == "improved"))))

    def __getitem__(self, name: str) -> int:
        return self._counts[name]


def was_asked(row: LlmCallFact) -> bool:
    """Whether a text of a model was looked for, as in the view ``llm_asked``."""
    if row.source == "call":
        return row.attempts > 0
    return row.source == "cache" or (row.source == "coalesced" and row.reason not in _NOT_SENT)


def call_facts(
    request: WordingRequest, answer: Answer, shared_model: str = ""
) -> list[ReplaceText | RecommendationFact | LlmCallFact | LlmAnswerFact]:
    """The row of the call; before it, where there is a text, the effect that replaces the template and the row of that record.

    After it, where calls are kept, the row with the prompt and the answer. ``shared_model`` is as in ``cache_key``.
    """
    facts: list[ReplaceText | RecommendationFact | LlmCallFact | LlmAnswerFact] = []
    if not answer.reason:
        improved = msgspec.structs.replace(
            request.record,
            message=answer.text,
            confidence=answer.confidence,
            source="llm" if answer.source == "call" else "cache",
            prompt_version=request.prompt,
            validation_hash=answer.validation_hash,
        )
        facts += [ReplaceText(improved), recommendation_fact(improved, created_at=request.at, expires_at=request.expires)]
    facts.append(
        _row(
            request,
            answer,
            status="kept" if answer.reason else "improved",
            reason=answer.reason,
            experiment=MODEL,
            scope="personal" if request.personal else "shared",
            key=cache_key(request, shared_model),
        )
    )
    if answer.exchange is not None:
        facts.append(_kept(request, answer, answer.exchange))
    return facts


def skipped_fact(skipped: WordingSkipped) -> LlmCallFact:
    """The row of a decision that keeps its template and for which no model is asked."""
    experiment = TEMPLATE if skipped.reason == "template_share" else ""
    return _row(skipped, NO_ANSWER, status="kept", reason=skipped.reason, experiment=experiment, scope="", key="")


def _kept(request: WordingRequest, answer: Answer, exchange: Exchange) -> LlmAnswerFact:
    record, usage = request.record, answer.usage
    return LlmAnswerFact(
        tenant_id=record.tenant_id,
        decision_id=record.decision_id,
        user_id=record.user_id,
        recommendation_id=record.recommendation_id,
        trigger=record.trigger,
        path_id=record.path_id,
        step_id=record.step_id,
        arm=record.arm,
        scope="personal" if request.personal else "shared",
        status=exchange.status,
        refused_by=exchange.refused_by,
        reason=answer.reason if exchange.status == "cancelled" else exchange.reason,
        prompt_version=request.prompt,
        prompt=f"{exchange.prompt.system}\n\n{exchange.prompt.user}",
        answer=(exchange.answer or "")[:LONGEST_ANSWER] if exchange.status == "rejected" else "",
        model=usage.model or exchange.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_micros=usage.cost_micros,
        trace_id=record.trace_id or "",
        called_at=exchange.called_ms,
        version=record.version,
    )


def _row(
    about: WordingRequest | WordingSkipped, answer: Answer, *, status: str, reason: str, experiment: str, scope: str, key: str
) -> LlmCallFact:
    record, usage = about.record, answer.usage
    return LlmCallFact(
        tenant_id=record.tenant_id,
        decision_id=record.decision_id,
        user_id=record.user_id,
        trigger=record.trigger,
        path_id=record.path_id,
        step_id=record.step_id,
        arm=record.arm,
        status=status,
        reason=reason,
        source=answer.source,
        scope=scope,
        experiment=experiment,
        cache_key=key,
        prompt_version=about.prompt,
        model=usage.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_micros=usage.cost_micros,
        latency_ms=usage.latency_ms,
        attempts=usage.attempts,
        confidence=answer.confidence,
        checks=msgspec.json.encode([[check.check, check.reason] for check in answer.checks]).decode(),
        unfilled_hash=answer.unfilled_hash,
        validation_hash=answer.validation_hash,
        asked_at=about.at,
        version=record.version,
    )
