"""What is kept of a call: the prompt as it was sent, after redaction, and the answer where a check refused it. By default nothing."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import msgspec

from llm.answer import Answer, Exchange, Prompt, Usage
from llm.call_facts import LONGEST_ANSWER, call_facts
from llm.guardrails.check_result import CheckResult
from llm.guardrails.output_guardrails import CheckedText, OutputGuardrails
from llm.review_queue import ReviewQueue
from operators.async_map import CallEnded
from operators.enrich import Enriched
from state.decision.wording_request import WordingRequest
from state.records.facts import LlmAnswerFact, LlmCallFact
from tests.llm.wording_requests import PLAN, request_for
from tests.llm.wording_service import GOOD, a_request, model, run, service, tenant, valkey
from tests.support import model_server as scripts
from tests.support.model_server import ModelServer
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, until

__all__ = ["model", "tenant", "valkey"]  # fixtures


def kept(request: WordingRequest, found: Answer) -> LlmAnswerFact:
    """The one row of a call that is kept."""
    (row,) = (each for each in call_facts(request, found) if isinstance(each, LlmAnswerFact))
    return row


def rows(request: WordingRequest, found: Answer) -> list[type[Any]]:
    return [type(each) for each in call_facts(request, found)]


def test_the_prompt_is_kept_as_it_was_sent_and_a_rejected_answer_word_for_word(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    note = "I am Quin, mail me at quin@mail.example: E42 the warehouse said no"
    of = request_for(traits={"firstName": "Quin"})
    record = msgspec.structs.replace(of.record, trace_id="4bf92f35")
    asked = a_request(tenant, "quin-17", note, of=msgspec.structs.replace(of, record=record))
    text = "Write to us at quin@mail.example\x1b[2J and you will see how you can {step}."
    model.script = scripts.changed(text=text)

    async def test() -> LlmAnswerFact:
        async with service(valkey.url, model, keeps_calls=True) as made:
            found = await made.answer(asked)
            assert found.exchange is not None
            assert 0 <= made.clock() * 1000 - found.exchange.called_ms < 600_000
            return kept(asked, found)

    row = run(test)
    (sent,) = model.requests
    assert row.prompt == f"{sent.system}\n\n{sent.user}"
    assert "the warehouse said no" in row.prompt
    assert not [each for each in ("Quin", "quin", "mail.example") if each in row.prompt]
    assert json.loads(row.answer)["text"] == text
    assert (row.status, row.refused_by, row.scope, row.model) == ("rejected", "grounding", "personal", "scripted")
    assert row.reason
    assert (row.tenant_id, row.user_id, row.decision_id) == (tenant, "quin-17", asked.record.decision_id)
    assert (row.recommendation_id, row.trace_id, row.version) == ("r1", "4bf92f35", 1)
    assert row.cost_micros == row.input_tokens + 2 * row.output_tokens > 0


def test_nothing_is_kept_unless_it_is_asked_for(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    async def test() -> None:
        async with service(valkey.url, model) as made:
            for script in (scripts.changed(text=GOOD), scripts.no_json, scripts.error(401)):
                model.script = script
                found = await made.answer(a_request(tenant, place=len(model.requests)))
                assert found.exchange is None
                assert LlmAnswerFact not in rows(a_request(tenant), found)

    run(test)
    assert len(model.requests) == 3


def test_a_shared_call_is_kept_once_with_the_user_who_is_charged_and_an_accepted_text_is_not(
    valkey: Valkey, model: ModelServer, tenant: str
) -> None:
    gate = threading.Event()
    model.script = scripts.held(gate, scripts.changed(text=GOOD))
    people = [a_request(tenant, user) for user in ("ann", "ben", "cem")]

    async def test() -> None:
        async with service(valkey.url, model, keeps_calls=True) as made:
            asked = [asyncio.create_task(made.answer(each)) for each in people]
            await until(lambda: model.in_flight == 1 and len(made._costs) == 3, "all to share the call that is sent")
            left = made.cancel(people[0])
            asked[0].cancel()
            gate.set()
            answers = await asyncio.gather(*asked[1:])
            cached = await made.answer(a_request(tenant, "dan"))
        assert left is not None
        assert left.exchange is None, "the call went on for the others"
        (charged,) = [(who, each) for who, each in zip(people[1:], answers, strict=True) if each.source == "call"]
        row = kept(*charged)
        assert (row.status, row.refused_by, row.reason, row.answer, row.scope) == ("accepted", "", "", "", "shared")
        assert row.user_id == charged[0].record.user_id
        assert row.prompt == f"{model.requests[0].system}\n\n{model.requests[0].user}"
        assert [each.exchange for each in (*answers, cached) if each.source != "call"] == [None, None]

    run(test)


def test_of_a_call_that_was_cancelled_the_prompt_is_kept_and_of_a_deleted_person_nothing(
    valkey: Valkey, model: ModelServer, tenant: str
) -> None:
    model.script, asked = scripts.hang, a_request(tenant)

    async def test() -> Answer:
        async with service(valkey.url, model, patience=60, keeps_calls=True) as made:
            task = asyncio.create_task(made.answer(asked))
            await until(lambda: model.in_flight == 1, "the call")
            found = made.cancel(asked)
            task.cancel()
            await asyncio.wait([task])
            assert found is not None
            return found

    found = run(test)
    superseded, forgotten = Enriched(), Enriched()
    superseded.add(CallEnded(asked, found, "superseded"))
    forgotten.add(CallEnded(asked, found, "forgotten"))
    call, row = superseded.rows
    assert isinstance(call, LlmCallFact)
    assert isinstance(row, LlmAnswerFact)
    assert (row.status, row.reason, row.answer, row.model) == ("cancelled", "superseded", "", "scripted")
    assert (row.input_tokens, row.cost_micros) == (call.input_tokens, call.cost_micros)
    assert row.input_tokens > 0 < len(row.prompt)
    assert forgotten.rows == []


def test_a_request_that_is_cancelled_once_its_answer_is_there_keeps_the_verdict(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    model.script, asked = scripts.changed(text=GOOD), a_request(tenant)
    arrived = asyncio.Event()

    class Slow(ReviewQueue):
        async def was_rejected(self, tenant: str, unfilled_hash: str) -> bool:
            arrived.set()
            await asyncio.Event().wait()
            return False

    async def test() -> LlmAnswerFact:
        async with service(valkey.url, model, keeps_calls=True) as made:
            made.review_queue = Slow(made.review_queue._client)
            task = asyncio.create_task(made.answer(asked))
            async with asyncio.timeout(PATIENCE):
                await arrived.wait()
            found = made.cancel(asked)
            task.cancel()
            await asyncio.wait([task])
            assert found is not None
            return kept(asked, found)

    assert run(test).status == "accepted"


def test_a_text_that_is_unfit_once_its_slots_are_filled_is_rejected(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    class Strict(OutputGuardrails):
        def fill(self, text: str, request: WordingRequest) -> CheckedText:
            return CheckedText((CheckResult("slot_value", "personal_data"),))

    model.script = scripts.changed(text=GOOD)

    async def test() -> LlmAnswerFact:
        async with service(valkey.url, model, guardrails=Strict(PLAN), keeps_calls=True) as made:
            return kept(a_request(tenant), await made.answer(a_request(tenant)))

    row = run(test)
    assert (row.status, row.refused_by, row.reason) == ("rejected", "slot_value", "personal_data")
    assert json.loads(row.answer)["text"] == GOOD


def test_a_text_that_a_person_had_rejected_is_rejected_by_no_check(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    async def test() -> LlmAnswerFact:
        async with service(valkey.url, model, keeps_calls=True) as made:
            model.script = scripts.changed(text=GOOD, confidence=0.1)
            unsure = kept(a_request(tenant), await made.answer(a_request(tenant)))
            assert (unsure.status, unsure.refused_by, unsure.reason) == ("rejected", "confidence", "low_confidence")
            (entry,) = (await made.review_queue.waiting(tenant)).entries
            await made.review_queue.reject(tenant, entry.id, "eve")
            model.script = scripts.changed(text=GOOD)
            again = a_request(tenant, place=1)
            return kept(again, await made.answer(again))

    row = run(test)
    assert (row.status, row.refused_by, row.reason) == ("rejected", "", "rejected_by_person")
    assert GOOD in row.answer


EXCHANGE = Exchange(Prompt("nudge-1", "the system", "the user"), "small", 7)


def test_a_verdict_outlives_the_cancellation_of_its_request() -> None:
    """The answer came, and then the template was shown: the answer was still rejected, or still accepted."""
    for exchange, status, reason in (
        (msgspec.structs.replace(EXCHANGE, answer="no", refused_by="schema", reason="not_json"), "rejected", "not_json"),
        (msgspec.structs.replace(EXCHANGE, answer="yes"), "accepted", ""),
        (msgspec.structs.replace(EXCHANGE, reason="timeout"), "failed", "timeout"),
        (EXCHANGE, "cancelled", "shown_first"),
    ):
        out = Enriched()
        out.add(CallEnded(request_for(), Answer(source="call", usage=Usage(model="big"), exchange=exchange), "shown_first"))
        row = out.rows[-1]
        assert isinstance(row, LlmAnswerFact)
        assert (row.status, row.reason, row.model, row.called_at) == (status, reason, "big", 7)
        assert row.answer == ("no" if status == "rejected" else "")


def test_an_endless_answer_is_cut() -> None:
    exchange = msgspec.structs.replace(EXCHANGE, answer="x" * 1_000_000, reason="length")
    assert kept(request_for(), Answer(reason="length", source="call", exchange=exchange)).answer == "x" * LONGEST_ANSWER
