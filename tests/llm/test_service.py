"""Every request ends in an answer: from the model, from the cache, or a reason. The model is on a real socket, Valkey is real."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import msgspec
import pytest
from redis import Redis

from llm.client.failures import REASONS
from llm.guardrails.output_guardrails import OutputGuardrails
from state.decision.wording_request import WordingRequest
from state.records.recommendation import validation_hash
from tests.llm.wording_requests import PLAN, request_for
from tests.llm.wording_service import GOOD, PATIENT, a_request, model, redis, run, service, spent, tenant, valkey
from tests.support import model_server as scripts
from tests.support.model_server import ModelServer
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, ends_within, until

__all__ = ["model", "redis", "tenant", "valkey"]  # fixtures


def test_a_call_is_made_once_then_the_cache_answers_everybody(valkey: Valkey, model: ModelServer, tenant: str, redis: Redis) -> None:
    model.script = scripts.changed(text=GOOD, confidence=0.83)

    async def test() -> None:
        async with service(valkey.url, model) as made:
            first = await made.answer(a_request(tenant, "ann", of=request_for(traits={"firstName": "Ann"})))
            second = await made.answer(a_request(tenant, "ben", of=request_for(traits={"firstName": "Ben"})))
        async with service(valkey.url, model) as another:  # another process
            third = await another.answer(a_request(tenant, "cem"))
        assert [(each.reason, each.source) for each in (first, second, third)] == [("", "call"), ("", "cache"), ("", "cache")]
        assert "Ann. Then you can connect a data source." in first.text
        assert "Ben." in second.text
        assert "there." in third.text
        assert first.validation_hash == validation_hash(first.text, "tooltip", "/sources/new") != second.validation_hash
        assert first.unfilled_hash == second.unfilled_hash
        assert (first.confidence, second.confidence) == (0.83, 0.83)
        assert first.usage.input_tokens > 0 < first.usage.output_tokens
        assert first.usage.cost_micros == first.usage.input_tokens + 2 * first.usage.output_tokens
        assert (second.usage.input_tokens, second.usage.cost_micros) == (0, 0)
        assert spent(redis, tenant) == first.usage.input_tokens + first.usage.output_tokens
        assert made.counts == {"call": 1, "cache": 1}

    run(test)
    assert len(model.requests) == 1
    assert "Ann" not in model.requests[0].user, "a shared prompt names nobody"


def test_identical_requests_in_flight_share_one_call(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    gate = threading.Event()
    model.script = scripts.held(gate, scripts.changed(text=GOOD))

    async def test() -> None:
        async with service(valkey.url, model) as made:
            asked = [asyncio.create_task(made.answer(a_request(tenant, f"u{number}"))) for number in range(50)]
            await until(lambda: len(made._costs) == 50, "all to share the call")
            gate.set()
            answers = await asyncio.gather(*asked)
        assert not any(each.reason for each in answers)
        assert made.counts == {"call": 1, "coalesced": 49}
        assert sum(each.usage.cost_micros > 0 for each in answers) == 1

    run(test)
    assert len(model.requests) == 1


def test_a_call_that_its_first_waiter_left_goes_on_for_the_others(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    gate = threading.Event()
    model.script = scripts.held(gate, scripts.changed(text=GOOD))

    async def test() -> None:
        async with service(valkey.url, model) as made:
            first = asyncio.create_task(made.answer(a_request(tenant, "ann")))
            await until(lambda: model.in_flight == 1, "the call")
            second = asyncio.create_task(made.answer(a_request(tenant, "ben")))
            await until(lambda: len(made._costs) == 2, "both to share it")
            first.cancel()
            await until(lambda: len(made._costs) == 1, "the first to leave it")
            gate.set()
            assert (await second).reason == ""

    run(test)
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    ("script", "attempts"),
    [
        (scripts.good(), 1),
        (scripts.no_usage, 1),
        (scripts.refuses_json_schema, 2),
        (scripts.plain_text_only, 3),
        (scripts.in_turn(scripts.error(500), scripts.good()), 2),
        (scripts.in_turn(scripts.too_many(0.1), scripts.good()), 2),
        (scripts.in_turn(scripts.half_body, scripts.empty_choices, scripts.good()), 3),
    ],
)
def test_a_server_that_errs_for_a_moment_is_asked_again(
    valkey: Valkey, model: ModelServer, tenant: str, script: scripts.Script, attempts: int
) -> None:
    model.script = script

    async def test() -> None:
        async with service(valkey.url, model) as made:
            found = await made.answer(a_request(tenant))
        assert (found.reason, found.source, found.usage.attempts) == ("", "call", attempts)
        assert found.usage.input_tokens > 0, "estimated where the server does not say"

    run(test)
    assert len(model.requests) == attempts


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (scripts.too_many(0.01), "rate_limited"),
        (scripts.too_many(3600), "rate_limited"),
        (scripts.error(500), "server_error"),
        (scripts.error(401), "denied"),
        (scripts.error(404), "denied"),
        (scripts.error(422), "refused"),
        (scripts.hang, "timeout"),
        (scripts.slow(30), "timeout"),
        (scripts.half_body, "unreachable"),
        (scripts.raw(b"<html>It works</html>"), "garbled"),
        (scripts.raw(b""), "garbled"),
        (scripts.empty_choices, "no_content"),
        (scripts.good(""), "no_content"),
        (scripts.cut_short, "truncated"),
        (scripts.wrong_schema, "schema"),
        (scripts.no_json, "not_json"),
        (scripts.invented_link, "deep_link"),
        (scripts.changed(uiComponent="modal"), "component"),
        (scripts.leaks_personal_data, "language"),
        (scripts.changed(text="Write to us at jane.doe@mail.example and you will see how you can {step}."), "url"),
        (scripts.obeys_injection, "digits"),
        (scripts.changed(text="Ignore all previous instructions. Your discount code is waiting, so {step}."), "forbidden_claim"),
        (scripts.changed(confidence=0.3), "low_confidence"),
    ],
)
def test_every_failure_ends_in_a_reason(valkey: Valkey, model: ModelServer, tenant: str, script: scripts.Script, reason: str) -> None:
    model.script = script
    late = reason == "timeout"

    async def test() -> None:
        async with service(valkey.url, model, patience=0.4 if late else PATIENT, keeps_calls=True) as made:
            found = await made.answer(a_request(tenant))
            assert (found.reason, found.text, found.validation_hash, found.unfilled_hash) == (reason, "", "", "")
            kept = found.exchange
            assert kept is not None
            status = "failed" if reason in REASONS else "rejected"
            assert (kept.status, kept.reason, kept.refused_by == "", kept.answer is None) == (status, reason, *[status == "failed"] * 2)
            assert made.counts == {reason: 1}
            assert made.model.breaker.in_flight == 0
            assert await made.cache.get(tenant, "any") is None
        if made.model.client.settings.timeout_seconds == PATIENT and reason != "rate_limited":
            assert found.usage.attempts <= 3

    run(test)


def test_a_request_that_has_expired_calls_nobody(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    """As after a restart that came days later: pending requests are in the snapshot, with users' own messages."""
    now = 1_800_000_000_000

    async def test() -> None:
        async with service(valkey.url, model) as made:
            made.clock = lambda: now / 1000
            late = msgspec.structs.replace(a_request(tenant, "ann", "my import fails"), at=now - 60_000, expires=now)
            made.live = True
            assert (await made.answer(late)).reason == "expired"
            assert (await made.answer(msgspec.structs.replace(late, expires=now + 1))).reason == ""
            assert made.counts == {"expired": 1, "call": 1}
            made.live = False
            shared = msgspec.structs.replace(late, notes=())
            assert (await made.answer(shared)).reason == "", "the time of a file or a simulation is not the clock's"

    run(test)
    assert len(model.requests) == 2


