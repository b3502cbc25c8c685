"""Which decisions a model may word better, and everything it may be told for that. Pure: the same decision gives the same wish.

A *shared* wish names nobody: what the model is asked depends on ``cache_key`` alone, so that its answer serves everybody in the same place.
A *personal* wish carries the person's own words (``notes``) and is answered for that person only.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from state.catalog.model import Scalar, WordingPolicy
from state.catalog.plan import Plan
from state.ids import uniform
from state.records.recommendation import Recommendation
from state.stream_items import Decision

REASONS: Final[dict[str, str]] = {
    # decided before anybody is asked
    "no_wording": "the catalog lets no model word anything",
    "rules_group": "the person is in the group that is guided by rule",
    "template_share": "drawn to keep the template, so that the two can be compared",
    "no_consent": "the person switched texts written by a model off",
    "cold_start": "too few events of the person are known",
    "language": "the person's language is not among the catalog's `languages`",
    # while the call waits
    "shown_first": "the template was shown before the answer came",
    "superseded": "newer guidance replaced it",
    "forgotten": "the person was deleted",
    "shed": "too many calls were waiting",
}
"""Why a decision kept its template, beside what the client (``llm/failures.py``) and the guardrails (``llm/guardrails.py``) say."""


class Wish(msgspec.Struct, frozen=True, gc=False):
    """Everything that a model may be told of one decision, and the record that its answer may improve.

    ``traits`` holds what the slots need and what the catalog's ``tell`` names, nothing else. ``done`` are the completed steps.
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
        """Whether the answer may serve this one person only."""
        return bool(self.notes)


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A decision that keeps its template without anybody being asked, and the reason code."""

    record: Recommendation
    reason: str
    at: int
    prompt: str = ""


def consider(plan: Plan, choice: Decision, record: Recommendation) -> Wish | Kept:
    """Decide whether a model is asked to word ``record``. Every decision ends in a wish or in a reason."""
    policy, ask = plan.wording, choice.ask
    context = ask.context
    if policy is None or context is None:
        return Kept(record, "no_wording", ask.at)
    prompt = prompt_for(policy, ask.decision)
    locale = locale_for(policy, ask.traits)
    reason = ""
    if ask.group == "rules":
        reason = "rules_group"
    elif not context.consent:
        reason = "no_consent"
    elif context.events < policy.cold_events:
        reason = "cold_start"
    elif not locale:
        reason = "language"
    elif uniform(b"template share", ask.decision) < policy.template_share:
        reason = "template_share"
    if reason:
        return Kept(record, reason, ask.at, prompt)
    personal = ask.trigger in policy.personal
    notes = context.notes if personal else ()
    told = {slot.trait for slot in plan.catalog.slots.values()} | set(policy.tell if notes else ())
    return Wish(
        record=record,
        catalog=plan.version,
        prompt=prompt,
        locale=locale,
        # Who was inactive and reads this has come back, whatever came before: one text serves both.
        situation="returning" if context.returning or ask.trigger == "stuck:inactive" else "first_visit",
        done=context.done,
        traits={name: value for name, value in ask.traits.items() if name in told},
        at=ask.at,
        expires=ask.at + plan.limits.recommendation_ttl,
        notes=notes,
    )


def cache_key(wish: Wish) -> str:
    """32 hexadecimal digits: what the prompt of a shared wish is a function of; with the person and their words where it is personal.

    The component stands in for the arm's surface: two arms of one tone differ by it.
    """
    record = wish.record
    parts = [
        record.tenant_id, wish.catalog, record.path_id, record.step_id, record.trigger, record.arm, wish.locale, wish.prompt,
        wish.situation,
    ]  # fmt: skip
    if wish.personal:
        parts += ["personal", record.user_id, *wish.notes, *(f"{name}={value}" for name, value in sorted(wish.traits.items()))]
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()


def prompt_for(policy: WordingPolicy, decision: str) -> str:
    """Version of the prompt for a decision, drawn by share."""
    place = uniform(b"prompt share", decision) * sum(prompt.share for prompt in policy.prompts)
    for prompt in policy.prompts:
        place -= prompt.share
        if place < 0:
            return prompt.version
    return policy.prompts[-1].version


def locale_for(policy: WordingPolicy, traits: dict[str, Scalar]) -> str:
    """The language to answer in, of those that the catalog allows; the first where nothing is known of the person; else empty."""
    given = traits.get("locale")
    if not isinstance(given, str) or not given:
        return policy.languages[0]
    language = given.replace("_", "-").partition("-")[0].lower()
    return language if language in policy.languages else ""
