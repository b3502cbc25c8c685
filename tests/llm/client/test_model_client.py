"""The client of the model against everything that a server can do to it, on a real socket."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, TypeVar

import httpx2
import msgspec
import pytest
from pydantic import SecretStr, ValidationError

from llm.answer import Bounds, Completion, Prompt
from llm.client.failures import REASONS, ModelFailure, Reason
from llm.client.model_client import ModelClient, ModelSettings, retry_after_seconds
from llm.client.proposal import Proposal
from llm.client.response_format import FORMATS, response_format, strict_schema
from tests.support.model_server import (
    Behaviour,
    ModelServer,
    Request,
    Script,
    completion,
    cut_short,
    empty_choices,
    error,
    fenced,
    good,
    half_body,
    hang,
    in_turn,
    no_usage,
    plain_text_only,
    raw,
    refuses_json_schema,
    slow,
    too_many,
)
from tests.support.waiting import PATIENCE, ends_within, let_pass, run_async, until

T = TypeVar("T")
PROMPT = Prompt("nudge-1", "You write guidance.", "uiComponent: tooltip\ndeepLink: /sources/new\nnotes: zebra-secret")
KEY = "sk-very-secret-key"


def settings(url: str, **changes: Any) -> ModelSettings:
    return ModelSettings(**{"base_url": url, "model": "small", "api_key": KEY, "timeout_seconds": PATIENCE, **changes})


def run(server: ModelServer, use: Callable[[ModelClient], Awaitable[T]], **changes: Any) -> T:
    """Use a client of ``server`` on a loop of its own, and see that it leaves no task behind."""

    async def scenario() -> T:
        client = ModelClient(settings(server.url, **changes), jitter=lambda: 0.0)
        try:
            return await use(client)
        finally:
            await client.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return run_async(scenario())


async def ask(client: ModelClient) -> Completion:
    return await client.complete(PROMPT)


async def fail(client: ModelClient) -> ModelFailure:
    with pytest.raises(ModelFailure) as caught:
        await client.complete(PROMPT)
    return caught.value


def test_an_answer_arrives_as_it_was_written_with_what_it_cost() -> None:
    with ModelServer() as server:
        answer = run(server, lambda client: client.complete(PROMPT))
        (request,) = server.requests
    assert Proposal.model_validate_json(answer.text).deep_link == "/sources/new"
    told = completion(request, answer.text)["usage"]
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (told["prompt_tokens"], told["completion_tokens"])
    assert (answer.usage.model, answer.usage.attempts) == ("small", 1)
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert (request.system, request.user) == (PROMPT.system, PROMPT.user)
    asked = {name: request.body[name] for name in ("model", "max_tokens", "temperature")}
    assert asked == {"model": "small", "max_tokens": 400, "temperature": 0.3}


def test_what_the_settings_leave_out_is_not_sent() -> None:
    with ModelServer() as server:
        run(server, ask, temperature=None, output_limit_field="max_completion_tokens", api_key="")
        (request,) = server.requests
    assert request.body["max_completion_tokens"] == 400
    assert not {"temperature", "max_tokens"} & set(request.body)
    assert "authorization" not in request.headers


def test_the_schema_is_strict_and_names_every_field() -> None:
    schema = strict_schema()
    fields = {"text", "facts", "uiComponent", "deepLink", "language", "confidence"}
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == set(schema["properties"]) == fields
    assert not any(word in json.dumps(schema) for word in ('"title"', '"minimum"', '"default"'))
    bounded = strict_schema(longest=300)["properties"]
    assert (bounded["text"]["maxLength"], bounded["facts"]["maxItems"], bounded["facts"]["items"]["maxLength"]) == (300, 8, 300)
    assert "maxLength" not in json.dumps(schema)
    shape = response_format("json_schema")
    assert shape is not None
    assert shape["json_schema"]["strict"] is True


@pytest.mark.parametrize("longest", [None, 120])
@pytest.mark.parametrize("facts", [(), ("kinds", "read_only")])
def test_what_is_decided_is_fixed_in_the_schema_of_each_request(longest: int | None, facts: tuple[str, ...]) -> None:
    bounds = Bounds("modal", "/sources/new", "en", facts, 240)
    with ModelServer() as server:
        run(server, lambda client: client.complete(msgspec.structs.replace(PROMPT, bounds=bounds)), longest_text=longest)
        run(server, ask, longest_text=longest)
        narrow, wide = (request.body["response_format"]["json_schema"]["schema"] for request in server.requests)
    fields = narrow["properties"]
    assert {name: fields[name]["enum"] for name in ("uiComponent", "deepLink", "language")} == {
        "uiComponent": ["modal"], "deepLink": ["/sources/new"], "language": ["en"],
    }  # fmt: skip
    assert fields["facts"]["type"] == "array"
    assert fields["facts"]["items"].get("enum", []) == list(facts)
    assert fields["facts"].get("maxItems") == (None if longest is None else len(facts))
    assert fields["text"].get("maxLength") == longest
    assert (narrow["additionalProperties"], narrow["required"], set(fields)) == (False, wide["required"], set(wide["required"]))
    assert "enum" not in json.dumps(wide)
    assert '"enum": []' not in json.dumps(narrow), "strict modes refuse a choice of nothing"


def test_a_text_is_bounded_by_the_catalog_where_it_allows_less_than_the_settings() -> None:
    bounds = Bounds("modal", "/sources/new", "en", (), 100)
    assert strict_schema(300, bounds)["properties"]["text"]["maxLength"] == 100


@pytest.mark.parametrize(("script", "formats"), [(refuses_json_schema, FORMATS[:2]), (plain_text_only, FORMATS)])
def test_a_format_that_is_not_supported_is_asked_for_once(script: Script, formats: tuple[str, ...]) -> None:
    async def twice(client: ModelClient) -> tuple[Completion, Completion]:
        return await ask(client), await ask(client)

    with ModelServer(script) as server:
        first, second = run(server, twice, max_attempts=1)
        asked = [request.format or "plain" for request in server.requests]
        spelled = [request.system for request in server.requests]
    assert asked == [*formats, formats[-1]]
    assert (first.usage.attempts, second.usage.attempts) == (len(formats), 1)
    assert spelled[0] == PROMPT.system
    assert all(system.startswith(PROMPT.system) and '"additionalProperties":false' in system for system in spelled[1:])


def test_calls_that_meet_the_refusal_together_step_down_once() -> None:
    async def together(client: ModelClient) -> str:
        await asyncio.gather(*(ask(client) for _ in range(10)))
        return client.form

    with ModelServer(refuses_json_schema) as server:
        assert run(server, together) == "json_object"


def test_a_refusal_about_something_else_is_no_reason_to_step_down() -> None:
    with ModelServer(error(400, "context length exceeded", "context_length_exceeded")) as server:
        failure = run(server, fail)
        assert len(server.requests) == 1
    assert (failure.reason, failure.detail) == ("too_long", "the server answered 400 (context_length_exceeded)")
    with ModelServer(error(500, "response_format")) as server:
        assert run(server, fail, max_attempts=1).reason == "server_error"
        assert len(server.requests) == 1


def garbled_choice(request: Request) -> Behaviour:
    return Behaviour(body=json.dumps({"choices": [{"message": "hi"}]}).encode())


def filtered(request: Request) -> Behaviour:
    return Behaviour(body=json.dumps(completion(request, None, finish_reason="content_filter")).encode())


def blank(request: Request) -> Behaviour:
    return Behaviour(body=json.dumps(completion(request, "  \n")).encode())


FAILURES: list[tuple[Script, Reason, int]] = [
    (error(500), "server_error", 2),
    (error(503), "server_error", 2),
    (error(408), "server_error", 2),
    (half_body, "unreachable", 2),
    (raw(b"<html>hello</html>"), "garbled", 2),
    (raw(b"\xff\xfe"), "garbled", 2),
    (raw(b"[]"), "garbled", 2),
    (garbled_choice, "garbled", 2),
    (raw(b"{}"), "no_content", 2),
    (empty_choices, "no_content", 2),
    (blank, "no_content", 2),
    (too_many(), "rate_limited", 2),
    (too_many(0.01), "rate_limited", 2),
    (error(400), "refused", 1),
    (error(422), "refused", 1),
    (filtered, "declined", 1),
    (error(401), "denied", 1),
    (error(404), "denied", 1),
    (raw(b"", 307), "denied", 1),
    (cut_short, "truncated", 1),
]


@pytest.mark.parametrize(("script", "reason", "attempts"), FAILURES)
def test_every_misbehaviour_has_its_reason_and_is_retried_only_where_that_helps(script: Script, reason: Reason, attempts: int) -> None:
    with ModelServer(script) as server:
        failure = run(server, fail, max_attempts=2)
        assert len(server.requests) == attempts
    assert (failure.reason, failure.usage.attempts, failure.retryable) == (reason, attempts, attempts > 1)
    assert KEY not in str(failure)
    assert "zebra" not in str(failure)
    assert failure.__cause__ is None
    assert failure.__context__ is None  # the transport's error holds the request, key and prompt included


@pytest.mark.parametrize("script", [error(502), half_body, raw(b"nonsense"), empty_choices, too_many(0.02)])
def test_a_blip_is_mended_by_the_next_attempt(script: Script) -> None:
    with ModelServer(in_turn(script, good("{}"))) as server:
        answer = run(server, ask)
    assert (answer.text, answer.usage.attempts) == ("{}", 2)


def test_a_closed_port_is_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        server = ModelServer()
        server._port = closed.getsockname()[1]
        failure = run(server, fail, max_attempts=2)
    assert (failure.reason, failure.usage.attempts) == ("unreachable", 2)


@pytest.mark.parametrize("script", [hang, slow(600)])
def test_a_call_ends_at_its_deadline_and_says_so(script: Script) -> None:
    with ModelServer(in_turn(good(), script)) as server:
        run(server, ask)  # the first call of a process loads modules, which may take longer than the deadline
        with ends_within(PATIENCE, "a call with a deadline of half a second"):
            failure = run(server, fail, timeout_seconds=0.5)
        assert len(server.requests) <= 2, "nothing is sent twice; on a busy machine the deadline may come before the request"
    assert (failure.reason, failure.retryable, failure.server_at_fault) == ("timeout", False, True)
    assert failure.usage.attempts == 1
    assert failure.usage.latency_ms >= 499


def test_a_server_that_drips_meets_the_deadline_too() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.append(True)
        try:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(900):
                writer.write(b" ")
                await writer.drain()
                await let_pass(0.02, "a drop falls from time to time, so that no single read takes long")
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
            over.append(True)

    begun: list[bool] = []
    over: list[bool] = []

    async def scenario() -> Reason:
        async with await asyncio.start_server(drip, "127.0.0.1", 0) as listening:
            client = ModelClient(settings(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1", timeout_seconds=5.0))
            failure = await fail(client)
            assert begun, "the deadline came before the request, which is for another test"
            assert not over, "the call ended before the answer was whole"
            await client.close()
            await until(lambda: over, "the next drop to find the connection closed")
            return failure.reason

    assert run_async(scenario()) == "timeout"


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    with ModelServer(too_many(600)) as server:
        with ends_within(PATIENCE, "a call that must not wait"):
            failure = run(server, fail, timeout_seconds=2 * PATIENCE)
        assert len(server.requests) == 1
    assert (failure.reason, failure.retry_after) == ("rate_limited", 600)


def test_the_wait_that_the_server_asks_for_is_kept() -> None:
    with ModelServer(in_turn(too_many(0.12), good())) as server:
        run(server, ask)
        first, second = server.requests
    assert second.arrived - first.arrived >= 0.12


NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": format_datetime(NOW.replace(second=20), usegmt=True)}, 20),
        ({"retry-after": format_datetime(NOW.replace(hour=11), usegmt=True)}, 0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1e300"}, 1e300),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 99999999999999999999 07:28:00 GMT"}, None),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:05 +9999999"}, None),
        ({"retry-after": "-5, 3"}, None),
        ({"retry-after": "\u0000"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(httpx2.Headers(headers), NOW) == seconds


def test_tokens_of_failed_attempts_are_added_where_the_server_counted_them() -> None:
    def spoilt(request: Request) -> Behaviour:
        body = {"error": {"message": "broke"}, "usage": {"prompt_tokens": 100, "completion_tokens": 7}}
        return Behaviour(500, json.dumps(body).encode(), {"Content-Type": "application/json"})

    with ModelServer(in_turn(spoilt, empty_choices, no_usage)) as server:
        answer = run(server, ask)
        told = completion(server.requests[1], None)["usage"]
    assert answer.usage.input_tokens == 100 + told["prompt_tokens"] + -(-len(PROMPT.system + PROMPT.user) // 4)
    assert answer.usage.output_tokens == 7 + told["completion_tokens"] + -(-len(answer.text) // 4)
    with ModelServer(cut_short) as server:
        failure = run(server, fail)
    assert failure.usage.output_tokens > 0


def test_fences_are_left_to_those_who_check() -> None:
    with ModelServer(fenced) as server:
        assert "```json" in run(server, ask).text


def test_a_cancelled_call_closes_its_connection_and_the_client_goes_on() -> None:
    async def cancel(client: ModelClient) -> Completion:
        task = asyncio.ensure_future(ask(client))
        await until(lambda: server.in_flight == 1, "the call")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: server.in_flight == 0, "the end of the connection")
        return await ask(client)

    with ModelServer(in_turn(hang, good())) as server:
        assert run(server, cancel).usage.attempts == 1


def test_neither_key_nor_prompt_is_printed_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert KEY not in repr(settings("http://localhost/v1"))
    assert isinstance(settings("http://localhost/v1").api_key, SecretStr)
    with caplog.at_level(logging.DEBUG), ModelServer(in_turn(error(500, "zebra-secret"), good())) as server:
        run(server, ask)
    assert KEY not in caplog.text
    assert "zebra" not in caplog.text


@pytest.mark.parametrize("url", ["ftp://x", "localhost:1", "http://user:pass@host/v1", "http://host/v1?key=1", ""])
def test_an_address_that_is_none_or_holds_a_password_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(url)
    assert "pass@" not in str(caught.value)


def test_every_reason_is_explained_and_those_the_server_is_blamed_for_are_its_fault() -> None:
    from llm.client import failures

    assert all(f" {reason} " in (failures.__doc__ or "") for reason in REASONS)
    blamed = {reason for reason in REASONS if ModelFailure(reason).server_at_fault}
    assert blamed == {"timeout", "unreachable", "rate_limited", "server_error", "garbled", "denied", "no_credit"}
