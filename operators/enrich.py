"""enrich: asks a model for a better text for guidance that already stands in Redis. Nothing waits for the answer.

``compose`` sends the requests. Effects on people's records cancel requests that they make obsolete (``operators/cancel_calls.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream

from llm.answer import Answer
from llm.call_facts import CallCounters, call_facts, skipped_fact
from operators.async_map import AsyncCalls, CallEnded, Cancel, Lane, lane_of
from operators.cancel_calls import CancellingEffect, cancel_for, name
from state.decision.wording_request import WordingRequest, WordingSkipped
from state.records.facts import LlmCallFact, RecommendationFact
from state.records.recommendation import Erase, ReplaceText

Enriched = ReplaceText | RecommendationFact | LlmCallFact

VERSION: Final = 2
_decoder = msgspec.msgpack.Decoder(tuple[int, list[WordingRequest]])


def encode(requests: list[WordingRequest]) -> bytes:
    """Encode pending requests for the snapshot: MessagePack of ``[version, requests]``."""
    return msgspec.msgpack.encode((VERSION, requests))


def decode(data: bytes) -> list[WordingRequest]:
    """Decode pending requests; an empty list for another version. Their templates stand in Redis anyway."""
    try:
        version, requests = _decoder.decode(data)
    except msgspec.DecodeError:
        return []
    return requests if version == VERSION else []


def facts_of(ended: CallEnded[WordingRequest, Answer]) -> list[Enriched]:
    """The effects and rows of a call that ended; none where the person was deleted."""
    if ended.reason == "forgotten":
        return []
    answer = ended.result if ended.result is not None else Answer()
    if ended.reason:  # a cancelled call keeps its cost; its text is not used
        answer = msgspec.structs.replace(answer, reason=ended.reason, text="", confidence=0.0, unfilled_hash="", validation_hash="")
    return list(call_facts(ended.item, answer))


def enrich_step(
    step_id: str,
    composed: Stream[Any],
    cancelling: Stream[CancellingEffect],
    *,
    calls: AsyncCalls[WordingRequest, Answer],
    forget: Callable[[str, str], None],
    counters: CallCounters,
    lanes: int,
) -> Stream[Enriched]:
    """Ask a model about the requests in ``composed``; effects in ``cancelling`` cancel those that became obsolete.

    ``forget`` removes the texts written for a deleted person (tenant, user) and returns at once. ``counters`` counts the rows.
    """

    def address(batch: list[Any]) -> list[tuple[str, WordingRequest | Cancel]]:
        addressed: list[tuple[str, WordingRequest | Cancel]] = []
        for item in batch:
            if type(item) is WordingRequest:
                addressed.append((lane_of(name(item)[0], lanes), item))
            elif type(item) is WordingSkipped:  # newer guidance, though a template, makes a call for the older guidance obsolete
                cancel = cancel_for(item)
                addressed.append((lane_of(cancel.key, lanes), cancel))
        return addressed

    def cancel(batch: list[CancellingEffect]) -> list[tuple[str, WordingRequest | Cancel]]:
        for effect in batch:
            if isinstance(effect, Erase):
                forget(effect.tenant_id, effect.user_id)
        return [(lane_of(each.key, lanes), each) for each in map(cancel_for, batch)]

    def finish(batch: list[tuple[str, CallEnded[WordingRequest, Answer]]]) -> list[Enriched]:
        enriched = [effect for _, ended in batch for effect in facts_of(ended)]
        for effect in enriched:
            if isinstance(effect, LlmCallFact):
                counters.count(effect)
        return enriched

    def skipped(batch: list[Any]) -> list[Enriched]:
        return [skipped_fact(item) for item in batch if type(item) is WordingSkipped]

    requests: KeyedStream[WordingRequest | Cancel] = op.flat_map_batch(f"{step_id}_address", composed, address)
    cancels: KeyedStream[WordingRequest | Cancel] = op.flat_map_batch(f"{step_id}_cancel", cancelling, cancel)
    ended = op.stateful_batch(step_id, op.merge(f"{step_id}_lanes", requests, cancels), lambda resume_state: Lane(calls, resume_state))
    asked = op.flat_map_batch(f"{step_id}_finish", ended, finish)
    return op.merge(f"{step_id}_facts", asked, op.flat_map_batch(f"{step_id}_skipped", composed, skipped))
