"""Answers wording requests: from the cache, from a call that is already running, or from the model. Fills the slots for the one reader.

The order: expiry and catalog → input guardrails → cache → review queue, where all texts of the language are reviewed → running calls →
breaker, budget, rate limit → the model → output guardrails → cache or review queue → slots. Every failure ends in an ``Answer`` with a
reason code. The template stays in Redis until a better text replaces it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from llm.answer import Answer, Completion, Exchange, Prompt, Usage
from llm.cache.answer_cache import AnswerCache, CachedText, text_hash, user_digest
from llm.called_model import CalledModel
from llm.catalog_wording import CatalogWording
from llm.client.failures import ModelFailure
from llm.client.prices import Prices, estimate_tokens
from llm.deletions import Deletions
from llm.guardrails.check_result import CheckResult
from llm.limits.cost_sharing import CostSharing, SharedCall
from llm.limits.daily_budget import Budget, Scope
from llm.limits.single_flight import CallEndedError, SingleFlight
from llm.prompts import render
from llm.review_queue import Put, ReviewEntry, ReviewQueue
from llm.trace_id import TRACE_ID
from state.catalog.by_tenant import ByTenant
from state.decision.wording_request import WordingRequest, cache_key
from state.records.recommendation import validation_hash
from state.times import day_of

_LOG: Final = logging.getLogger(__name__)

RATE_WAIT_SECONDS: Final = 2.0
"""The longest wait for a turn under the rate limit. Beyond it the queue only grows."""

REDIS_AT_ONCE: Final = 16
"""Requests to Redis at once. In a burst of a thousand, the last ones would else wait longer than a request to Redis may take."""


class Preview(msgspec.Struct, frozen=True, gc=False):
    """One call for a person who wants to look at it. ``prompt`` is None where the input guardrails refused the request.

    ``unfilled`` is the accepted text with its slots; ``refused`` is the text that a check refused, empty where it looks private. ``waits``:
    the job would let that text wait for a review.
    ``advice`` says what to check where the call failed; ``changes`` how requests are worded differently since the server refused something.
    """

    answer: Answer
    prompt: Prompt | None = None
    unfilled: str = ""
    confidence: float = 0.0
    refused: str = ""
    waits: bool = False
    advice: str = ""
    changes: tuple[str, ...] = ()


@dataclass(kw_only=True, eq=False)
class WordingService:
    """Answers any number of requests at a time, on one event loop. The caller limits how many.

    ``shared_model`` words the texts that are shared, where it is another one than ``model``. ``keeps_calls``: answers carry what was sent
    and how it ended (``Exchange``).
    """

    catalogs: ByTenant[CatalogWording | None]
    """None for a tenant whose catalog allows no texts by a model: a request from before a restart may still come."""
    model: CalledModel
    budget: Budget
    cache: AnswerCache
    review_queue: ReviewQueue
    shared_model: CalledModel | None = None
    keeps_calls: bool = False
    clock: Callable[[], float] = time.time
    live: bool = False
    """Whether log time is the time of ``clock``, as it is not for a file or a simulation: requests that have expired then end at once."""
    on_answer: Callable[[WordingRequest, Answer, int, int], None] | None = None
    """Called after each request, with its beginning and end in nanoseconds since 1970. It must not block."""
    counts: Counter[str] = field(default_factory=Counter, init=False)
    """How requests ended: by source where they were answered (``call``, ``cache``, ``coalesced``), else by reason code."""

    def __post_init__(self) -> None:
        self._calls: SingleFlight[Answer] = SingleFlight()
        self._costs = CostSharing()
        self._redis = asyncio.Semaphore(REDIS_AT_ONCE)
        self._deletions = Deletions(self._remove)

    @property
    def models(self) -> tuple[CalledModel, ...]:
        """Every model that may be called."""
        return (self.model,) if self.shared_model is None else (self.model, self.shared_model)

    @property
    def shared_model_name(self) -> str:
        """What ``cache_key`` takes as ``shared_model``."""
        return "" if self.shared_model is None else self.shared_model.name

    async def answer(self, request: WordingRequest) -> Answer:
        """Return a better text for ``request``, or the reason why there is none. Never raises. Cancel it when the answer is not needed."""
        began = time.monotonic()
        began_ns = time.time_ns()
        TRACE_ID.set(request.record.trace_id or "")
        try:
            answer = await self._answer(request)
        except CallEndedError:
            answer = msgspec.structs.replace(self.cancel(request) or Answer(), reason="cancelled")
        except Exception as error:  # noqa: BLE001 - whatever it is, the template stays and the flow goes on
            _LOG.error("a wording request failed (%s); the template stays", type(error).__name__)
            answer = msgspec.structs.replace(self.cancel(request) or Answer(), reason="internal")
        self.counts[answer.reason or answer.source] += 1
        if self.on_answer is not None:
            self.on_answer(request, answer, began_ns, time.time_ns())
        if answer.source != "call":
            took = round((time.monotonic() - began) * 1000)
            answer = msgspec.structs.replace(answer, usage=msgspec.structs.replace(answer.usage, latency_ms=took))
        return answer

    def cancel(self, request: WordingRequest) -> Answer | None:
        """Return the cost to record for a request that is about to be cancelled; None where nothing was sent. From any thread.

        The answer has no reason. Its usage is zero where the call goes on for other requests: one of them is charged.
        """
        return self._costs.cancel(request)

    async def forget(self, tenant: str, user: str) -> None:
        """Remove the texts written for a deleted person alone, now and when a call that runs for them ends. Never raises.

        Where Redis does not answer, this is tried again until it does, or until ``close``.
        """
        await self._deletions.forget(tenant, user)

    async def close(self) -> None:
        """Cancel the running calls, try once more to remove the texts of deleted people, and close the connections to the models."""
        await self._calls.close()
        await self._deletions.close()
        for model in self.models:
            await model.client.close()

    async def preview(self, request: WordingRequest) -> Preview:
        """Call the model and check its answer, without cache, budget and review queue. Writes nothing."""
        catalog = self.catalogs.find(request.record.tenant_id)
        if catalog is None:
            return Preview(Answer(reason="no_wording"))
        screened = catalog.input_guardrails.screen(request)
        if screened.reason:
            return Preview(Answer(reason=screened.reason, checks=screened.checks))
        prompt = render(catalog.prompts[request.prompt], catalog.plan, request, screened.traits, screened.notes)
        model = self._model_for(request)
        try:
            completion = await model.ask(prompt)
        except ModelFailure as failure:
            answer = Answer(reason=failure.reason, usage=failure.usage)
            return Preview(answer, prompt, advice=failure.advice, changes=tuple(model.client.changes))
        answer, waits_for_review = self._check(catalog, request, completion)
        changes = tuple(model.client.changes)
        if answer.reason:
            refused = catalog.output_guardrails.presentable(completion.text)
            return Preview(answer, prompt, refused=refused, waits=bool(waits_for_review), changes=changes)
        return Preview(self._fill(catalog, request, answer, "call", ()), prompt, answer.text, answer.confidence, changes=changes)

    async def _remove(self, tenant: str, user: str) -> bool:
        removed = [await self.cache.forget(tenant, user), await self.review_queue.forget(tenant, user)]
        return all(removed)

    def _model_for(self, request: WordingRequest) -> CalledModel:
        return self.model if request.personal or self.shared_model is None else self.shared_model

    async def _answer(self, request: WordingRequest) -> Answer:
        record = request.record
        catalog = self.catalogs.find(record.tenant_id)
        if catalog is None:
            return Answer(reason="no_wording")
        if self.live and request.expires <= self.clock() * 1000:
            return Answer(reason="expired")
        if request.catalog != catalog.plan.version or request.prompt not in catalog.prompts:
            return Answer(reason="catalog_changed")
        screened = catalog.input_guardrails.screen(request)
        if screened.reason:
            return Answer(reason=screened.reason, checks=screened.checks)
        reviewed = catalog.needs_approval(request)
        if reviewed and request.personal:  # from before its language was reviewed: ``consider`` requests shared texts only
            return Answer(reason="needs_approval")
        key = cache_key(request, self.shared_model_name)
        owner = record.user_id if request.personal else ""
        async with self._redis:
            cached = await self.cache.get(record.tenant_id, key, user=owner, approved_only=reviewed)
        if cached is not None:
            answer = Answer(text=cached.text, confidence=cached.confidence, usage=Usage(model=cached.model))
            return self._fill(catalog, request, answer, "cache", ())
        if self.cache.blocked(key):
            return Answer(reason="blocked")
        if reviewed:
            async with self._redis:
                if await self.review_queue.holds(record.tenant_id, key):
                    return Answer(reason="approval_pending")
        prompt = render(catalog.prompts[request.prompt], catalog.plan, request, screened.traits, screened.notes)
        name = f"{record.tenant_id}|{key}"
        waiter = self._costs.join(name, request, running=self._calls.is_running(name))
        if (task := asyncio.current_task()) is not None:  # until the task has ended: a cancel that arrives now still finds the cost
            task.add_done_callback(lambda _: self._costs.leave(request, waiter))
        answer = await self._calls.share(name, lambda: self._call(catalog, request, key, owner, prompt, waiter.call))
        if self._costs.is_charged(waiter):
            return self._fill(catalog, request, answer, "call", screened.checks)
        answer = msgspec.structs.replace(answer, usage=Usage(model=answer.usage.model), exchange=None)
        return self._fill(catalog, request, answer, "coalesced", screened.checks)

    def _fill(
        self, catalog: CatalogWording, request: WordingRequest, answer: Answer, source: str, before: tuple[CheckResult, ...]
    ) -> Answer:
        """Fill the slots of ``answer`` for the person of ``request``. ``before`` are the checks that were made earlier."""
        checks = (*before, *answer.checks)
        if answer.reason:
            return msgspec.structs.replace(answer, text="", source=source, checks=checks)
        filled = catalog.output_guardrails.fill(answer.text, request)
        checks = (*checks, *filled.checks)
        if not filled.ok:
            return _judged(msgspec.structs.replace(answer, reason=filled.reason, text="", source=source, checks=checks))
        record = request.record
        return msgspec.structs.replace(
            answer,
            text=filled.text,
            source=source,
            checks=checks,
            unfilled_hash=text_hash(answer.text),
            validation_hash=validation_hash(filled.text, record.ui_component, record.deep_link),
        )

    async def _call(
        self, catalog: CatalogWording, request: WordingRequest, key: str, owner: str, prompt: Prompt, call: SharedCall
    ) -> Answer:
        """Call the model and check its answer; keep the text where it is good. The slots stay unfilled."""
        tenant = request.record.tenant_id
        try:
            completion = await self._complete(request, prompt, call)
        except ModelFailure as failure:
            charged = failure.reason == "timeout" and failure.usage.attempts > 0 and call.usage is not None
            usage = _at_least(failure.usage, call.usage, self._model_for(request).client.prices) if charged else failure.usage
            return _judged(Answer(reason=failure.reason, usage=usage, exchange=call.exchange))
        answer, waits_for_review = self._check(catalog, request, completion)
        if call.exchange is not None:
            answered = msgspec.structs.replace(call.exchange, answer=completion.text)
            answer = _judged(msgspec.structs.replace(answer, exchange=answered))
            call.exchange = answer.exchange  # a request that is cancelled from here on has had its answer
        async with self._redis:
            answer = _judged(await self._keep(request, answer, waits_for_review, key, owner))
        if owner and self._deletions.include(tenant, owner):  # deleted while the call ran
            await self._deletions.remove(tenant, owner)
        return answer

    def _check(self, catalog: CatalogWording, request: WordingRequest, completion: Completion) -> tuple[Answer, str]:
        """The answer that the output guardrails allow, slots unfilled. Second the text for review, where nothing else is against it."""
        checked = catalog.output_guardrails.check(completion.text, request)
        answer = Answer(
            reason=checked.reason,
            text=checked.text if checked.ok else "",
            confidence=checked.confidence,
            usage=completion.usage,
            checks=checked.checks,
        )
        return answer, "" if checked.ok else checked.text

    async def _keep(self, request: WordingRequest, answer: Answer, waits_for_review: str, key: str, owner: str) -> Answer:
        """Cache a good text, unless a person rejected it before; queue a text that waits for a review."""
        record, tenant, now_ms = request.record, request.record.tenant_id, round(self.clock() * 1000)
        if not answer.reason and await self.review_queue.was_rejected(tenant, text_hash(answer.text)):
            answer = msgspec.structs.replace(answer, reason="rejected_by_person", text="")
        if not answer.reason:
            cached = CachedText(
                text=answer.text,
                confidence=answer.confidence,
                model=answer.usage.model,
                prompt_version=request.prompt,
                unfilled_hash=text_hash(answer.text),
                created_ms=now_ms,
            )
            await self.cache.put(tenant, key, cached, user=owner)
            return answer
        put: Put = "away"
        if waits_for_review:
            entry = ReviewEntry(
                key=key,
                scope="personal" if owner else "shared",
                text=waits_for_review,
                confidence=answer.confidence,
                prompt_version=request.prompt,
                step=record.step_id,
                trigger=record.trigger,
                arm=record.arm,
                model=answer.usage.model,
                created_ms=now_ms,
                reason=answer.reason,
                owner=user_digest(tenant, owner) if owner else "",
                catalog=request.catalog,
                language=request.locale,
            )
            put = await self.review_queue.put(tenant, entry)
        if answer.reason == "needs_approval":
            if put in {"queued", "known"}:  # no check has failed, and the queue holds the place
                return answer
            if put == "rejected":
                answer = msgspec.structs.replace(answer, reason="rejected_by_person", checks=answer.checks[:-1])
        self.cache.rejected(key)
        return answer

    async def _complete(self, request: WordingRequest, prompt: Prompt, call: SharedCall) -> Completion:
        """Call the model, once the budget and the rate limit allow it. Raises ``ModelFailure``."""
        loop, model = asyncio.get_running_loop(), self._model_for(request)
        breaker, client = model.breaker, model.client
        if breaker.state == "open" and breaker.seconds_until_trial(loop.time()) > 0:
            raise ModelFailure("breaker_open", "too many of the last calls failed")
        scope: Scope = "personal" if request.personal else "shared"
        sent, most = estimate_tokens(prompt.system + prompt.user), client.settings.max_output_tokens
        # Before the rate limit, which all tenants share: who may spend nothing more takes no turn of theirs.
        async with self._redis:
            reserved = await self.budget.reserve(
                request.record.tenant_id,
                scope,
                tokens=sent + most,
                micros=client.prices.micros(sent, most),
                day=day_of(int(self.clock() * 1000)),
            )
        if isinstance(reserved, ModelFailure):
            raise reserved
        if reserved.alert:
            _LOG.warning("%s", reserved.alert)
        spent = Usage()
        try:
            wait = model.rate_limit.reserve(loop.time(), RATE_WAIT_SECONDS)
            if wait is None:
                raise ModelFailure("over_rate", "more calls than the rate limit allows")
            await asyncio.sleep(wait)
            if not breaker.allow(loop.time()):
                raise ModelFailure("breaker_open", "too many of the last calls failed")
            estimate = Usage(input_tokens=sent, output_tokens=most, cost_micros=reserved.micros, attempts=1)
            call.sent(estimate, Exchange(prompt, model.name, round(self.clock() * 1000)) if self.keeps_calls else None)
            spent = estimate  # where the call is cancelled the server may go on, and bill it
            completion = await model.ask_through_breaker(prompt)
            spent = call.usage = completion.usage
        except ModelFailure as failure:
            if failure.reason == "timeout":  # likewise
                spent = _at_least(failure.usage, spent, client.prices)
            else:
                spent = failure.usage
                if call.usage is not None:
                    call.usage = failure.usage
            raise
        finally:
            async with self._redis:
                alert = await self.budget.settle(reserved, tokens=spent.input_tokens + spent.output_tokens, micros=spent.cost_micros)
            if alert:
                _LOG.warning("%s", alert)
        return completion


def _at_least(usage: Usage, estimate: Usage | None, prices: Prices) -> Usage:
    """``usage``, but no less than what the budget reserved: after a timeout the server may go on, and bill it."""
    if estimate is None:
        return usage
    sent, received = max(usage.input_tokens, estimate.input_tokens), max(usage.output_tokens, estimate.output_tokens)
    cost = prices.micros(sent, received)
    return msgspec.structs.replace(usage, input_tokens=sent, output_tokens=received, cost_micros=cost, estimated=True)


def _judged(answer: Answer) -> Answer:
    """``answer`` with its verdict in what is kept of the call."""
    if answer.exchange is None:
        return answer
    refused_by = next((check.check for check in answer.checks if check.reason), "")
    exchange = msgspec.structs.replace(answer.exchange, reason=answer.reason, refused_by=refused_by)
    return msgspec.structs.replace(answer, exchange=exchange)
