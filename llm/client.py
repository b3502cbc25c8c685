"""The client of the model: one chat completion a wish, over any server that speaks the protocol of OpenAI.

Retries are ours and share one deadline with everything else in the call; the SDK does none. Nothing here parses what the model wrote.
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

from llm.answer import Bounds, Completion, Prompt
from llm.failures import ModelFailure
from llm.prices import estimate_tokens
from llm.structured import FORMATS, is_about_format, response_format, spelled_out

_log = logging.getLogger(__name__)

_BACKOFF_SECONDS: Final = 0.2  # before the second attempt, doubled for each further one
_LONGEST_BACKOFF_SECONDS: Final = 2.0
_DENIED: Final = frozenset({301, 302, 303, 307, 308, 401, 403, 404})
_PASSING: Final = frozenset({408, 409, 425})
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


class ModelSettings(BaseModel):
    """Which model is asked, and how patiently. Frozen; the key is never printed."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: Annotated[
        str,
        Field(
            pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$",
            description="Address of an OpenAI-compatible server, mostly ending in /v1. No default: nobody sends texts abroad by oversight.",
        ),
    ]
    model: Annotated[str, Field(min_length=1, max_length=200, description="The model's name as the server knows it.")]
    api_key: Annotated[SecretStr, Field(description="Key of the server; empty for one that asks for none.")] = SecretStr("")
    timeout_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=300,
            description="Seconds for a call, retries and waits included: the template is on screen meanwhile, and a late text is no news.",
        ),
    ] = 8.0
    connect_seconds: Annotated[
        float, Field(gt=0, le=60, description="Seconds for a connection: TLS to another continent takes under one; longer means away.")
    ] = 2.0
    max_attempts: Annotated[
        int, Field(ge=1, le=10, description="Requests a call may make: a second mends most blips, a third the rest, more is a load.")
    ] = 3
    temperature: Annotated[
        float | None,
        Field(ge=0, le=2, description="Low, because a text must say the same as the template. None leaves it out: some models refuse it."),
    ] = 0.3
    max_output_tokens: Annotated[
        int, Field(ge=16, le=8192, description="A text of 500 characters in its JSON takes under 300 tokens; a model that rambles is cut.")
    ] = 400
    longest_text: Annotated[
        int | None,
        Field(
            ge=40,
            le=2000,
            description="Characters of a text in the strict schema: keeps a small model from rambling. Some servers refuse the keyword.",
        ),
    ] = None
    output_limit_field: Annotated[
        Literal["max_tokens", "max_completion_tokens"],
        Field(description="What the server calls that limit: nearly all know max_tokens; OpenAI's reasoning models want the other."),
    ] = "max_tokens"


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Reply(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    model: str | None = None


class _Billed(msgspec.Struct):
    usage: _Usage | None = None


class ModelClient:
    """Asks one model. Use and ``close`` it on one event loop, from any number of tasks. Opens no connection before the first call."""

    def __init__(self, settings: ModelSettings, *, jitter: Callable[[], float] = random.random) -> None:
        """``jitter`` gives numbers from 0 to 1, for the waits between attempts."""
        self.settings = settings
        self._jitter = jitter
        self._form = 0
        _keep_prompts_out_of_logs()
        self._client = openai.AsyncOpenAI(
            api_key=settings.api_key.get_secret_value() or "none",  # the SDK insists on one
            base_url=settings.base_url,
            max_retries=0,
            # A redirect would carry the prompt to whoever the server names.
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),
        )

    @property
    def form(self) -> str:
        """The output format that the server is asked for at present: the strictest that it has not refused."""
        return FORMATS[self._form]

    async def complete(self, prompt: Prompt, seed: int | None = None, *, within: float | None = None) -> Completion:
        """Ask the model and return what it wrote.

        Takes at most ``timeout_seconds``, or ``within`` seconds where that is less. Tokens of attempts that failed are included where the
        server told them; where it told none for the answer itself they are estimated. Safe to cancel. Raises ``ModelFailure`` only,
        ``busy`` where no time is left to ask.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        deadline = started + min(self.settings.timeout_seconds, self.settings.timeout_seconds if within is None else within)
        if deadline <= started:
            raise ModelFailure("busy", "no time was left to ask")  # no fault of the server, so not a timeout
        requests = retries = spent_in = spent_out = 0
        while True:
            form = self._form
            requests += 1
            try:
                reply = await self._request(prompt, seed, form, deadline)
                text = _text(reply)
            except _UnsupportedFormatError:
                self._step_down(form)
                continue  # at once and without counting as a retry: the server is well, it was asked for the wrong thing
            except ModelFailure as failure:
                spent_in += failure.input_tokens
                spent_out += failure.output_tokens
                retries += 1
                wait = self._wait(failure, retries)
                if retries >= self.settings.max_attempts or not failure.retryable or loop.time() + wait >= deadline:
                    failure.input_tokens, failure.output_tokens = spent_in, spent_out
                    failure.attempts, failure.latency_ms = requests, _milliseconds(loop.time() - started)
                    failure.__context__ = None  # the SDK's error holds the request, key and prompt included
                    raise
                await asyncio.sleep(wait)
                continue
            usage = reply.usage or _Usage()
            sent = prompt.system + spelled_out(FORMATS[form]) + prompt.user
            return Completion(
                text=text,
                model=reply.model or self.settings.model,
                input_tokens=spent_in + (estimate_tokens(sent) if usage.prompt_tokens is None else max(0, usage.prompt_tokens)),
                output_tokens=spent_out + (estimate_tokens(text) if usage.completion_tokens is None else max(0, usage.completion_tokens)),
                latency_ms=_milliseconds(loop.time() - started),
                attempts=requests,
            )

    async def close(self) -> None:
        """Close the connections. Calls in flight fail."""
        await self._client.close()

    async def _request(self, prompt: Prompt, seed: int | None, form: int, deadline: float) -> _Reply:
        """One request on the wire. Raises ``ModelFailure`` and ``_UnsupportedFormatError``; never outlives ``deadline``."""
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise ModelFailure("timeout", "no time was left to ask")
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
                    extra_body=self._options(seed, form, prompt.bounds),
                    timeout=timeout,
                )
        except TimeoutError:
            raise _late(self.settings) from None
        except openai.APITimeoutError as error:
            if isinstance(error.__cause__, httpx2.ConnectTimeout):
                raise ModelFailure("unreachable", f"no connection within {self.settings.connect_seconds:g} s") from None
            raise _late(self.settings) from None
        except openai.APIConnectionError:
            raise ModelFailure("unreachable", "the connection could not be made or broke before the answer was whole") from None
        except openai.APIStatusError as error:
            if form + 1 < len(FORMATS) and is_about_format(error.status_code, error.response.text):
                raise _UnsupportedFormatError from None
            raise _sorted(error) from None
        except openai.OpenAIError as error:
            raise ModelFailure("garbled", f"the answer could not be read ({type(error).__name__})") from None
        try:
            return msgspec.json.decode(response.content, type=_Reply)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ModelFailure("garbled", "the server answered 200 with something that is no chat completion") from None

    def _options(self, seed: int | None, form: int, bounds: Bounds | None) -> dict[str, Any]:
        options: dict[str, Any] = {self.settings.output_limit_field: self.settings.max_output_tokens}
        if self.settings.temperature is not None:
            options["temperature"] = self.settings.temperature
        if seed is not None:
            options["seed"] = seed
        shape = response_format(FORMATS[form], self.settings.longest_text, bounds)
        if shape is not None:
            options["response_format"] = shape
        return options

    def _step_down(self, refused: int) -> None:
        """Never ask for a refused format again. Calls that were in flight together all come here; one of them moves it."""
        if self._form == refused:
            self._form += 1
            _log.warning("The model server does not support %s output; asking for %s from now on.", FORMATS[refused], self.form)

    def _wait(self, failure: ModelFailure, retries: int) -> float:
        """Seconds before the next attempt: what the server said, else between a half and the whole of a doubling time."""
        if failure.retry_after is not None:
            return failure.retry_after
        whole = min(_LONGEST_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2.0 ** (retries - 1))
        return whole * (0.5 + 0.5 * self._jitter())


class _UnsupportedFormatError(Exception):
    """The server cannot answer in the format that was asked for."""


def retry_after_seconds(headers: httpx2.Headers, now: datetime) -> float | None:
    """Seconds from ``now`` (aware) until the server wants to be asked again; None where it said nothing readable.

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
    usage = reply.usage or _Usage()
    tokens_in, tokens_out = max(0, usage.prompt_tokens or 0), max(0, usage.completion_tokens or 0)
    if not reply.choices:
        raise ModelFailure("no_content", "the answer holds no choice", input_tokens=tokens_in, output_tokens=tokens_out)
    choice = reply.choices[0]
    if choice.finish_reason == "length":
        raise ModelFailure("truncated", "the answer hit the limit on output tokens", input_tokens=tokens_in, output_tokens=tokens_out)
    if choice.finish_reason == "content_filter" or choice.message.refusal:
        raise ModelFailure("refused", "the model declined, or a filter did", input_tokens=tokens_in, output_tokens=tokens_out)
    if not (choice.message.content or "").strip():
        raise ModelFailure("no_content", "the answer is empty", input_tokens=tokens_in, output_tokens=tokens_out)
    return choice.message.content or ""


