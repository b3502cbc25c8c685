"""The client of the model: one chat completion a call, from any server that speaks OpenAI's protocol.

This module sends requests and retries them, within one deadline for the whole call. ``reply.py`` reads the bodies, ``error_table.py`` says
what an error means, ``dialect.py`` how requests are worded. What the model wrote is checked elsewhere.

OpenAI's SDK sends the requests, because the packages of the project are fixed. Its part is small: servers that are only compatible need
other fields (``extra_body``), other retries (``max_retries=0``) and other reading of bodies (``with_raw_response``). So the client below it
(``raw_client.py``) decides what leaves this machine and how bodies are read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from socket import gaierror
from typing import Annotated, Final

import httpx2
import msgspec
import openai
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from llm.answer import Completion, Prompt, Usage
from llm.client.answer_parsing import is_one_object
from llm.client.dialect import Dialect, Downgrade, LimitField, without
from llm.client.error_table import ErrorReport, read_error
from llm.client.failures import ModelFailure, Reason
from llm.client.prices import Prices, estimate_tokens
from llm.client.raw_client import BrokenBodyError, RawClient, TooLargeError, content_type_of
from llm.client.reply import LARGEST_BODY, Reply, read_body, read_reply
from state.backoff import backoff_seconds

_log = logging.getLogger(__name__)

_BACKOFF_SECONDS: Final = 0.2
_LONGEST_BACKOFF_SECONDS: Final = 2.0
_ROUTE: Final = "/chat/completions"
_MASK: Final = "[key]"
"""Stands where a server repeats our key, which it has from the header. No check lets such a text pass."""


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
        LimitField,
        Field(description="The field for that limit. Nearly all servers know max_tokens; OpenAI's reasoning models need the other."),
    ] = "max_tokens"

    @field_validator("api_key")
    @classmethod
    def _fits_into_a_header(cls, key: SecretStr) -> SecretStr:
        if not key.get_secret_value().isascii() or not key.get_secret_value().isprintable() or " " in key.get_secret_value():
            raise ValueError("the key must be printable ASCII without spaces")
        return key


class ProxyError(Exception):
    """The environment names a proxy that cannot be used. The text is one sentence for the user."""

    def __init__(self) -> None:
        super().__init__("HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names a proxy that cannot be used: it must begin with http:// or https://.")


class ModelClient:
    """Calls one model. Use and ``close`` it on one event loop, from any number of tasks. Opens no connection before the first call.

    ``refusals`` counts, by what was refused, the requests after which the next ones were worded differently; ``changes`` says how.
    """

    def __init__(
        self,
        settings: ModelSettings,
        prices: Prices | None = None,
        *,
        jitter: Callable[[], float] = random.random,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """``jitter`` (0 to 1) is for the waits between attempts. ``transport`` replaces the network. Raises ``ProxyError``."""
        self.settings = settings
        self.prices = prices or Prices()
        self.refusals: Counter[str] = Counter()
        self.changes: list[str] = []
        self._jitter = jitter
        self._dialect = Dialect(limit=settings.output_limit_field, temperature=settings.temperature)
        self._told_of_estimates = False
        _keep_prompts_out_of_logs()
        key = settings.api_key.get_secret_value()
        try:
            http = RawClient(largest=LARGEST_BODY, anonymous=not key, transport=transport)
        except (ValueError, ImportError, httpx2.InvalidURL):
            raise ProxyError from None  # the original may quote the proxy's password
        self._sdk = openai.AsyncOpenAI(
            api_key=key or "none",  # the SDK insists on one; the client below does not send it
            base_url=settings.base_url.rstrip("/").removesuffix(_ROUTE),
            max_retries=0,
            http_client=http,
        )

    @property
    def form(self) -> str:
        """The output format of the next request: the strictest one that the server has not refused."""
        return self._dialect.format

    async def complete(self, prompt: Prompt) -> Completion:
        """Call the model and return what it wrote, within ``timeout_seconds``.

        The usage includes failed attempts. Tokens that the server must have billed and did not count are estimated. Safe to cancel.
        Raises only ``ModelFailure``, with the usage up to then.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        deadline = started + self.settings.timeout_seconds
        requests = retries = 0
        used = Usage()
        while True:
            dialect = self._dialect
            requests += 1
            outcome, billed = await self._request(prompt, dialect, deadline)
            used = _sum(used, billed)
            if isinstance(outcome, Downgrade):
                self._step_down(dialect, outcome)
                continue  # at once and without counting as a retry: the server is well, it was asked for the wrong thing
            if isinstance(outcome, Reply):
                return Completion(outcome.text, self._usage(outcome.model, used, loop.time() - started, requests))
            retries += 1
            wait = self._wait(outcome, retries)
            if retries >= self.settings.max_attempts or not outcome.retryable or loop.time() + wait >= deadline:
                outcome.usage = self._usage("", used, loop.time() - started, requests)
                raise outcome
            await asyncio.sleep(wait)

    async def close(self) -> None:
        """Close the connections. Calls in flight fail."""
        await self._sdk.close()

    def _usage(self, model: str, used: Usage, seconds: float, requests: int) -> Usage:
        if used.estimated and not self._told_of_estimates:
            self._told_of_estimates = True
            _log.warning("The model server does not count the tokens of every answer; where it does not, they are estimated.")
        cost = self.prices.micros(used.input_tokens, used.output_tokens)
        return msgspec.structs.replace(used, model=model, cost_micros=cost, latency_ms=round(seconds * 1000), attempts=requests)

    async def _request(self, prompt: Prompt, dialect: Dialect, deadline: float) -> tuple[Reply | Downgrade | ModelFailure, Usage]:
        """One HTTP request: the reply, the change after which it may succeed, or the failure; second the tokens that it used."""
        response = await self._send(prompt, dialect, deadline)
        if isinstance(response, ModelFailure):
            return response, response.usage
        value, text = read_body(response.content, content_type_of(response))
        reply = read_reply(value)
        if reply is None and response.status_code < 300:
            broken = value is None and text.startswith(("{", "data:"))  # a completion that was cut on its way
            detail = f"the server answered {response.status_code} with {_kind(text)}"
            return ModelFailure("garbled", detail), self._estimate(prompt, dialect) if broken else Usage()
        billed = self._billed(reply, prompt, dialect) if reply is not None else Usage()
        if reply is None or response.status_code >= 300 or (reply.error is not None and not (reply.text.strip() and reply.end == "whole")):
            report = read_error(response.status_code, reply.error or value if reply is not None else value, text)
            return without(dialect, report) or self._failure(report, response.headers), billed
        fault = _fault(reply)
        if fault is not None:
            return ModelFailure(*fault), billed
        text = reply.text if reply.text.strip() else reply.thoughts
        key, model = self.settings.api_key.get_secret_value(), reply.model or self.settings.model
        if key:
            text, model = text.replace(key, _MASK), model.replace(key, _MASK)
        return msgspec.structs.replace(reply, text=text, model=model), billed

    async def _send(self, prompt: Prompt, dialect: Dialect, deadline: float) -> httpx2.Response | ModelFailure:
        """One HTTP request, which never outlives ``deadline``. Errors of the connection are returned: they hold the request."""
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            return ModelFailure("timeout", "no time was left for a request")
        body = dialect.body(self.settings.model, prompt, self.settings.max_output_tokens, self.settings.longest_text)
        timeout = openai.Timeout(left, connect=min(left, self.settings.connect_seconds))
        model, messages = body.pop("model"), body.pop("messages")
        cause: BaseException | None
        try:
            async with asyncio.timeout_at(deadline):  # the transport's timeout is per read: a server that drips would never meet it
                # extra_body, because compatible servers take what the SDK's types do not know
                raw = await self._sdk.chat.completions.with_raw_response.create(
                    model=model, messages=messages, extra_body=body, timeout=timeout
                )
        except openai.APIStatusError as error:
            return error.response
        except TimeoutError:
            return self._too_late()
        except (openai.APIConnectionError, httpx2.HTTPError, httpx2.InvalidURL, OSError, RuntimeError) as error:
            cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
        else:
            return raw.http_response
        if isinstance(cause, httpx2.ConnectTimeout):
            return ModelFailure("unreachable", f"no connection within {self.settings.connect_seconds:g} s")
        if isinstance(cause, httpx2.TimeoutException):
            return self._too_late()
        begun = isinstance(cause, TooLargeError | BrokenBodyError) and cause.status == 200  # the model had begun to answer
        usage = self._estimate(prompt, dialect) if begun else Usage()
        if isinstance(cause, TooLargeError):
            return ModelFailure("garbled", f"the server sent more than {cause.most} bytes", usage=usage)
        detail, advice = _why_unreachable(cause)
        return ModelFailure("unreachable", detail, advice=advice, usage=usage)

    def _too_late(self) -> ModelFailure:
        return ModelFailure("timeout", f"no whole answer within the {self.settings.timeout_seconds:g} s of a call")

    def _estimate(self, prompt: Prompt, dialect: Dialect) -> Usage:
        """What a request used at most, where its answer is lost."""
        sent = estimate_tokens(dialect.question(prompt))
        return Usage(input_tokens=sent, output_tokens=self.settings.max_output_tokens, estimated=True)

    def _billed(self, reply: Reply, prompt: Prompt, dialect: Dialect) -> Usage:
        """The tokens that the server counted; estimated where a model wrote something and the count is missing or cannot be true."""
        sent, received, wrote = reply.sent, reply.received, reply.text or reply.thoughts
        estimated = False
        if reply.ran and not sent:
            sent, estimated = estimate_tokens(dialect.question(prompt)), True
        if reply.ran and not received and (wrote or reply.received is None):
            received = self.settings.max_output_tokens if reply.end in ("truncated", "cut") else estimate_tokens(wrote)
            estimated = True
        return Usage(input_tokens=sent or 0, output_tokens=received or 0, estimated=estimated)

    def _failure(self, report: ErrorReport, headers: httpx2.Headers) -> ModelFailure:
        """The failure for an error. The server's message stays out, because it may quote the prompt; its error code goes in."""
        fault = report.fault
        detail = f"the server answered {report.shown(self.settings.api_key.get_secret_value())}"
        return ModelFailure(fault.reason, detail, retry_after_seconds(headers, datetime.now(UTC)), advice=fault.advice)

    def _step_down(self, asked: Dialect, downgrade: Downgrade) -> None:
        """Word the next requests as the server takes them.

        Several running calls may be refused together; only the first one moves on, the others follow.
        """
        self.refusals[downgrade.refused] += 1
        if self._dialect == asked:
            self._dialect = downgrade.after
            self.changes.append(f"the model server does not take {downgrade.refused}: {downgrade.change}")
            _log.warning("The model server does not take %s; %s from now on.", downgrade.refused, downgrade.change)

    def _wait(self, failure: ModelFailure, retries: int) -> float:
        """Seconds before the next attempt, no less than the server says."""
        backoff = backoff_seconds(retries - 1, first=_BACKOFF_SECONDS, longest=_LONGEST_BACKOFF_SECONDS, jitter=self._jitter())
        return max(failure.retry_after or 0.0, backoff)


