"""What an answer means outside this room: the effect on the record, and the rows that analysts read."""

from __future__ import annotations

import msgspec

from llm.answer import Answer
from state.facts import LlmCallFact, RecommendationFact
from state.guidance import recommendation_fact
from state.recommendation import Improve
from state.wording import Kept, Wish, cache_key

MODEL: str = "model"
TEMPLATE: str = "template"
NO_ANSWER = Answer()


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
