"""Answers wishes: from the cache, from a call that is under way, or from the model; judged, and filled for the one person who will read it.

The order of a wish: admission (what may be told) → cache → calls in flight → breaker, rate, budget, a place → the model → the checks →
cache or review → slots. Whatever goes wrong ends in an ``Answer`` with a reason code; the template stands in Redis all the while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from llm.answer import Answer, Completion, Prompt
from llm.bills import Bill, Bills, Spent
from llm.breaker import Breaker
from llm.budget import Budget, Scope, day_of
from llm.cache import AnswerCache, Cached, text_hash, user_digest
from llm.causes import CauseLog
from llm.client import ModelClient
from llm.coalesce import CallEndedError, Flights
from llm.failures import ModelFailure
from llm.guardrails import Guardrails
from llm.intake import Intake
from llm.prices import Prices, estimate_tokens
from llm.prompts import PromptTemplate, render
from llm.proposal import Verdict
from llm.rate import TokenBucket
from llm.review import ReviewEntry, ReviewQueue
from llm.semaphore import Semaphore
from state.catalog.plan import Plan
from state.decision.wording_request import Wish, cache_key

_LOG = logging.getLogger(__name__)

RATE_WAIT_SECONDS = 2.0
"""The longest wait for a token: nobody waits for the text, but a queue that only grows would."""

_FORGOTTEN_KEPT = 10_000
"""Deleted people who are remembered until the calls that were in flight for them have ended."""


AT_ONCE = 16
"""Requests to Redis at once: of a burst of a thousand wishes, the last would wait for longer than Redis is given to answer."""

PLACE_WAIT_SECONDS = 4.0
"""The longest wait for a place among the calls in flight of all processes. The call has its own time after it."""


class Made(msgspec.Struct, frozen=True, gc=False):
    """What a call came to, before slots are filled: a text that passed every check, or a reason. The rest is as in ``Answer``."""

    reason: str = ""
    text: str = ""
    confidence: float = 0.0
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micros: int = 0
    latency_ms: int = 0
    attempts: int = 0
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True)
class Parts:
    """What answering needs, each a small thing of its own. All are used from one event loop."""

    plan: Plan
    prompts: Mapping[str, PromptTemplate]
    intake: Intake
    guardrails: Guardrails
    client: ModelClient
    breaker: Breaker
    bucket: TokenBucket
    places: Semaphore
    budget: Budget
    prices: Prices
    cache: AnswerCache
    review: ReviewQueue
    clock: Callable[[], float] = time.time


class Wordsmith:
    """Answers wishes, any number at a time, on one event loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._flights: Flights[Made] = Flights()
        self._bills = Bills()
        self._turn = asyncio.Lock()
        self._causes = CauseLog(parts.client.settings.base_url)
        self._redis = asyncio.Semaphore(AT_ONCE)
        self._forgotten: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.counts: Counter[str] = Counter()
        """How wishes ended: by source where they were answered (``call``, ``cache``, ``coalesced``), else by reason code."""

    async def answer(self, wish: Wish) -> Answer:
        """Return better words for ``wish``, or why there are none. Never raises; cancel it when nobody needs the answer any more."""
        began = time.monotonic()
        try:
            answer = await self._answer(wish)
        except CallEndedError:
            answer = msgspec.structs.replace(self.give_up(wish) or Answer(), reason="cancelled")
        except Exception as error:  # noqa: BLE001 - whatever it is, the template stays and the flow goes on
            _LOG.error("a wish could not be answered (%s); the template stays", type(error).__name__)
            answer = msgspec.structs.replace(self.give_up(wish) or Answer(), reason="internal")
        self.counts[answer.reason or answer.source] += 1
        if answer.source != "call":
            answer = msgspec.structs.replace(answer, latency_ms=round((time.monotonic() - began) * 1000))
        return answer

    def give_up(self, wish: Wish) -> Answer | None:
        """What a wish that is about to be cancelled has cost or may cost, without a reason; None where nothing was sent. From any thread.

        A call that goes on for other wishes is paid by one of them.
        """
        return self._bills.give_up(wish)

    async def forget(self, tenant: str, user: str) -> None:
        """Remove what was written for a deleted person alone, now and when a call in flight for them ends. Never raises."""
        self._forgotten[tenant, user] = None
        self._forgotten.move_to_end((tenant, user))
        if len(self._forgotten) > _FORGOTTEN_KEPT:
            self._forgotten.popitem(last=False)
        await self._remove(tenant, user)

    async def _remove(self, tenant: str, user: str) -> None:
        forgotten = [await self._parts.cache.forget(tenant, user), await self._parts.review.forget(tenant, user)]
        if not all(forgotten):
            _LOG.warning("texts of a deleted person could not be removed from Redis now; they expire within a day")

    async def close(self) -> None:
        """End the calls in flight and close the connection to the model."""
        await self._flights.close()
        await self._parts.client.close()

    async def preview(self, wish: Wish) -> tuple[Prompt | None, Made, str]:
        """Ask the model and judge what it says, past cache, budget and review, writing nothing: for a person who wants to look.

        Last comes the text that was refused, unescaped and for that person's eyes alone; empty where none was, or where it holds what looks
        like a secret or like personal data.
        """
        admitted = self._parts.intake.admit(wish)
        if failed := next((verdict for verdict in admitted.verdicts if not verdict.ok), None):
            return None, Made(reason=failed.reason, verdicts=admitted.verdicts), ""
        prompt = render(self._parts.prompts[wish.prompt], self._parts.plan, wish, admitted.told, admitted.notes)
        try:
            completion = await self._parts.client.complete(prompt)
        except ModelFailure as failure:
            return prompt, _failed(failure, self._parts.prices), ""
        made, _ = self._judge(wish, completion)
        return prompt, made, self._parts.guardrails.presentable(completion.text) if made.reason else ""

    async def _answer(self, wish: Wish) -> Answer:
        parts, record = self._parts, wish.record
        admitted = parts.intake.admit(wish)
        if failed := next((verdict for verdict in admitted.verdicts if not verdict.ok), None):
            return Answer(reason=failed.reason, verdicts=admitted.verdicts)
        key, owner = cache_key(wish), record.user_id if wish.personal else ""
        async with self._redis:
            known = await parts.cache.get(record.tenant_id, key, user=owner)
        if known is not None:
            return self._fill(wish, Made(text=known.text, confidence=known.confidence, model=known.model), "cache", ())
        if parts.cache.blocked(key):
            return Answer(reason="blocked")
        prompt = render(parts.prompts[wish.prompt], parts.plan, wish, admitted.told, admitted.notes)
        flight = f"{record.tenant_id}|{key}"
        seat = self._bills.join(flight, wish, flying=self._flights.flying(flight))
        if (task := asyncio.current_task()) is not None:  # kept until whoever waits has the answer, or it would be lost in between
            task.add_done_callback(lambda _: self._bills.leave(wish, seat))
        made, _ = await self._flights.share(flight, lambda: self._make(wish, key, owner, prompt, seat.bill))
        shared = not self._bills.pays(seat)
        if shared:  # another wish's row has what the call cost
            made = Made(made.reason, made.text, made.confidence, made.model, verdicts=made.verdicts)
        return self._fill(wish, made, "coalesced" if shared else "call", admitted.verdicts)

    def _fill(self, wish: Wish, made: Made, source: str, admitted: tuple[Verdict, ...]) -> Answer:
        answer = Answer(
            made.reason, "", made.confidence, source, made.model, made.input_tokens, made.output_tokens, made.cost_micros, made.latency_ms,
            made.attempts, (*admitted, *made.verdicts),
        )  # fmt: skip
        if made.reason:
            return answer
        filled = self._parts.guardrails.fill(made.text, wish)
        verdicts = (*answer.verdicts, *filled.verdicts)
        if not filled.ok:
            return msgspec.structs.replace(answer, reason=filled.verdicts[-1].reason, verdicts=verdicts)
        return msgspec.structs.replace(
            answer, text=filled.text, verdicts=verdicts, unfilled_hash=text_hash(made.text), validation_hash=filled.hash
        )

    async def _make(self, wish: Wish, key: str, owner: str, prompt: Prompt, bill: Bill) -> Made:
        """Ask the model and judge what it says; remember it where it is good."""
        parts, tenant = self._parts, wish.record.tenant_id
        try:
            completion = await self._call(wish, prompt, bill)
        except ModelFailure as failure:
            return _failed(failure, parts.prices, bill.spent if failure.reason == "timeout" else None)
        made, review = self._judge(wish, completion)
        async with self._redis:
            made = await self._keep(wish, made, review, key, owner)
        if owner and (tenant, owner) in self._forgotten:  # meanwhile
            await self._remove(tenant, owner)
        return made

    async def _keep(self, wish: Wish, made: Made, review: Callable[[str], ReviewEntry] | None, key: str, owner: str) -> Made:
        """Remember what is good, unless a person threw it out before; let wait what a person may look at."""
        parts, tenant = self._parts, wish.record.tenant_id
        if not made.reason and await parts.review.was_rejected(tenant, text_hash(made.text)):
            made = msgspec.structs.replace(made, reason="rejected_by_person", text="")
        if not made.reason:
            cached = Cached(
                made.text, made.confidence, made.model, wish.prompt, text_hash(made.text), round(parts.clock() * 1000), made.input_tokens,
                made.output_tokens,
            )  # fmt: skip
            await parts.cache.put(tenant, key, cached, user=owner)
        else:
            parts.cache.rejected(key)
            if review is not None:
                await parts.review.put(tenant, review(key))
        return made

    async def _call(self, wish: Wish, prompt: Prompt, bill: Bill) -> Completion:
        """One call, once there is a token, money and a place for it. Raises ``ModelFailure``."""
        parts, breaker, loop = self._parts, self._parts.breaker, asyncio.get_running_loop()
        if breaker.state == "open" and breaker.seconds_until_trial(loop.time()) > 0:
            raise ModelFailure("breaker_open", "the model failed too often of late")
        await self._token()
        scope: Scope = "personal" if wish.personal else "shared"
        sent = estimate_tokens(prompt.system + prompt.user)
        most = parts.client.settings.max_output_tokens
        async with self._redis:
            reserved = await parts.budget.reserve(
                wish.record.tenant_id, scope, sent + most, parts.prices.micros(sent, most), day_of(parts.clock())
            )
        if isinstance(reserved, ModelFailure):
            raise reserved
        if reserved.alert:
            _LOG.warning("%s", reserved.alert)
        tokens = micros = 0
        asked = False
        lease = None
        try:
            lease = await parts.places.acquire(loop.time() + PLACE_WAIT_SECONDS)
            if lease is None:
                raise ModelFailure("busy", "no place among the calls in flight came free in time")
            asked = True
            bill.spent = Spent(sent, most, reserved.micros, 1, loop.time())
            completion = await self._guarded(prompt, breaker)
            tokens = completion.input_tokens + completion.output_tokens
            micros = parts.prices.micros(completion.input_tokens, completion.output_tokens)
            bill.spent = Spent(completion.input_tokens, completion.output_tokens, micros, completion.attempts, bill.spent.since)
        except ModelFailure as failure:
            tokens = failure.input_tokens + failure.output_tokens
            micros = parts.prices.micros(failure.input_tokens, failure.output_tokens)
            if failure.reason == "timeout":  # the server may go on, and bill it
                tokens, micros = max(tokens, reserved.tokens), max(micros, reserved.micros)
            elif asked:
                since = bill.spent.since if bill.spent is not None else loop.time()
                bill.spent = Spent(failure.input_tokens, failure.output_tokens, micros, failure.attempts, since)
            raise
        except asyncio.CancelledError:
            if asked:  # likewise
                tokens, micros = reserved.tokens, reserved.micros
            raise
        finally:
            async with self._redis:
                if lease is not None:
                    await parts.places.release(lease)
                if alert := await parts.budget.settle(reserved, tokens, micros):
                    _LOG.warning("%s", alert)
        return completion

    async def _token(self) -> None:
        """Wait for a token of the rate, each in turn. Raises ``ModelFailure`` where it would take too long."""
        bucket, loop = self._parts.bucket, asyncio.get_running_loop()
        until = loop.time() + RATE_WAIT_SECONDS
        try:
            async with asyncio.timeout_at(until), self._turn:
                while (wait := bucket.take(loop.time())) > 0:
                    if loop.time() + wait > until:
                        break
                    await asyncio.sleep(wait)
                else:
                    return
        except TimeoutError:
            pass
        raise ModelFailure("over_rate", "more calls than the rate allows")

    async def _guarded(self, prompt: Prompt, breaker: Breaker) -> Completion:
        """The request itself, under the breaker's eyes. Raises ``ModelFailure``."""
        loop = asyncio.get_running_loop()
        if not breaker.allow(loop.time()):
            raise ModelFailure("breaker_open", "the model failed too often of late")
        try:
            completion = await self._parts.client.complete(prompt)
        except ModelFailure as failure:
            self._causes.tell(failure, loop.time())
            (breaker.failed if failure.server_at_fault else breaker.succeeded)(loop.time())
            raise
        except BaseException:
            breaker.abandoned(loop.time())
            raise
        else:
            breaker.succeeded(loop.time())
        finally:
            for change in breaker.take_changes():
                _LOG.warning("calls of the model: breaker %s, was %s (%s)", change.after, change.before, change.why)
        return completion

    def _judge(self, wish: Wish, completion: Completion) -> tuple[Made, Callable[[str], ReviewEntry] | None]:
        """What the checks say; with the entry for the review queue where only the model's confidence was too low."""
        judged = self._parts.guardrails.judge(completion.text, wish)
        reason = "" if judged.ok else judged.verdicts[-1].reason
        made = Made(
            reason, judged.text if judged.ok else "", judged.confidence, completion.model, completion.input_tokens,
            completion.output_tokens, self._parts.prices.micros(completion.input_tokens, completion.output_tokens),
            completion.latency_ms, completion.attempts, judged.verdicts,
        )  # fmt: skip
        if not judged.review:
            return made, None
        record = wish.record

        def entry(key: str) -> ReviewEntry:
            return ReviewEntry(
                key=key, scope="personal" if wish.personal else "shared", text=judged.text, confidence=judged.confidence,
                prompt_version=wish.prompt, step=record.step_id, trigger=record.trigger, arm=record.arm, model=completion.model,
                created_ms=round(self._parts.clock() * 1000), reason=reason, input_tokens=completion.input_tokens,
                output_tokens=completion.output_tokens, owner=user_digest(record.tenant_id, record.user_id) if wish.personal else "",
            )  # fmt: skip

        return made, entry


def _failed(failure: ModelFailure, prices: Prices, reserved: Spent | None = None) -> Made:
    """``reserved``: what the budget keeps for it, where the server may bill more than it said."""
    sent, received = failure.input_tokens, failure.output_tokens
    if reserved is not None and failure.attempts > 0:
        sent, received = max(sent, reserved.input_tokens), max(received, reserved.output_tokens)
    return Made(
        reason=failure.reason,
        input_tokens=sent,
        output_tokens=received,
        cost_micros=prices.micros(sent, received),
        latency_ms=failure.latency_ms,
        attempts=failure.attempts,
    )