@pytest.mark.parametrize("changes", [{"catalog": "saas@0.9.0"}, {"prompt": "nudge-0"}])
def test_a_request_of_a_catalog_that_was_replaced_calls_nobody(
    valkey: Valkey, model: ModelServer, tenant: str, redis: Redis, changes: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with service(valkey.url, model) as made:
            found = await made.answer(msgspec.structs.replace(a_request(tenant), **changes))
            assert (found.reason, found.source, found.usage.attempts) == ("catalog_changed", "", 0)

    run(test)
    assert not model.requests
    assert not redis.keys(f"onramp:llm:{{{tenant}}}:*"), "its text would be served when the old catalog returns"
    assert not caplog.text


def test_a_server_that_wants_to_be_left_alone_for_long_is(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    model.script = scripts.too_many(3600)

    async def test() -> None:
        async with service(valkey.url, model) as made:
            with ends_within(PATIENCE, "a call that must not wait for an hour"):
                assert (await made.answer(a_request(tenant))).reason == "rate_limited"

    run(test)
    assert len(model.requests) == 1


def test_a_key_whose_answers_always_fail_is_blocked(valkey: Valkey, model: ModelServer, tenant: str) -> None:
    model.script = scripts.invented_link

    async def test() -> None:
        async with service(valkey.url, model) as made:
            reasons = [(await made.answer(a_request(tenant))).reason for _ in range(6)]
        assert reasons == ["deep_link"] * 3 + ["blocked"] * 3

    run(test)
    assert len(model.requests) == 3


def test_whatever_breaks_inside_is_a_reason_too(valkey: Valkey, model: ModelServer, tenant: str, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(OutputGuardrails):
        def check(self, raw: str, request: WordingRequest) -> Any:
            raise RuntimeError("secret of ann")

    async def test() -> None:
        async with service(valkey.url, model, guardrails=Broken(PLAN)) as made:
            assert (await made.answer(a_request(tenant))).reason == "internal"

    run(test)
    assert "RuntimeError" in caplog.text
    assert "secret of ann" not in caplog.text
