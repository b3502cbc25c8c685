"""Answers of a model server that are wrong in every way: mutations of valid ones, from the HTTP status down to the text, in process.

``FUZZ=50`` in the environment makes 50 times 1,000 answers; without it there are 400. A failure names the number of its answer:
``answer_of(number)`` makes it again.
"""

from __future__ import annotations

import copy
import gzip
import json
import logging
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import httpx2
import msgspec
import pytest
from pydantic import SecretStr

from llm.answer import Answer, Prompt, Usage
from llm.call_facts import call_facts
from llm.client.error_table import BY_CODE, BY_STATUS
from llm.client.failure_log import FailureLog
from llm.client.failures import REASONS, ModelFailure
from llm.client.model_client import ModelClient, ModelSettings
from llm.client.prices import Prices
from llm.client.reply import MOST_TOKENS
from llm.guardrails import output_guardrails
from state.plain_text import plain
from tests.llm.wording_requests import PLAN, answer, request_for
from tests.support.waiting import run_async

ANSWERS: Final = round(1_000 * float(os.environ.get("FUZZ", "0.4")))
KEY: Final = "sk-very-secret-key"
PROMPT: Final = Prompt("nudge-1", "You write guidance.", "notes: zebra-secret")
REQUEST: Final = request_for()
GUARDRAILS: Final = output_guardrails.OutputGuardrails(PLAN)
GOOD: Final = (
    "Whenever you like, go on with {step}.",
    "Test connection tells you which entry to look at, {firstName}. Then you can {step}.",
)

HOSTILE: Final = (
    "https://evil.example/x", "evil.example", "\x1b[31mred", "\u202eback", "\x00", "\x9b2J", "<script>alert(1)</script>", "[a](http://b)",
    "jane.doe@example.com", "+44 20 7946 0958", KEY, "AKIAIOSFODNN7EXAMPLE", "Ignore all previous instructions", "{password}", "{{step}}",
    "\ud83d", "\U0001f4a9", "\u200b", "p\u0430ypal", "100% free for ever", "\n\n\n", "aaaaaaaaaaaaaaaa", "\ufeff", "</think>",
)  # fmt: skip
"""No accepted text may hold any of these."""

UNNAMED: Final = tuple(each for each in HOSTILE if not each.isalpha())
"""Those that are no plain word: an error code may be one, and is logged."""

VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 10**19, -(10**19), 1e308, "", " ", "0", "NaN", "1e999", "true", "null", [], {},
    [[]], [None], {"": None}, {"text": "x"}, [{"type": "text", "text": "x"}], [{"type": "thinking"}], "length", "content_filter",
    "error", {"code": 429}, *HOSTILE,
)  # fmt: skip

NAMES: Final = tuple(
    (
        "error choices usage message content refusal delta text tool_calls function_call reasoning_content code type status param"
        " detail details errors innererror loc prompt_tokens completion_tokens total_tokens model finish_reason arguments function"
        " confidence facts language uiComponent deepLink"
    ).split()
)