def retry_after_seconds(headers: httpx2.Headers, now: datetime) -> float | None:
    """Seconds from ``now`` (with its time zone) until the server accepts another request; None where it said nothing readable.

    Understands ``retry-after-ms``, and ``retry-after`` in seconds or as an HTTP date.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with contextlib.suppress(KeyError, ValueError):
            seconds = float(headers[name]) * unit
            if 0 <= seconds < float("inf"):
                return seconds
    with contextlib.suppress(KeyError, ValueError, TypeError, OverflowError, IndexError):
        moment = parsedate_to_datetime(headers["retry-after"])
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
    return None


def _sum(used: Usage, more: Usage) -> Usage:
    return Usage(
        input_tokens=used.input_tokens + more.input_tokens,
        output_tokens=used.output_tokens + more.output_tokens,
        estimated=used.estimated or more.estimated,
    )


def _fault(reply: Reply) -> tuple[Reason, str] | None:
    """Reason and detail where ``reply`` holds no text that is whole; else None.

    An object that is whole was not cut: some models fill the rest of the limit with blanks. Some servers put the answer where the thoughts
    belong; a whole object there is the answer.
    """
    found = reply.text if reply.text.strip() else reply.thoughts
    if reply.end == "garbled":
        return "garbled", "the answer has no message that can be read"
    if reply.end == "declined":
        return "declined", "the model declined, or a filter did"
    if reply.end == "failed":
        return "server_error", "the server says that the model failed"
    if reply.end == "cut":
        return "server_error", "the answer came as a stream that broke off"
    if reply.end == "truncated" and not is_one_object(found):
        return "truncated", "the answer hit the limit on output tokens"
    if reply.text.strip() or is_one_object(found):
        return None
    if not reply.ran:
        return "no_content", "the answer holds no choice"
    return "no_content", "the model wrote thoughts and no answer" if reply.thoughts else "the answer is empty"


def _kind(text: str) -> str:
    """What a body is that is no chat completion, for people."""
    if not text:
        return "nothing"
    return "a web page" if text.startswith("<") else "something that is no chat completion"


def _why_unreachable(error: BaseException | None) -> tuple[str, str]:
    """Detail and advice for an error of the transport, by the types of its causes."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                "its certificate is not trusted",
                "the certificate of the model server is not trusted: check it, or set SSL_CERT_FILE to its CA",
            )
        if isinstance(cause, ssl.SSLError):
            return "TLS failed", "no secure connection to the model server: check whether its address begins with http:// or https://"
        if isinstance(cause, gaierror):
            return "its host name has no address", "the host name of the model server is not known: check the address"
        if isinstance(cause, httpx2.ProxyError):
            return "the proxy failed", "the proxy between us and the model server failed: check HTTPS_PROXY and NO_PROXY"
    return "the connection could not be made or broke before the answer was whole", ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _keep_prompts_out_of_logs() -> None:
    """The SDK logs whole requests at debug, the transport every address at info and headers at debug."""
    for name, level in (("openai", logging.WARNING), ("httpx2", logging.WARNING), ("httpcore2", logging.INFO)):
        library = logging.getLogger(name)
        if library.level < level:
            library.setLevel(level)
