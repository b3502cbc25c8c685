"""What an answer means outside this room: the effect on the record, and the rows that analysts read."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

import msgspec

from llm.answer import Answer
from state.decision.guidance import recommendation_fact
from state.decision.wording_request import Kept, Wish, cache_key
from state.records.facts import LlmCallFact, RecommendationFact
from state.records.recommendation import Improve

MODEL: str = "model"
TEMPLATE: str = "template"
NO_ANSWER = Answer()

_NOT_ASKED: Final = frozenset({"breaker_open", "over_rate", "busy", "over_budget", "budget_unknown"})
"""Why a call that several wished for was given up before the first request went out."""


class Tally:
    """Counts rows as the views of model calls count them: ``asked``, and of those ``calls`` and ``improved``. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, row: LlmCallFact) -> None:
        """Take note of a row."""
        if was_asked(row):
            with self._lock:
                self._counts.update(("asked", *(("calls",) if row.source == "call" else ()), *(("improved",) * (row.status == "improved"))))

    def __getitem__(self, name: str) -> int:
        return self._counts[name]


def was_asked(row: LlmCallFact) -> bool:
    """Whether a model's text was looked for, as the view ``llm_asked`` has it."""
    if row.source == "call":
        return row.attempts > 0
    return row.source == "cache" or (row.source == "coalesced" and row.reason not in _NOT_ASKED)


def tell(wish: Wish, answer: Answer) -> list[Improve | RecommendationFact | LlmCallFact]:
    """Everything that follows from an answer: words for the record where it has any, and in any case a row that says what happened."""
    told: list[Improve | RecommendationFact | LlmCallFact] = []
    if not answer.reason:
        improved = msgspec.structs.replace(
            wish.record,
            message=answer.text,
            confidence=answer.confidence,
            source="llm" if answer.source == "call" else "cache",
            prompt_version=wish.prompt,
            validation_hash=answer.validation_hash,
        )
        told += [Improve(improved), recommendation_fact(improved, wish.at, wish.expires)]
    told.append(
        _row(wish, "kept" if answer.reason else "improved", answer.reason, MODEL, "personal" if wish.personal else "shared", answer)
    )
    return told


def tell_kept(kept: Kept) -> LlmCallFact:
    """The row of a decision that kept its template without anybody being asked."""
    return _row(kept, "kept", kept.reason, TEMPLATE if kept.reason == "template_share" else "", "", NO_ANSWER)


def _row(about: Wish | Kept, status: str, reason: str, experiment: str, scope: str, answer: Answer) -> LlmCallFact:
    record = about.record
    verdicts = msgspec.json.encode([[verdict.check, verdict.reason] for verdict in answer.verdicts]).decode()
    return LlmCallFact(
        record.tenant_id, record.decision_id, record.user_id, record.trigger, record.path_id, record.step_id, record.arm, status, reason,
        answer.source, scope, experiment, cache_key(about) if isinstance(about, Wish) else "", about.prompt, answer.model,
        answer.input_tokens, answer.output_tokens, answer.cost_micros, answer.latency_ms, answer.attempts, answer.confidence, verdicts,
        answer.unfilled_hash, answer.validation_hash, about.at, record.version,
    )  # fmt: skip
