"""The client of the model: one chat completion a call, from any server that speaks OpenAI's protocol.

This module retries, within one deadline for the whole call; the SDK does not. It does not parse what the model wrote.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Final, Literal

import httpx2
import msgspec
import openai
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from llm.answer import Bounds, Completion, Prompt, Usage
from llm.client.failures import ModelFailure
from llm.client.prices import Prices, estimate_tokens
from llm.client.response_format import FORMATS, is_about_format, response_format, spelled_out

_log = logging.getLogger(__name__)

_BACKOFF_SECONDS: Final = 0.2  # before the second attempt, doubled for each further one
_LONGEST_BACKOFF_SECONDS: Final = 2.0
_DENIED: Final = frozenset({301, 302, 303, 307, 308, 401, 403, 404})
_PASSING: Final = frozenset({408, 409, 425})
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


class ModelSettings(BaseModel):
    """Which model is called, and within which bounds. Frozen; the key is never printed."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: Annotated[
        str,
        Field(
            pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$",
            description="Address of an OpenAI-compatible server; it usually ends in /v1. No default: no text leaves by accident.",
        ),
    ]
    model: Annotated[str, Field(min_length=1, max_length=200, description="The model's name as the server knows it.")]
    api_key: Annotated[SecretStr, Field(description="Key of the server; empty where it needs none.")] = SecretStr("")
    timeout_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=300,
            description="Seconds for a call, with its retries and waits. The app shows the template meanwhile.",
        ),
    ] = 8.0
    connect_seconds: Annotated[
        float, Field(gt=0, le=60, description="Seconds for a connection. TLS to another continent takes less than one second.")
    ] = 2.0
    max_attempts: Annotated[
        int,
        Field(ge=1, le=10, description="HTTP requests that a call may make. A second one repairs most failures; more than three add load."),
    ] = 3
    temperature: Annotated[
        float | None,
        Field(
            ge=0,
            le=2,
            description="Low, because a text must say the same as the template. None leaves it out: some models refuse the field.",
        ),
    ] = 0.3
    max_output_tokens: Annotated[
        int, Field(ge=16, le=8192, description="A text of 500 characters in its JSON takes under 300 tokens. Longer answers are cut.")
    ] = 400
    longest_text: Annotated[
        int | None,
        Field(
            ge=40,
            le=2000,
            description="Characters of a text in the strict schema. It stops a small model that goes on; some servers refuse the keyword.",
        ),
    ] = None
    output_limit_field: Annotated[
        Literal["max_tokens", "max_completion_tokens"],
        Field(description="The field for that limit. Nearly all servers know max_tokens; OpenAI's reasoning models need the other."),
    ] = "max_tokens"


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Counted(msgspec.Struct):
    """The tokens that the server counted."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Reply(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Counted | None = None
    model: str | None = None


class _Refusal(msgspec.Struct):
    usage: _Counted | None = None


class ModelClient:
    """Calls one model. Use and ``close`` it on one event loop, from any number of tasks. Opens no connection before the first call."""

    def __init__(self, settings: ModelSettings, prices: Prices | None = None, *, jitter: Callable[[], float] = random.random) -> None:
        """``jitter`` gives numbers from 0 to 1, for the waits between attempts."""
        self.settings = settings
        self.prices = prices or Prices()
        self._jitter = jitter
        self._form = 0
        _keep_prompts_out_of_logs()
        self._client = openai.AsyncOpenAI(
            api_key=settings.api_key.get_secret_value() or "none",  # the SDK insists on one
            base_url=settings.base_url,
            max_retries=0,
            # A redirect would send the prompt to an address that the operator did not choose.
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),
        )

    @property
    def form(self) -> str:
        """The output format of the next request: the strictest one that the server has not refused."""
        return FORMATS[self._form]

    async def complete(self, prompt: Prompt) -> Completion:
        """Call the model and return what it wrote, within ``timeout_seconds``.

        The usage includes failed attempts where the server counted their tokens. Where it did not count those of the answer, they are
        estimated. Safe to cancel. Raises only ``ModelFailure``, with the usage up to then.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        deadline = started + self.settings.timeout_seconds
        requests = retries = sent = received = 0
        while True:
            form = self._form
            requests += 1
            try:
                reply = await self._request(prompt, form, deadline)
                text = _text(reply)
            except _UnsupportedFormatError:
                self._step_down(form)
                continue  # at once and without counting as a retry: the server is well, it was asked for the wrong thing
            except ModelFailure as failure:
                sent += failure.usage.input_tokens
                received += failure.usage.output_tokens
                retries += 1
                wait = self._wait(failure, retries)
                if retries >= self.settings.max_attempts or not failure.retryable or loop.time() + wait >= deadline:
                    failure.usage = self._usage("", sent, received, loop.time() - started, requests)
                    failure.__context__ = None  # the SDK's error holds the request, key and prompt included
                    raise
                await asyncio.sleep(wait)
                continue
            counted = reply.usage or _Counted()
            question = prompt.system + spelled_out(FORMATS[form]) + prompt.user
            sent += estimate_tokens(question) if counted.prompt_tokens is None else max(0, counted.prompt_tokens)
            received += estimate_tokens(text) if counted.completion_tokens is None else max(0, counted.completion_tokens)
            return Completion(text, self._usage(reply.model or self.settings.model, sent, received, loop.time() - started, requests))

    async def close(self) -> None:
        """Close the connections. Calls in flight fail."""
        await self._client.close()

    def _usage(self, model: str, sent: int, received: int, seconds: float, requests: int) -> Usage:
        return Usage(
            model=model,
            input_tokens=sent,
            output_tokens=received,
            cost_micros=self.prices.micros(sent, received),
            latency_ms=round(seconds * 1000),
            attempts=requests,
        )

    async def _request(self, prompt: Prompt, form: int, deadline: float) -> _Reply:
        """One HTTP request. Raises ``ModelFailure`` and ``_UnsupportedFormatError``; never outlives ``deadline``."""
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise ModelFailure("timeout", "no time was left for a request")
        timeout = openai.Timeout(left, connect=min(left, self.settings.connect_seconds))
        try:
            async with asyncio.timeout_at(deadline):  # the transport's timeout is per read: a server that drips would never meet it
                # extra_body, because compatible servers take what the SDK's types do not know
                response = await self._client.chat.completions.with_raw_response.create(
                    model=self.settings.model,
                    messages=[
                        {"role": "system", "content": prompt.system + spelled_out(FORMATS[form])},
                        {"role": "user", "content": prompt.user},
                    ],
                    extra_body=self._options(form, prompt.bounds),
                    timeout=timeout,
                )
        except TimeoutError:
            raise _timeout(self.settings) from None
        except openai.APITimeoutError as error:
            if isinstance(error.__cause__, httpx2.ConnectTimeout):
                raise ModelFailure("unreachable", f"no connection within {self.settings.connect_seconds:g} s") from None
            raise _timeout(self.settings) from None
        except openai.APIConnectionError:
            raise ModelFailure("unreachable", "the connection could not be made or broke before the answer was whole") from None
        except openai.APIStatusError as error:
            if form + 1 < len(FORMATS) and is_about_format(error.status_code, error.response.text):
                raise _UnsupportedFormatError from None
            raise _failure(error) from None
        except openai.OpenAIError as error:
            raise ModelFailure("garbled", f"the answer could not be read ({type(error).__name__})") from None
        try:
            return msgspec.json.decode(response.content, type=_Reply)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ModelFailure("garbled", "the server answered 200 with something that is no chat completion") from None

    def _options(self, form: int, bounds: Bounds | None) -> dict[str, Any]:
        options: dict[str, Any] = {self.settings.output_limit_field: self.settings.max_output_tokens}
        if self.settings.temperature is not None:
            options["temperature"] = self.settings.temperature
        shape = response_format(FORMATS[form], self.settings.longest_text, bounds)
        if shape is not None:
            options["response_format"] = shape
        return options

    def _step_down(self, refused: int) -> None:
        """Stop asking for a refused format. Several running calls may be refused together; only the first one moves on."""
        if self._form == refused:
            self._form += 1
            _log.warning("The model server does not support %s output; asking for %s from now on.", FORMATS[refused], self.form)

    def _wait(self, failure: ModelFailure, retries: int) -> float:
        """Seconds before the next attempt: as the server says, else between half and all of a time that doubles."""
        if failure.retry_after is not None:
            return failure.retry_after
        whole = min(_LONGEST_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2.0 ** (retries - 1))
        return whole * (0.5 + 0.5 * self._jitter())


