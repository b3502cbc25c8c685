"""Decides whether a model words a decision, and what its prompt may contain. Pure: the same decision gives the same request.

A *shared* request contains nothing of the person. Its prompt depends only on ``cache_key``, so one answer serves everyone with that key. A
*personal* request contains the person's own texts (``notes``), and its answer serves that person only. In a language whose texts a reviewer
approves first all requests are shared: for one person an approval would come too late.
"""

from __future__ import annotations

import hashlib

import msgspec

from state.catalog.model import WordingPolicy
from state.catalog.plan import Plan
from state.decision.messages import WordingContext
from state.event_fields import Scalar
from state.ids import uniform
from state.records.recommendation import Recommendation


class WordingRequest(msgspec.Struct, frozen=True, gc=False):
    """Everything that the prompt of one decision may contain, and the record whose text the answer may replace.

    ``traits`` holds only the traits that the slots need and those in the catalog's ``prompt_traits``. ``done`` are the completed steps.
    ``at`` and ``expires`` are log time.
    """

    record: Recommendation
    catalog: str
    prompt: str
    locale: str
    situation: str
    done: tuple[str, ...]
    traits: dict[str, Scalar]
    at: int
    expires: int
    notes: tuple[str, ...] = ()

    @property
    def personal(self) -> bool:
        """Whether the answer may serve only this person."""
        return bool(self.notes)


class WordingSkipped(msgspec.Struct, frozen=True, gc=False):
    """A decision that keeps its template without a model call, and the reason code."""

    record: Recommendation
    reason: str
    at: int
    prompt: str = ""


def consider(
    plan: Plan, record: Recommendation, *, context: WordingContext | None, traits: dict[str, Scalar], group: str, at: int
) -> WordingRequest | WordingSkipped:
    """Decide whether a model is asked to word ``record``. Returns a request, or the reason against one.

    ``traits`` and ``group`` are the person's; ``at`` is the log time of the decision.
    """
    policy = plan.wording
    if policy is None or context is None:
        return WordingSkipped(record, "no_wording", at)
    prompt = prompt_for(policy, record.decision_id)
    locale = locale_for(policy, traits)
    reason = ""
    if group == "rules":
        reason = "rules_group"
    elif not context.consent:
        reason = "no_consent"
    elif context.events < policy.cold_events:
        reason = "cold_start"
    elif not locale:
        reason = "language"
    elif uniform(b"template share", record.decision_id) < policy.template_share:
        reason = "template_share"
    if reason:
        return WordingSkipped(record, reason, at, prompt)
    personal = record.trigger in policy.personal and not policy.needs_approval(locale)
    notes = context.notes if personal else ()
    allowed = {slot.trait for slot in plan.catalog.slots.values()} | set(policy.prompt_traits if notes else ())
    return WordingRequest(
        record=record,
        catalog=plan.version,
        prompt=prompt,
        locale=locale,
        # A person who was inactive has returned by the time they read this, so one text serves both.
        situation="returning" if context.returning or record.trigger == "stuck:inactive" else "first_visit",
        done=context.done,
        traits={name: value for name, value in traits.items() if name in allowed},
        at=at,
        expires=at + plan.limits.recommendation_ttl,
        notes=notes,
    )


def cache_key(request: WordingRequest, shared_model: str = "") -> str:
    """32 hexadecimal digits over everything that the prompt depends on; for a personal request also the person and their texts.

    It includes the arm, because two arms of one tone differ in their component. ``shared_model`` is the model that words shared texts where
    it is another one than that of personal texts: its texts have keys of their own.
    """
    record = request.record
    parts = [
        record.tenant_id,
        request.catalog,
        record.path_id,
        record.step_id,
        record.trigger,
        record.arm,
        request.locale,
        request.prompt,
        request.situation,
    ]
    if request.personal:
        parts += ["personal", record.user_id, *request.notes, *(f"{name}={value}" for name, value in sorted(request.traits.items()))]
    elif shared_model:
        parts += ["shared", shared_model]
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()


def prompt_for(policy: WordingPolicy, decision: str) -> str:
    """The prompt version of a decision, drawn by share."""
    place = uniform(b"prompt share", decision) * sum(prompt.share for prompt in policy.prompts)
    for prompt in policy.prompts:
        place -= prompt.share
        if place < 0:
            return prompt.version
    return policy.prompts[-1].version


def locale_for(policy: WordingPolicy, traits: dict[str, Scalar]) -> str:
    """The person's language if the catalog allows it, else empty. The catalog's first language where the person has no locale."""
    given = traits.get("locale")
    if not isinstance(given, str) or not given:
        return policy.languages[0]
    language = given.replace("_", "-").partition("-")[0].lower()
    return language if language in policy.languages else ""
