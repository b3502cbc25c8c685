"""enrich: a model words guidance that already stands in Redis. Nothing waits for it; its answer improves a record, or changes nothing.

Wishes come from ``compose``; what happens to people meanwhile (guidance seen, replaced or taken back, people forgotten) ends their wishes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream

from llm.answer import Answer
from llm.telling import Tally, tell, tell_kept
from operators.async_map import AsyncCalls, Halt, Lane, Returned, lane_of
from state.decision.wording_request import Kept, Wish
from state.records.facts import LlmCallFact, RecommendationFact
from state.records.recommendation import Erase, Freeze, Improve, Publish

Enriched = Improve | RecommendationFact | LlmCallFact
Halting = Publish | Erase | Freeze

VERSION: Final = 1
_decoder = msgspec.msgpack.Decoder(tuple[int, list[Wish]])


@dataclass(frozen=True)
class Desk:
    """Who words guidance: the calls, what removes all that was written for a deleted person (tenant, user) and returns at once, and a tally
    of what was told.
    """

    calls: AsyncCalls[Wish, Answer]
    forget: Callable[[str, str], None]
    tally: Tally = field(default_factory=Tally)


def name(wish: Wish) -> tuple[str, str]:
    """Person and decision of a wish: a person has one at a time."""
    return _person(wish.record.tenant_id, wish.record.user_id), wish.record.decision_id


def encode(wishes: list[Wish]) -> bytes:
    """Write wishes down: MessagePack of ``[version, wishes]``."""
    return msgspec.msgpack.encode((VERSION, wishes))


def decode(data: bytes) -> list[Wish]:
    """Read them back; of another version none, for the templates stand in Redis anyway."""
    try:
        version, wishes = _decoder.decode(data)
    except msgspec.DecodeError:
        return []
    return wishes if version == VERSION else []


def halt(effect: Halting | Kept) -> Halt:
    """What an effect on a person's record means for a wish that is under way for them.

    It may come before the wish that it ends, which has further to go, and after the wish of a newer record.
    """
    if isinstance(effect, Freeze):
        seen = effect.decision_id
        return Halt(_person(effect.tenant_id, effect.user_id), "shown_first", lambda wish: wish.record.decision_id == seen, lasting=True)
    if isinstance(effect, Erase):
        person, version, reason = _person(effect.tenant_id, effect.user_id), effect.version, "forgotten"
    else:
        record = effect.record if isinstance(effect, Kept) else effect.recommendation
        person, version, reason = _person(record.tenant_id, record.user_id), record.version, "superseded"
    return Halt(person, reason, lambda wish: wish.record.version < version, lasting=True)


def settle(returned: Returned[Wish, Answer]) -> list[Enriched]:
    """Turn what came back into effects and rows. Of a person who was forgotten nothing is told."""
    if returned.reason == "forgotten":
        return []
    answer = returned.result if returned.result is not None else Answer()
    if returned.reason:  # what it cost stays, its words are of no use
        answer = msgspec.structs.replace(answer, reason=returned.reason, text="", confidence=0.0, unfilled_hash="", validation_hash="")
    return list(tell(returned.item, answer))


def enrich_step(step_id: str, composed: Stream[Any], halting: Stream[Halting], desk: Desk, lanes: int) -> Stream[Enriched]:
    """Ask a model for better words for the wishes in ``composed``, until ``halting`` says that nobody needs them."""

    def address(batch: list[Any]) -> list[tuple[str, Wish | Halt]]:
        addressed: list[tuple[str, Wish | Halt]] = []
        for item in batch:
            if type(item) is Wish:
                addressed.append((lane_of(name(item)[0], lanes), item))
            elif type(item) is Kept:  # newer guidance, though a template: what is under way for the older is of no use
                ended = halt(item)
                addressed.append((lane_of(ended.key, lanes), ended))
        return addressed

    def stop(batch: list[Halting]) -> list[tuple[str, Wish | Halt]]:
        for effect in batch:
            if isinstance(effect, Erase):
                desk.forget(effect.tenant_id, effect.user_id)
        return [(lane_of(each.key, lanes), each) for each in map(halt, batch)]

    wishes: KeyedStream[Wish | Halt] = op.flat_map_batch(f"{step_id}_address", composed, address)
    halts: KeyedStream[Wish | Halt] = op.flat_map_batch(f"{step_id}_halt", halting, stop)
    returned = op.stateful_batch(step_id, op.merge(f"{step_id}_lanes", wishes, halts), lambda resume_state: Lane(desk.calls, resume_state))

    def end(batch: list[tuple[str, Returned[Wish, Answer]]]) -> list[Enriched]:
        told = [effect for _, each in batch for effect in settle(each)]
        for effect in told:
            if isinstance(effect, LlmCallFact):
                desk.tally.count(effect)
        return told

    asked = op.flat_map_batch(f"{step_id}_settle", returned, end)
    kept = op.flat_map_batch(f"{step_id}_kept", composed, lambda batch: [tell_kept(item) for item in batch if type(item) is Kept])
    return op.merge(f"{step_id}_told", asked, kept)


def _person(tenant: str, user: str) -> str:
    return f"{tenant}\x1f{user}"