class _UnsupportedFormatError(Exception):
    """The server cannot answer in the format that was asked for."""


def retry_after_seconds(headers: httpx2.Headers, now: datetime) -> float | None:
    """Seconds from ``now`` (with its time zone) until the server accepts another request; None where it said nothing readable.

    Understands ``retry-after-ms``, and ``retry-after`` in seconds or as an HTTP date.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with contextlib.suppress(KeyError, ValueError):
            seconds = float(headers[name]) * unit
            if 0 <= seconds < float("inf"):
                return seconds
    with contextlib.suppress(KeyError, ValueError):
        moment = parsedate_to_datetime(headers["retry-after"])
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
    return None


def _text(reply: _Reply) -> str:
    """The text of the first choice. Raises ``ModelFailure`` with the usage where there is none that is whole."""
    usage = _counted(reply.usage)
    if not reply.choices:
        raise ModelFailure("no_content", "the answer holds no choice", usage=usage)
    choice = reply.choices[0]
    if choice.finish_reason == "length":
        raise ModelFailure("truncated", "the answer hit the limit on output tokens", usage=usage)
    if choice.finish_reason == "content_filter" or choice.message.refusal:
        raise ModelFailure("refused", "the model declined, or a filter did", usage=usage)
    if not (choice.message.content or "").strip():
        raise ModelFailure("no_content", "the answer is empty", usage=usage)
    return choice.message.content or ""


def _failure(error: openai.APIStatusError) -> ModelFailure:
    """The failure for an HTTP status. The server's message stays out, because it may quote the prompt; its error code goes in."""
    status = error.status_code
    code = error.code if isinstance(error.code, str) and _CODE.fullmatch(error.code) else ""
    detail = f"the server answered {status}" + (f" ({code})" if code else "")
    wait = retry_after_seconds(error.response.headers, datetime.now(UTC))
    usage = Usage()
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        usage = _counted(msgspec.json.decode(error.response.content, type=_Refusal).usage)
    if status == 429:
        return ModelFailure("rate_limited", detail, wait, usage=usage)
    if status >= 500 or status in _PASSING:
        return ModelFailure("server_error", detail, wait, usage=usage)
    if status in _DENIED:
        return ModelFailure("denied", f"{detail}; check the address, the key and the name of the model")
    return ModelFailure("refused", detail, usage=usage)


def _timeout(settings: ModelSettings) -> ModelFailure:
    return ModelFailure("timeout", f"no whole answer within the {settings.timeout_seconds:g} s of a call")


def _counted(counted: _Counted | None) -> Usage:
    """The tokens that the server counted, 0 where it said nothing."""
    if counted is None:
        return Usage()
    return Usage(input_tokens=max(0, counted.prompt_tokens or 0), output_tokens=max(0, counted.completion_tokens or 0))


def _keep_prompts_out_of_logs() -> None:
    """The SDK logs whole requests at debug, and the transport every address at info. Prompts may hold a person's own words."""
    for name, level in (("openai", logging.INFO), ("httpx2", logging.WARNING)):
        library = logging.getLogger(name)
        if library.level < level:
            library.setLevel(level)
