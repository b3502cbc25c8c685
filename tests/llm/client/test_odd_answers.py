"""Model servers that differ from the textbook: the real client and the real checks against each way, on a real socket."""

from __future__ import annotations

import asyncio
import json

import pytest
from pydantic import SecretStr

from llm.answer import Completion, Prompt
from llm.client.failures import ModelFailure
from llm.client.model_client import ModelClient, ModelSettings, ProxyError
from llm.client.prices import estimate_tokens
from llm.guardrails.output_guardrails import OutputGuardrails
from tests.llm.wording_requests import PLAN, request_for
from tests.support import odd_answers as odd
from tests.support.model_server import Behaviour, ModelServer, Script, changed, half_body
from tests.support.model_server import completion as completion_of
from tests.support.waiting import PATIENCE, run_async

PROMPT = Prompt("nudge-1", "You write guidance.", "{step}\nuiComponent: tooltip\ndeepLink: /sources/new\nnotes: zebra-secret")
TEXT = "Whenever you like, go on with {step}."
KEY = "sk-very-secret-key"
GUARDRAILS = OutputGuardrails(PLAN)
MOST = 400


def asked(script: Script, attempts: int = 1) -> tuple[Completion | ModelFailure, ModelClient, int]:
    """What one call of a server ends with, the client, and how many requests came."""

    async def scenario() -> tuple[Completion | ModelFailure, ModelClient]:
        settings = ModelSettings(
            base_url=server.url, model="small", api_key=SecretStr(KEY), timeout_seconds=PATIENCE, max_attempts=attempts
        )
        client = ModelClient(settings, jitter=lambda: 0.0)
        try:
            return await client.complete(PROMPT), client
        except ModelFailure as failure:
            return failure, client
        finally:
            await client.close()

    with ModelServer(script) as server:
        outcome, client = run_async(scenario())
        return outcome, client, len(server.requests)


def answered(script: Script) -> Completion:
    outcome, _, requests = asked(script)
    assert isinstance(outcome, Completion), outcome
    assert requests == 1
    return outcome


@pytest.mark.parametrize("name", odd.READ)
def test_a_readable_answer_is_used_whatever_its_envelope(name: str) -> None:
    completion = answered(odd.READ[name])
    checked = GUARDRAILS.check(completion.text, request_for())
    assert (checked.reason, checked.text.replace("\u2018", "").replace("\u2019", "")) == ("", TEXT)
    usage = completion.usage
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (odd.SENT, odd.RECEIVED, False)
    assert usage.model == {"model_number": "4", "model_list": "small", "legacy_text": "small", "line_breaks_in_strings": "small"}.get(
        name, "m"
    )


@pytest.mark.parametrize("name", odd.UNCOUNTED)
def test_tokens_that_are_not_counted_are_estimated(name: str, caplog: pytest.LogCaptureFixture) -> None:
    completion = answered(odd.UNCOUNTED[name])
    assert GUARDRAILS.check(completion.text, request_for()).text == TEXT
    usage = completion.usage
    assert (usage.input_tokens, usage.output_tokens) == (estimate_tokens(PROMPT.system + PROMPT.user), estimate_tokens(completion.text))
    assert usage.estimated
    assert caplog.text.count("they are estimated") == 1


@pytest.mark.parametrize("name", odd.REJECTED)
def test_what_the_model_wrote_is_judged_as_strictly_as_ever(name: str) -> None:
    script, reason = odd.REJECTED[name]
    completion = answered(script)
    assert GUARDRAILS.check(completion.text, request_for()).reason == reason
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (odd.SENT, odd.RECEIVED)
    shown = GUARDRAILS.presentable(completion.text)
    assert shown.encode(), "it can be printed"


@pytest.mark.parametrize("name", odd.FAILED)
def test_without_a_text_the_reason_and_the_advice_name_the_fault(name: str) -> None:
    script, reason, counted, words = odd.FAILED[name]
    failure, _, _ = asked(script)
    assert isinstance(failure, ModelFailure), failure
    assert failure.reason == reason
    assert words in failure.advice
    usage = failure.usage
    tokens = {"counted": (odd.SENT, odd.RECEIVED), "nothing": (0, 0), "estimated": (estimate_tokens(PROMPT.system + PROMPT.user), MOST)}
    assert (usage.input_tokens, usage.output_tokens) == tokens[counted]
    assert usage.estimated == (counted == "estimated")
    for secret in (KEY, "zebra"):
        assert secret not in f"{failure} {failure.advice}"


@pytest.mark.parametrize("name", odd.STEPS)
def test_what_a_server_does_not_take_is_left_out_from_then_on(name: str) -> None:
    script, refused = odd.STEPS[name]

    async def twice() -> tuple[Completion, Completion, ModelClient]:
        settings = ModelSettings(base_url=server.url, model="small", timeout_seconds=PATIENCE, max_attempts=1)
        client = ModelClient(settings)
        first, second = await client.complete(PROMPT), await client.complete(PROMPT)
        await client.close()
        return first, second, client

    with ModelServer(script) as server:
        first, second, client = run_async(twice())
        requests = server.requests
    refusals = len(requests) - 2
    assert GUARDRAILS.check(first.text, request_for()).text == TEXT
    assert (first.usage.attempts, second.usage.attempts) == (1 + refusals, 1)
    assert (first.usage.input_tokens, first.usage.output_tokens) == (odd.SENT, odd.RECEIVED)
    assert client.refusals.total() == len(client.changes) == refusals
    assert client.changes[0].startswith(f"the model server does not take {refused}: ")
    texts = [message["content"] for message in requests[-1].body["messages"]]
    assert "\n\n".join(texts).count(PROMPT.system) == "\n\n".join(texts).count(PROMPT.user) == 1