def _sorted(error: openai.APIStatusError) -> ModelFailure:
    """Give a status a reason. The server's own words stay out: they may quote the prompt. Its error code is a word, and goes in."""
    status = error.status_code
    code = error.code if isinstance(error.code, str) and _CODE.fullmatch(error.code) else ""
    detail = f"the server answered {status}" + (f" ({code})" if code else "")
    wait = retry_after_seconds(error.response.headers, datetime.now(UTC))
    usage = _Usage()
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        usage = msgspec.json.decode(error.response.content, type=_Billed).usage or usage
    tokens_in, tokens_out = max(0, usage.prompt_tokens or 0), max(0, usage.completion_tokens or 0)
    if status == 429:
        return ModelFailure("rate_limited", detail, wait, input_tokens=tokens_in, output_tokens=tokens_out)
    if status >= 500 or status in _PASSING:
        return ModelFailure("server_error", detail, wait, input_tokens=tokens_in, output_tokens=tokens_out)
    if status in _DENIED:
        return ModelFailure("denied", f"{detail}; check the address, the key and the name of the model")
    return ModelFailure("refused", detail, input_tokens=tokens_in, output_tokens=tokens_out)


def _late(settings: ModelSettings) -> ModelFailure:
    return ModelFailure("timeout", f"no whole answer within the {settings.timeout_seconds:g} s of a call")


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _keep_prompts_out_of_logs() -> None:
    """The SDK logs whole requests at debug, and the transport every address at info. Prompts may hold a person's own words."""
    for name, level in (("openai", logging.INFO), ("httpx2", logging.WARNING)):
        library = logging.getLogger(name)
        if library.level < level:
            library.setLevel(level)
