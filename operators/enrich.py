"""enrich: asks a model for a better text for guidance that already stands in Redis. Nothing waits for the answer.

``compose`` sends the requests. Effects on people's records cancel requests that they make obsolete (``operators/cancel_calls.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream

from llm.answer import Answer
from llm.call_facts import CallCounters, call_facts, skipped_fact
from operators.async_map import AsyncCalls, CallEnded, Cancel, PendingCalls
from operators.cancel_calls import cancel_for, name
from operators.compose import Composed
from operators.lanes import STATE_LANES, spread
from operators.track import Tracked
from state.decision.wording_request import WordingRequest, WordingSkipped
from state.records.facts import LlmAnswerFact, LlmCallFact, RecommendationFact
from state.records.progress import PublishProgress
from state.records.recommendation import Erase, ReplaceText

VERSION: Final = 1
_decoder = msgspec.msgpack.Decoder(tuple[int, list[WordingRequest]])


@dataclass(frozen=True)
class Wording:
    """How guidance is worded by a model. ``forget`` removes the texts of a deleted person (tenant, user) and returns at once;
    ``counters`` counts the calls. ``shared_model`` is the model that words shared texts, empty where one model words all.
    """

    calls: AsyncCalls[WordingRequest, Answer]
    forget: Callable[[str, str], None]
    counters: CallCounters
    shared_model: str = ""


class Enriched:
    """What ``enrich`` emits for one batch."""

    __slots__ = ("effects", "rows")

    def __init__(self) -> None:
        self.effects: list[ReplaceText] = []
        self.rows: list[RecommendationFact | LlmCallFact | LlmAnswerFact] = []

    def add(self, ended: CallEnded[WordingRequest, Answer], shared_model: str = "") -> None:
        """Take in a call that ended. Emits nothing of a person who was deleted."""
        if ended.reason == "forgotten":
            return
        answer = ended.result if ended.result is not None else Answer()
        if ended.reason:  # a cancelled call keeps its cost; its text is not used
            answer = msgspec.structs.replace(answer, reason=ended.reason, text="", confidence=0.0, unfilled_hash="", validation_hash="")
        for each in call_facts(ended.item, answer, shared_model):
            if isinstance(each, ReplaceText):
                self.effects.append(each)
            else:
                self.rows.append(each)


def encode(requests: list[WordingRequest]) -> bytes:
    """Encode pending requests for the snapshot: MessagePack of ``[version, requests]``."""
    return msgspec.msgpack.encode((VERSION, requests))


def decode(data: bytes) -> list[WordingRequest]:
    """Decode pending requests; an empty list for another version. Their templates stand in Redis anyway."""
    try:
        version, requests = _decoder.decode(data)
    except ValueError:
        return []
    return requests if version == VERSION else []


def enrich_step(step_id: str, composed: Stream[Composed], tracked: Stream[Tracked], wording: Wording) -> Stream[Enriched]:
    """Ask a model about the requests in ``composed``; effects in ``tracked`` cancel those that became obsolete."""

    def route_requests(batch: list[Composed]) -> list[tuple[str, WordingRequest | Cancel]]:
        routed: list[tuple[str, WordingRequest | Cancel]] = []
        for each in (each for out in batch for each in out.wording):
            if isinstance(each, WordingRequest):
                routed.append((str(spread(name(each)[0], STATE_LANES)), each))
            else:  # newer guidance, though a template, makes a call for the older guidance obsolete
                cancel = cancel_for(each)
                routed.append((str(spread(cancel.key, STATE_LANES)), cancel))
        return routed

    def route_cancels(batch: list[Tracked]) -> list[tuple[str, WordingRequest | Cancel]]:
        routed: list[tuple[str, WordingRequest | Cancel]] = []
        for effect in (effect for out in batch for effect in out.effects):
            if isinstance(effect, Erase):
                wording.forget(effect.tenant_id, effect.user_id)
            if not isinstance(effect, ReplaceText | PublishProgress):
                cancel = cancel_for(effect)
                routed.append((str(spread(cancel.key, STATE_LANES)), cancel))
        return routed

    def finish(batch: list[tuple[str, CallEnded[WordingRequest, Answer]]]) -> list[Enriched]:
        out = Enriched()
        for _, ended in batch:
            out.add(ended, wording.shared_model)
        for row in out.rows:
            if isinstance(row, LlmCallFact):
                wording.counters.count(row)
        return [out]

    def skipped(batch: list[Composed]) -> list[Enriched]:
        out = Enriched()
        out.rows = [skipped_fact(each) for composed in batch for each in composed.wording if isinstance(each, WordingSkipped)]
        return [out] if out.rows else []

    requests: KeyedStream[WordingRequest | Cancel] = op.flat_map_batch(f"{step_id}_route", composed, route_requests)
    cancels: KeyedStream[WordingRequest | Cancel] = op.flat_map_batch(f"{step_id}_cancel", tracked, route_cancels)
    ended = op.stateful_batch(
        step_id, op.merge(f"{step_id}_lanes", requests, cancels), lambda resume_state: PendingCalls(wording.calls, resume_state)
    )
    asked = op.flat_map_batch(f"{step_id}_finish", ended, finish)
    return op.merge(f"{step_id}_all", asked, op.flat_map_batch(f"{step_id}_skipped", composed, skipped))
