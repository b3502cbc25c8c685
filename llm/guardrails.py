"""The checks between what a model wrote and what a person reads. All must pass; otherwise the template stays.

==============  =========================================================================================================
check           reasons, in the order in which they are asked
==============  =========================================================================================================
``schema``      not_json, schema, component, deep_link, language (the declared one), length, language (of the text itself)
``grounding``   unknown_slot, unknown_fact, url, digits, completed_step, proper_noun, forbidden_claim, prompt_talk, off_topic
``privacy``     secret, personal_data
``hygiene``     control, invisible, newline, combining, emoji, homoglyphs, markup, whitespace, repeated, spaced_out, unfinished
``confidence``  low_confidence: all else is well, and a person may look at the text
``slot_value``  personal_data, and the reasons of ``hygiene``: only when the slots are filled
==============  =========================================================================================================

The text is judged unfilled, once for everybody it may serve, and again after the slots were filled for one person.
Pure: no clock, no chance, no input or output. Nothing here raises, whatever a model answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from llm import hygiene, language, redaction, slots
from llm.claims import Claims
from llm.grounding import Grounds
from llm.parsing import parse
from llm.prompts import PromptTemplate
from llm.proposal import Proposal, Verdict
from llm.relevance import Relevance
from state.catalog.plan import Plan
from state.decision.wording_request import Wish
from state.records.recommendation import validation_hash

SHORTEST: Final = 20
"""Characters under which a text says nothing, slots at their shortest."""

_READABLE: Final = 4_000
"""Characters of a text to fill beyond which nothing else is asked: none that was judged is as long."""

_PRESENTED: Final = 1_000
"""Characters of a refused answer that are shown: enough to see what went wrong."""


class Judged(msgspec.Struct, frozen=True, gc=False):
    """What became of a raw answer. ``text`` (slots unfilled), ``confidence`` and ``hash`` are empty where a check failed; the last verdict
    says which. With ``review`` only the model's confidence was too low: the text is for a person to look at, not to show.
    """

    verdicts: tuple[Verdict, ...]
    text: str = ""
    confidence: float = 0.0
    hash: str = ""
    review: bool = False

    @property
    def ok(self) -> bool:
        """Whether every check passed, so that the text may be filled and shown."""
        return all(verdict.ok for verdict in self.verdicts)


class Filled(msgspec.Struct, frozen=True, gc=False):
    """A text as one person will read it and the digest for its record; both empty where a check failed."""

    verdicts: tuple[Verdict, ...]
    text: str = ""
    hash: str = ""

    @property
    def ok(self) -> bool:
        """Whether every check passed, so that the text may be shown."""
        return all(verdict.ok for verdict in self.verdicts)


class Guardrails:
    """The checks for one catalog. Compiled once, at start; a text takes well under a millisecond or two."""

    def __init__(self, plan: Plan, prompts: Mapping[str, PromptTemplate] | None = None) -> None:
        """``prompts`` are those that answers were asked for with, so that none repeats them; without, only filling is of use.

        Raises ``ValueError`` where the catalog has no ``wording`` section: then no model is to be asked.
        """
        policy = plan.catalog.wording
        if policy is None:
            raise ValueError("the catalog has no wording section, so that no text of a model can be judged")
        self._catalog: Final = plan.catalog
        self._steps: Final = plan.steps
        self._policy: Final = policy
        self._grounds: Final = Grounds(plan.catalog)
        self._claims: Final = Claims(policy)
        self._relevance: Final = Relevance(plan, prompts or {})

    def judge(self, raw: str, wish: Wish) -> Judged:
        """Judge a raw answer to ``wish``. Never raises; the first check that fails ends it."""
        proposal = parse(raw)
        if isinstance(proposal, Verdict):
            return Judged((proposal,))
        verdicts: list[Verdict] = []
        for check, ask in _CHECKS:
            reason = ask(self, proposal, wish)
            verdicts.append(Verdict(check, reason, _DETAILS.get(reason, "")))
            if reason:
                return Judged(tuple(verdicts))
        record = wish.record
        low = proposal.confidence < self._policy.confidence
        verdicts.append(Verdict("confidence", "low_confidence" if low else "", _DETAILS["low_confidence"] if low else ""))
        canonical = msgspec.json.encode([proposal.text, record.ui_component, record.deep_link, sorted(set(proposal.facts))])
        digest = hashlib.blake2b(canonical, digest_size=16).hexdigest()
        return Judged(tuple(verdicts), proposal.text, proposal.confidence, digest, low)

    def fill(self, text: str, wish: Wish) -> Filled:
        """Fill the slots of a judged text for the person of ``wish`` and judge what the person would read. Never raises.

        A shared text was judged for somebody else, so the completed steps are asked again. A value that is unfit to show gives way to
        the slot's default.
        """
        record = wish.record
        if len(text) > _READABLE:
            return _failed("schema", "length")
        if slots.unknown(text, self._catalog):
            return _failed("grounding", "unknown_slot")
        if self._grounds.completed(text, record.step_id, wish.done):
            return _failed("grounding", "completed_step")
        filled = slots.fill(text, self._catalog, self._title(wish), wish.traits, self._claims.forbidden)
        if not SHORTEST <= len(filled) <= self._policy.longest:
            return _failed("schema", "length")
        if redaction.find(filled):
            return _failed("slot_value", "personal_data")
        unclean = hygiene.unclean(filled, self._policy.emoji)
        if unclean:
            return _failed("slot_value", unclean)
        passed = (Verdict("schema"), Verdict("grounding"), Verdict("slot_value"))
        return Filled(passed, filled, validation_hash(filled, record.ui_component, record.deep_link))

    def presentable(self, raw: str) -> str:
        """The text of a refused answer for whoever writes the prompt: the answer itself, shortened, where it is no proposal. Never raises.

        Empty where it looks private, whichever check refused it: another one may have come first.
        """
        proposal = parse(raw)
        text = raw[:_PRESENTED] if isinstance(proposal, Verdict) else proposal.text[:_PRESENTED]
        return "" if redaction.find(slots.TOKEN.sub("it", text)) else text

    def _schema(self, proposal: Proposal, wish: Wish) -> str:
        record, text = wish.record, proposal.text
        if proposal.ui_component != record.ui_component:
            return "component"
        if proposal.deep_link != record.deep_link or not self._catalog.allows_link(proposal.deep_link):
            return "deep_link"
        if proposal.language != wish.locale or wish.locale not in self._policy.languages:
            return "language"
        title = self._title(wish)
        if slots.longest(text, self._catalog, title) > self._policy.longest or slots.shortest(text, self._catalog, title) < SHORTEST:
            return "length"
        return "" if language.looks_like(self._grounds.plain(text), wish.locale) else "language"

    def _grounding(self, proposal: Proposal, wish: Wish) -> str:
        text, step, grounds = proposal.text, wish.record.step_id, self._grounds
        known = self._steps.get(step)
        if slots.unknown(text, self._catalog):
            return "unknown_slot"
        if known is None or not set(proposal.facts) <= set(known.facts):
            return "unknown_fact"
        if grounds.address(text):
            return "url"
        if grounds.digits(text, step, wish.locale):
            return "digits"
        if grounds.completed(text, step, wish.done):
            return "completed_step"
        if grounds.name(text, wish.locale):
            return "proper_noun"
        spoken = slots.TOKEN.sub(" it ", text)
        if self._claims.forbidden(spoken):
            return "forbidden_claim"
        if self._claims.prompt_talk(spoken) or self._relevance.parrots(text):
            return "prompt_talk"
        if wish.locale != self._policy.languages[0]:  # the catalog's own language, whose words it can be held against
            return ""
        return "" if self._relevance.on_topic(text, step, wish.record.trigger, wish.record.arm) else "off_topic"

    def _privacy(self, proposal: Proposal, _: Wish) -> str:
        found = redaction.find(slots.TOKEN.sub("it", proposal.text))
        if not found:
            return ""
        return "secret" if any(span.kind in SECRETS for span in found) else "personal_data"

    def _hygiene(self, proposal: Proposal, wish: Wish) -> str:
        text, emoji = proposal.text, self._policy.emoji
        return hygiene.unclean(slots.TOKEN.sub("it", text), emoji) or hygiene.rambling(text, wish.locale, emoji)

    def _title(self, wish: Wish) -> str:
        step = self._steps.get(wish.record.step_id)
        return step.title if step is not None else ""


def _failed(check: str, reason: str) -> Filled:
    return Filled((Verdict(check, reason, _DETAILS.get(reason, "")),))


SECRETS: Final = frozenset({"secret", "api_key", "bearer", "url_password"})
"""Kinds of ``llm/redaction.py`` that open something, as against those that tell of somebody."""

_CHECKS: Final = (
    ("schema", Guardrails._schema),
    ("grounding", Guardrails._grounding),
    ("privacy", Guardrails._privacy),
    ("hygiene", Guardrails._hygiene),
)

_DETAILS: Final[dict[str, str]] = {
    "component": "another component than the one that was asked for",
    "deep_link": "another link than the one that was asked for, or one that the catalog does not allow",
    "length": f"shorter than {SHORTEST} characters, or longer than the catalog allows once its slots are filled",
    "language": "declared or written in another language than the one that was asked for",
    "unknown_slot": "a slot that the catalog does not know, or a stray brace",
    "unknown_fact": "rests on a fact that the step does not have",
    "url": "holds an address, or something that reads like one",
    "digits": "holds a number that the catalog does not",
    "completed_step": "names a step that the person has completed",
    "proper_noun": "names something that the catalog does not",
    "forbidden_claim": "says what no guidance may say",
    "prompt_talk": "talks about the prompt, or repeats it",
    "off_topic": "shares no word of weight with the step, its facts or the template",
    "secret": "holds what looks like a secret",
    "personal_data": "holds what looks like personal data",
    "low_confidence": "the model is less sure of it than the catalog asks",
    "control": "a control character",
    "invisible": "an invisible character or one that turns the direction of text",
    "newline": "a line break",
    "combining": "marks heaped upon a letter",
    "emoji": "an emoji or symbol that the catalog does not allow",
    "homoglyphs": "letters that pass for others",
    "markup": "markup",
    "whitespace": "a run of spaces, or an unusual one",
    "repeated": "the same character, word or phrase over and over",
    "spaced_out": "a word spelled letter by letter",
    "unfinished": "breaks off before its sentence ends",
}

REASONS: Final = ("not_json", "schema", *_DETAILS)
"""Every reason for which a text is refused."""