def test_a_server_that_refuses_one_thing_after_another_gets_a_request_that_it_takes() -> None:
    script: Script = odd.READ["good"]
    for wrong, refusal in (("max_tokens", 400), ("temperature", 422), ("response_format", 400)):
        script = _chain(wrong, refusal, script)
    outcome, client, requests = asked(script)
    assert isinstance(outcome, Completion)
    assert client.refusals == {"max_tokens": 1, "temperature": 1, "json_schema output": 1, "json_object output": 1}
    assert requests == 5


def _chain(wrong: str, status: int, otherwise: Script) -> Script:
    refusal = odd.tells(status, {"error": {"message": "no", "param": wrong}})
    return lambda request: (refusal if wrong in request.body else otherwise)(request)


@pytest.mark.parametrize("field", ["max_tokens", "temperature", "response_format", "stream"])
def test_a_server_that_never_takes_it_is_not_asked_for_ever(field: str) -> None:
    failure, client, requests = asked(odd.tells(400, {"error": {"message": "no", "param": field, "code": "unsupported_value"}}))
    assert isinstance(failure, ModelFailure)
    assert failure.reason == "refused"
    assert f"unsupported_value, {field}" in failure.detail
    assert requests == 1 + client.refusals.total() <= 3


@pytest.mark.parametrize("key", ["sk-\u00e9", "two words", "line\nbreak", "\x00"])
def test_a_key_that_no_header_can_carry_is_refused_without_quoting_it(key: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        ModelSettings(base_url="http://h/v1", model="m", api_key=SecretStr(key))
    assert key not in str(caught.value)


@pytest.mark.parametrize("code", ["sk-very-secret-key", "very", "x_sk-very-secret-key", "Two words", "\x1b[31m", "a" * 60, 7, None, [], {}])
def test_a_code_that_is_no_plain_name_or_a_part_of_the_key_is_not_repeated(code: object) -> None:
    failure, _, _ = asked(odd.tells(400, {"error": {"message": KEY, "code": code}}))
    assert isinstance(failure, ModelFailure)
    assert failure.detail == "the server answered 400"


def test_a_server_that_repeats_the_key_in_a_text_gets_it_shown_to_nobody() -> None:
    completion = answered(changed(text=f"Whenever you like, w{KEY}th go on with {{step}}."))
    assert KEY not in completion.text
    named = answered(lambda request: Behaviour(body=json.dumps({**completion_of(request, "{}"), "model": KEY}).encode()))
    assert named.usage.model == "[key]"
    assert GUARDRAILS.check(completion.text, request_for()).reason == "markup"


@pytest.mark.parametrize("proxy", ["foo://user:hunter2@h", "http://user:hunter2@h:port", "socks5://user:hunter2@h:1"])
def test_a_proxy_that_cannot_be_used_is_a_sentence_without_its_password(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ProxyError, match="HTTPS_PROXY") as caught:
        ModelClient(ModelSettings(base_url="https://h/v1", model="m"))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("path", ["", "/", "/chat/completions", "/chat/completions/"])
def test_the_address_may_end_as_people_write_it(path: str) -> None:
    async def scenario() -> Completion:
        client = ModelClient(ModelSettings(base_url=server.url + path, model="small", timeout_seconds=PATIENCE))
        try:
            return await client.complete(PROMPT)
        finally:
            await client.close()

    with ModelServer(odd.READ["good"]) as server:
        assert run_async(scenario()).usage.output_tokens == odd.RECEIVED
        assert [request.path for request in server.requests] == ["/v1/chat/completions"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://no-such-host.invalid/v1", "host name"),
        ("http://a..b/v1", "address"),
        ("http://[::1]:1/v1", "does not answer"),
    ],
)
def test_why_a_server_cannot_be_reached_is_said(url: str, words: str) -> None:
    failure = run_async(_fails(url))
    assert failure.reason == "unreachable"
    assert words in failure.advice
    assert failure.__cause__ is failure.__context__ is None


async def _fails(url: str) -> ModelFailure:
    client = ModelClient(ModelSettings(base_url=url, model="small", api_key=SecretStr(KEY), timeout_seconds=PATIENCE, max_attempts=1))
    try:
        with pytest.raises(ModelFailure) as caught:
            await client.complete(PROMPT)
        return caught.value
    finally:
        await client.close()


def test_an_address_with_the_wrong_scheme_is_named() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def scenario() -> ModelFailure:
        async with await asyncio.start_server(plain, "127.0.0.1", 0) as listening:
            return await _fails(f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1")

    assert "http:// or https://" in run_async(scenario()).advice


def test_an_answer_that_breaks_off_was_billed() -> None:
    failure, _, _ = asked(half_body)
    assert isinstance(failure, ModelFailure)
    assert (failure.reason, failure.usage.output_tokens, failure.usage.estimated) == ("unreachable", MOST, True)