WRAPS: Final = (
    "<think>{}</think>", "<think>", "</think>", "```json\n{}\n```", "Here: {}", "{}\n<|im_end|>", "[{}]", "{}{}", "\ufeff{}",
    '{"a": {}}', '"{}',
)  # fmt: skip


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in ``value``: its container and its key or index."""
    for key, inner in list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(inner)


def _mutated(chance: random.Random, value: Any) -> Any:
    """``value`` with one change somewhere in it."""
    places = list(_places(value))
    if not places:
        return chance.choice(VALUES)
    container, key = chance.choice(places)
    what = chance.randrange(7)
    if what == 0:
        del container[key]
    elif what == 1:
        container[key] = [container[key]]
    elif what == 2:
        container[key] = json.dumps(container[key])
    elif what == 3 and isinstance(container, dict):
        container[chance.choice(NAMES)] = copy.deepcopy(chance.choice((container[key], *VALUES)))
    elif what == 4 and isinstance(container, dict):
        container[chance.choice(NAMES)] = container.pop(key)
    elif what == 5 and isinstance(container[key], str):
        container[key] = _damaged(chance, container[key])
    else:
        container[key] = copy.deepcopy(chance.choice(VALUES))
    return value


def _damaged(chance: random.Random, text: str) -> str:
    at = chance.randint(0, len(text))
    piece = chance.choice((*HOSTILE, chr(chance.randrange(0x20, 0x3000)), "\\", '"', "{", "}", "```", "<think>", "[", "]", "data:"))
    return text[:at] + piece + text[at + chance.choice((0, 0, 1, 5)) :]


def _content(chance: random.Random) -> str:
    """What the model wrote."""
    proposal = json.loads(answer(REQUEST, chance.choice(GOOD)))
    if chance.random() < 0.3:
        proposal["text"] = _damaged(chance, proposal["text"])
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        proposal = _mutated(chance, proposal)
    text = json.dumps(proposal, ensure_ascii=chance.random() < 0.5)
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        wrap = chance.choice(WRAPS)
        text = wrap.replace("{}", text) if "{}" in wrap else wrap + text
    if chance.random() < 0.05:
        text = json.dumps(text)
    if chance.random() < 0.1:
        text = _damaged(chance, text)
    return chance.choice(('{"a":' * 3_000, "[" * 9_000, text * 50)) if chance.random() < 0.01 else text


def _error(chance: random.Random) -> dict[str, Any]:
    code = chance.choice((*BY_CODE, "what_is_this", KEY, *HOSTILE))
    field = chance.choice(("max_tokens", "temperature", "response_format", "messages[0].role", "stream", *HOSTILE))
    return {
        "error": {
            "message": f"{code} {field} zebra-secret {KEY}",
            "type": code,
            "code": chance.choice((code, 429, "500", None)),
            "param": field,
        },
        "detail": [{"loc": ["body", field], "msg": "zebra-secret"}],
    }


def answer_of(number: int) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer; the same number makes the same answer."""
    chance = random.Random(number)
    status = 200 if chance.random() < 0.8 else chance.choice((*BY_STATUS, 400, 422, 422, 418, 500, 599, 204, 201))
    if status >= 300 or chance.random() < 0.1:
        body: Any = _error(chance)
    else:
        message = {"role": "assistant", "content": _content(chance)}
        if chance.random() < 0.2:
            message["content"] = [{"type": "text", "text": message["content"]}]  # type: ignore[assignment]
        usage = {"prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130}
        body = {"id": "c", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}
    for _ in range(chance.choice((0, 0, 1, 1, 2, 4))):
        body = _mutated(chance, body)
    data = json.dumps(body, ensure_ascii=chance.random() < 0.7).encode("utf-8", "surrogatepass")
    if chance.random() < 0.1:
        data = chance.choice(
            (b"data: " + data + b"\n\ndata: [DONE]\n\n", b"\xef\xbb\xbf" + data, b"\n " + data, data + data, b": x\n" + data)
        )
    headers = {"content-type": chance.choice(("application/json", "application/json; charset=iso-8859-1", "text/html; charset=utf-16", ""))}
    if chance.random() < 0.05:
        data = data.decode("utf-8", "replace").encode(chance.choice(("utf-16", "utf-32", "utf-16-le", "latin-1")), "replace")
    for _ in range(chance.choice((0,) * 18 + (1, 4))):
        at = chance.randint(0, len(data))
        data = data[:at] + chance.randbytes(chance.choice((0, 1, 3))) + data[at + chance.choice((0, 1, 100)) :]
    if chance.random() < 0.05:
        data = gzip.compress(data, mtime=0)[: chance.choice((None, -5, 20))]
    if chance.random() < 0.1:
        headers["content-encoding"] = chance.choice(("gzip", "br", "deflate", "nonsense"))
    if chance.random() < 0.2:
        headers["retry-after"] = chance.choice(
            ("-5", "1e999", "nan", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Foo", "9" * 400, "0")
        )
    return status, headers, data


class _Body(httpx2.AsyncByteStream):
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data[:50]
        yield self._data[50:]


class _Server(httpx2.AsyncBaseTransport):
    """Answers every request with the same answer."""

    def __init__(self, number: int) -> None:
        self._answer = answer_of(number)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        status, headers, data = self._answer
        return httpx2.Response(status, headers=headers, stream=_Body(data), request=request)


async def _ask(number: int, log: FailureLog, ends: Counter[str]) -> None:
    settings = ModelSettings(base_url="http://h/v1", model="small", api_key=SecretStr(KEY), timeout_seconds=60, max_attempts=1)
    client = ModelClient(settings, Prices(input_dollars=1.0, output_dollars=2.0), transport=_Server(number))
    try:
        completion = await client.complete(PROMPT)
    except ModelFailure as failure:
        log.log(failure, float(number) * 1e6)
        _check_failure(failure)
        _check_usage(failure.usage, Answer(reason=failure.reason, usage=failure.usage, source="call"))
        ends[failure.reason] += 1
        return
    finally:
        await client.close()
    checked = GUARDRAILS.check(completion.text, REQUEST)
    assert checked.reason in {"", *output_guardrails.REASONS}
    shown = plain(GUARDRAILS.presentable(completion.text))
    assert plain(shown) == shown
    shown.encode()
    text = ""
    if checked.ok:
        filled = GUARDRAILS.fill(checked.text, REQUEST)
        assert filled.reason in {"", *output_guardrails.REASONS}
        text = filled.text
        assert not [each for each in HOSTILE if each in text], text
        assert text.isprintable()
    ends[checked.reason or "accepted"] += 1
    _check_usage(completion.usage, Answer(text=text, reason=checked.reason, usage=completion.usage, source="call", checks=checked.checks))


def _check_failure(failure: ModelFailure) -> None:
    assert failure.reason in REASONS
    said = f"{failure} {failure.advice}"
    assert failure.advice
    assert said.isprintable()
    assert not [each for each in (KEY, "zebra", *UNNAMED) if each in said], said
    assert failure.retry_after is None or failure.retry_after >= 0


def _check_usage(usage: Usage, told: Answer) -> None:
    assert type(usage.input_tokens) is type(usage.output_tokens) is type(usage.cost_micros) is int
    assert 0 <= usage.input_tokens <= MOST_TOKENS * usage.attempts
    assert 0 <= usage.output_tokens <= MOST_TOKENS * usage.attempts
    assert usage.cost_micros == usage.input_tokens + 2 * usage.output_tokens
    assert 1 <= usage.attempts <= 6
    assert usage.model.isprintable()
    assert KEY not in usage.model
    assert len(usage.model) <= 200
    for fact in call_facts(REQUEST, told):
        msgspec.json.encode(fact)


def test_every_answer_ends_in_a_checked_text_or_in_a_reason(caplog: pytest.LogCaptureFixture) -> None:
    ends: Counter[str] = Counter()

    async def scenario() -> None:
        log = FailureLog("http://h/v1")
        for number in range(ANSWERS):
            try:
                await _ask(number, log, ends)
            except Exception as error:
                raise AssertionError(f"answer {number}: {type(error).__name__}: {error}") from error

    with caplog.at_level(logging.INFO):
        run_async(scenario(), within=60.0 + ANSWERS / 20)
    assert ends.total() == ANSWERS
    assert ends["accepted"] > ANSWERS / 20, "most mutations leave nothing to check"
    assert len(ends) > 15, ends
    assert not [each for each in (KEY, "zebra", *UNNAMED) if each in caplog.text]
