"""Wording requests beside the flow: what cancels them, in any order of arrival, and the row of each."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

import bytewax.operators as op
import msgspec
import pytest
from bytewax.dataflow import Dataflow, Stream
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, cluster_main, run_main

from llm.answer import Answer, Usage
from llm.call_facts import CallCounters, call_facts
from operators.async_map import AsyncCalls, AsyncPolicy, CallEnded, Cancel, PendingCalls
from operators.cancel_calls import cancel_for, name
from operators.compose import Composed
from operators.enrich import Enriched, Wording, decode, encode, enrich_step
from operators.track import Tracked
from state.decision.wording_request import WordingRequest, WordingSkipped, cache_key
from state.records.facts import LlmAnswerFact, LlmCallFact, RecommendationFact
from state.records.recommendation import Effect, Erase, MarkShown, Publish, ReplaceText
from tests.llm.wording_requests import request_for
from tests.support.waiting import PATIENCE, never, until, wait_until


def a_request(user: str = "ann", version: int = 3) -> WordingRequest:
    made = request_for()
    record = msgspec.structs.replace(made.record, tenant_id="t", user_id=user, version=version, decision_id=f"{user}-{version}")
    return msgspec.structs.replace(made, record=record)


ANSWER = Answer(text="Go on.", confidence=0.9, source="call", validation_hash="hash", unfilled_hash="unfilled")


async def unanswered(request: WordingRequest) -> Answer:
    await never()
    return ANSWER


async def at_once(request: WordingRequest) -> Answer:
    return ANSWER


def lane(call: Any = unanswered) -> PendingCalls[WordingRequest, Answer]:
    return PendingCalls(AsyncCalls(call, name, encode, decode, AsyncPolicy(poll_seconds=0.005)), None)


def emitted(ended: CallEnded[WordingRequest, Answer]) -> list[ReplaceText | RecommendationFact | LlmCallFact | LlmAnswerFact]:
    """What a call that ended emits: effects, then rows."""
    out = Enriched()
    out.add(ended)
    return [*out.effects, *out.rows]


ENDS: dict[str, Any] = {
    "shown_first": MarkShown("t", "ann", "ann-3", 3),
    "forgotten": Erase("t", "ann", 4),
    "superseded": Publish(a_request(version=4).record),
}
SPARES: dict[str, Any] = {
    "another decision was shown": MarkShown("t", "ann", "ann-2", 2),
    "deleted in a life before": Erase("t", "ann", 2),
    "older guidance": Publish(a_request(version=2).record),
    "the same guidance": WordingSkipped(a_request().record, "cold_start", 0),
    "somebody else": Erase("t", "ben", 9),
    "the same name at another tenant": Erase("other", "ann", 9),
}


@pytest.mark.parametrize("reason", ENDS)
def test_an_effect_cancels_a_request_that_came_before_or_comes_after_it(reason: str) -> None:
    for overtaking in (False, True):
        made = lane()
        values: list[WordingRequest | Cancel] = [a_request(), cancel_for(ENDS[reason])]
        found = [each for value in (values[::-1] if overtaking else values) for each in made.on_batch([value])[0]]
        assert [(each.item, each.reason) for each in found] == [(a_request(), reason)], overtaking
        assert made.notify_at() is None
        assert decode(made.snapshot()) == []


@pytest.mark.parametrize("why", SPARES)
def test_other_effects_do_not_cancel_a_request(why: str) -> None:
    for overtaking in (False, True):
        made = lane()
        values: list[WordingRequest | Cancel] = [a_request(), cancel_for(SPARES[why])]
        assert made.on_batch(values[::-1] if overtaking else values)[0] == []
        assert decode(made.snapshot()) == [a_request()]
        made.on_batch([Cancel("t\x1fann", "end")])


def test_a_cancel_that_does_not_last_applies_only_to_pending_requests() -> None:
    made = lane()
    made.on_batch([Cancel("t\x1fann", "gone"), a_request()])
    assert decode(made.snapshot()) == [a_request()]
    made.on_batch([Cancel("t\x1fann", "gone")])


def test_a_bounded_number_of_cancels_is_remembered() -> None:
    made = lane()
    for number in range(10_050):
        made.on_batch([cancel_for(Erase("t", f"u{number}", 9))])
    assert len(made._cancels) == 10_000
    for version in range(50):
        made.on_batch([cancel_for(Erase("t", "ann", version))])
    assert len(made._cancels["t\x1fann"]) == 4
    assert made.on_batch([a_request()])[0][0].reason == "forgotten"


def test_requests_survive_encoding_and_unreadable_data_gives_none() -> None:
    made = msgspec.structs.replace(a_request(), notes=("E42",), traits={"firstName": "Ann", "n": 1, "b": True}, done=("a",))
    assert decode(encode([made, a_request("ben")])) == [made, a_request("ben")]
    assert decode(b"") == decode(b"\x93nonsense") == []
    assert decode(msgspec.msgpack.encode((99, [made]))) == []


def test_an_answer_becomes_better_words_a_row_of_them_and_a_row_of_the_call() -> None:
    improve, row, call = emitted(CallEnded(a_request(), ANSWER))
    assert isinstance(improve, ReplaceText)
    assert isinstance(row, RecommendationFact)
    assert isinstance(call, LlmCallFact)
    record = improve.recommendation
    assert (record.message, record.source, record.prompt_version, record.validation_hash) == ("Go on.", "llm", "nudge-1", "hash")
    assert (record.version, record.decision_id, record.recommendation_id) == (3, "ann-3", a_request().record.recommendation_id)
    assert (row.message, row.source, row.version) == ("Go on.", "llm", 3)
    assert (call.status, call.reason, call.source, call.experiment, call.scope) == ("improved", "", "call", "model", "shared")


@pytest.mark.parametrize("source", ["cache", "coalesced"])
def test_words_that_were_not_made_for_this_decision_are_from_the_cache(source: str) -> None:
    improve = emitted(CallEnded(a_request(), msgspec.structs.replace(ANSWER, source=source)))[0]
    assert isinstance(improve, ReplaceText)
    assert improve.recommendation.source == "cache"


@pytest.mark.parametrize(
    "returned", [CallEnded(a_request(), None, "shed"), CallEnded(a_request(), Answer(reason="timeout", source="call"))]
)
def test_without_a_text_there_is_only_the_row_of_the_call(returned: CallEnded[WordingRequest, Answer]) -> None:
    (call,) = emitted(returned)
    assert isinstance(call, LlmCallFact)
    assert (call.status, call.reason) == ("kept", returned.reason or "timeout")


COST = Answer(source="call", usage=Usage(input_tokens=300, output_tokens=40, cost_micros=380, attempts=1))


@pytest.mark.parametrize("so_far", [COST, msgspec.structs.replace(COST, text="Go on.", confidence=0.9, unfilled_hash="u")])
def test_a_cancelled_request_has_its_cost_in_its_row_and_no_text(so_far: Answer) -> None:
    (call,) = emitted(CallEnded(a_request(), so_far, "superseded"))
    assert isinstance(call, LlmCallFact)
    assert (call.status, call.reason, call.source, call.attempts) == ("kept", "superseded", "call", 1)
    assert (call.input_tokens, call.output_tokens, call.cost_micros) == (300, 40, 380)
    assert (call.confidence, call.unfilled_hash) == (0.0, "")
    assert emitted(CallEnded(a_request(), so_far, "forgotten")) == []


def test_a_cancel_takes_over_the_partial_result_of_the_call() -> None:
    made = PendingCalls(AsyncCalls(unanswered, name, encode, decode, AsyncPolicy(), on_cancel=lambda _: COST), None)
    made.on_batch([a_request()])
    assert made.on_batch([cancel_for(ENDS["shown_first"])])[0] == [CallEnded(a_request(), COST, "shown_first")]


def test_a_call_that_ended_just_before_its_cancel_keeps_its_result() -> None:
    release = threading.Event()

    async def when_released(request: WordingRequest) -> Answer:
        await until(release.is_set, "the test to let the call end")
        return ANSWER

    made = lane(when_released)
    made.on_batch([a_request()])
    ((_, future),) = made._pending.values()
    release.set()
    assert future.result(PATIENCE) == ANSWER, "and the lane has not collected it yet"
    assert made._cancel(Cancel("t\x1fann", "superseded")) == [CallEnded(a_request(), ANSWER, "superseded")]


def test_after_the_deadline_the_partial_result_is_kept() -> None:
    policy = AsyncPolicy(deadline_seconds=0.05)
    made = PendingCalls(AsyncCalls(unanswered, name, encode, decode, policy, on_cancel=lambda _: COST), None)
    found = made.on_batch([a_request()])[0]
    found = found or wait_until(lambda: made.on_notify()[0], "the deadline of the call")
    assert found == [CallEnded(a_request(), COST, "timeout")]


def test_rows_are_counted_as_in_the_views() -> None:
    counters = CallCounters()
    rows = [
        ANSWER,
        COST,
        Answer(source="cache", text="x"),
        Answer(source="coalesced", reason="over_budget"),
        Answer(source="call", reason="over_rate"),
        Answer(reason="blocked"),
        Answer(source="call", reason="timeout", usage=Usage(attempts=2)),
    ]
    for answer in (msgspec.structs.replace(each, usage=Usage(attempts=1)) if each is ANSWER else each for each in rows):
        row = call_facts(a_request(), answer)[-1]
        assert isinstance(row, LlmCallFact)
        counters.count(row)
    assert (counters["asked"], counters["calls"], counters["improved"]) == (4, 3, 3)


def test_a_deleted_person_has_no_rows() -> None:
    assert emitted(CallEnded(a_request(), None, "forgotten")) == []


def run(
    wording: list[WordingRequest | WordingSkipped],
    meanwhile: list[Effect],
    call: Any = at_once,
    forgotten: list[tuple[str, str]] | None = None,
) -> list[Any]:
    out: list[Enriched] = []
    gone = forgotten if forgotten is not None else []
    calls = AsyncCalls(call, name, encode, decode, AsyncPolicy(poll_seconds=0.005, drain_seconds=5))
    composed, tracked = [Composed() for _ in wording], [Tracked() for _ in meanwhile]
    for batch, each in zip(composed, wording, strict=True):
        batch.wording.append(each)
    for outputs, effect in zip(tracked, meanwhile, strict=True):
        outputs.effects.append(effect)
    flow, counters = Dataflow("enrich"), CallCounters()
    first, second = op.input("composed", flow, TestingSource(composed)), op.input("meanwhile", flow, TestingSource(tracked))
    parts = Wording(calls, lambda *who: gone.append(who), counters, shared_model="small")
    op.output("out", enrich_step("enrich", first, second, parts), TestingSink(out))
    run_main(flow)  # type: ignore[no-untyped-call]
    assert all(isinstance(each, ReplaceText) for outputs in out for each in outputs.effects)
    return [row for outputs in out for row in outputs.rows]


def test_in_a_flow_every_decision_has_one_row() -> None:
    composed = [
        a_request(f"u{number}") if number % 3 else WordingSkipped(a_request(f"u{number}").record, "cold_start", 0) for number in range(60)
    ]
    told = [item for item in run(composed, []) if isinstance(item, LlmCallFact)]
    assert sorted(row.user_id for row in told) == sorted(f"u{number}" for number in range(60))
    assert {row.status for row in told if row.reason} == {"kept"}
    assert sum(row.reason == "cold_start" for row in told) == 20
    assert {row.cache_key for row in told} == {"", cache_key(a_request(), "small")}, "the key under which the text is cached"


def test_in_a_flow_a_deleted_person_is_forgotten_and_has_no_row() -> None:
    forgotten: list[tuple[str, str]] = []
    told = run([a_request("ann"), a_request("ben")], [Erase("t", "ann", 9)], forgotten=forgotten)
    assert forgotten == [("t", "ann")]
    assert {row.user_id for row in told if isinstance(row, LlmCallFact)} in ({"ben"}, {"ann", "ben"}), "unless the answer came first"


@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1)])
def test_a_request_that_was_pending_is_cancelled_after_a_resume_with_another_number_of_workers(
    first: int, then: int, tmp_path: Path
) -> None:
    async def of_ben(request: WordingRequest) -> Answer:
        return ANSWER if request.record.user_id == "ben" else await unanswered(request)

    init_db_dir(tmp_path, 1)  # type: ignore[no-untyped-call]
    asked, deleted = Composed(), Tracked()
    asked.wording += [a_request("ann"), a_request("ben")]
    deleted.effects.append(Erase("t", "ann", 9))
    left: list[Enriched] = []
    for call, stopping, workers in ((unanswered, True, first), (of_ben, False, then)):
        flow = Dataflow("enrich")
        composed: Stream[Composed] = op.input("composed", flow, TestingSource([asked, TestingSource.EOF()]))
        tracked: Stream[Tracked] = op.input("meanwhile", flow, TestingSource([TestingSource.EOF(), deleted]))
        calls = AsyncCalls(call, name, encode, decode, AsyncPolicy(poll_seconds=0.005, drain_seconds=5), stopping=partial(bool, stopping))
        wording = Wording(calls, lambda *_who: None, CallCounters(), shared_model="small")
        op.output("out", enrich_step("enrich", composed, tracked, wording), TestingSink(left))
        store = RecoveryConfig(str(tmp_path))  # type: ignore[no-untyped-call]
        cluster_main(flow, [], 0, recovery_config=store, worker_count_per_proc=workers)  # type: ignore[no-untyped-call]
    assert {row.user_id for outputs in left for row in outputs.rows if isinstance(row, LlmCallFact)} == {"ben"}
    assert {effect.recommendation.user_id for outputs in left for effect in outputs.effects} == {"ben"}


def test_the_flow_does_not_wait_for_answers() -> None:
    release = threading.Event()

    async def held(request: WordingRequest) -> Answer:
        await until(release.is_set, "the flow to go on")
        return ANSWER

    made = lane(held)
    found = made.on_batch([a_request(f"u{number}") for number in range(200)])[0]
    assert found == [], "it returned while no call had ended"
    release.set()

    def all_ended() -> bool:
        found.extend(made.on_notify()[0])
        return len(found) == 200

    wait_until(all_ended, "200 answers")
