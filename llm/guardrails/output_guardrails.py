"""The output guardrails: checks of a model's answer. All must pass; otherwise the template stays.

==============  =========================================================================================================
check           reasons, in the order in which they are asked
==============  =========================================================================================================
``schema``      not_json, schema, component, deep_link, language (the declared one), length, language (of the text itself)
``grounding``   unknown_slot, unknown_fact, url, digits, completed_step, proper_noun, forbidden_claim, prompt_talk, off_topic
``privacy``     secret, personal_data
``hygiene``     control, invisible, newline, combining, emoji, homoglyphs, markup, whitespace, repeated, spaced_out, unfinished
``confidence``  low_confidence: all checks above passed, and a person may review the text
``approval``    needs_approval: all others passed, and texts in this language wait for a person's approval; not made in other languages
``slot_value``  personal_data, and the reasons of ``hygiene``: only when the slots are filled
==============  =========================================================================================================

The text is checked with its slots unfilled, once for everybody whom it may serve, and again after the slots are filled for one person.
Pure: no clock, no randomness, no input or output. Nothing here raises, whatever a model answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from llm.client.answer_parsing import parse
from llm.client.proposal import Proposal
from llm.guardrails import hygiene, language, redaction, slots
from llm.guardrails.check_result import CheckResult
from llm.guardrails.forbidden_claims import ForbiddenClaims
from llm.guardrails.grounding import Grounds
from llm.guardrails.relevance import Relevance
from llm.prompts import PromptTemplate
from state.catalog.plan import Plan
from state.decision.wording_request import WordingRequest

SHORTEST: Final = 20
"""Characters of the shortest useful text, slots at their shortest."""

_READABLE: Final = 4_000
"""Characters of a text to fill at most; no checked text is as long."""

_PRESENTED: Final = 1_000
"""Characters of a refused answer that are shown to the author of the prompt."""


class CheckedText(msgspec.Struct, frozen=True, gc=False):
    """A text and the checks that it went through. ``text`` is empty where a check failed; the last check says which.

    With ``low_confidence`` or ``needs_approval`` as the only failure, ``text`` is kept: a person may review it, the app must not show it.
    """

    checks: tuple[CheckResult, ...]
    text: str = ""
    confidence: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return not self.reason

    @property
    def reason(self) -> str:
        """Reason code of the check that failed; empty where all passed."""
        return self.checks[-1].reason if self.checks else ""


class OutputGuardrails:
    """The checks for one catalog. Compiled once, at start; a text takes about a millisecond."""

    def __init__(self, plan: Plan, prompts: Mapping[str, PromptTemplate] | None = None) -> None:
        """``prompts`` are the prompts in use, so that no text repeats them.

        Raises ``ValueError`` where the catalog has no ``wording`` section, because then no model may be asked.
        """
        policy = plan.catalog.wording
        if policy is None:
            raise ValueError("the catalog has no wording section, so that no text of a model can be checked")
        self._catalog: Final = plan.catalog
        self._steps: Final = plan.steps
        self._policy: Final = policy
        self._grounds: Final = Grounds(plan.catalog)
        self._claims: Final = ForbiddenClaims(policy)
        self._relevance: Final = Relevance(plan, prompts or {})

    def check(self, raw: str, request: WordingRequest) -> CheckedText:
        """Check a raw answer to ``request``. Never raises. Stops at the first check that fails."""
        proposal = parse(raw)
        if isinstance(proposal, CheckResult):
            return CheckedText((proposal,))
        checks: list[CheckResult] = []
        in_order = (("schema", self._schema), ("grounding", self._grounding), ("privacy", self._privacy), ("hygiene", self._hygiene))
        for check, reason_against in in_order:
            reason = reason_against(proposal, request)
            checks.append(CheckResult(check, reason, _DETAILS.get(reason, "")))
            if reason:
                return CheckedText(tuple(checks))
        low = proposal.confidence < self._policy.confidence
        checks.append(CheckResult("confidence", "low_confidence" if low else "", _DETAILS["low_confidence"] if low else ""))
        if not low and self._policy.needs_approval(request.locale):
            checks.append(CheckResult("approval", "needs_approval", _DETAILS["needs_approval"]))
        return CheckedText(tuple(checks), proposal.text, proposal.confidence)

    def fill(self, text: str, request: WordingRequest) -> CheckedText:
        """Fill the slots of an accepted text for the person of ``request`` and check the result. Never raises.

        A shared text was checked for another person, so the completed steps are checked again. A value that is unfit to show is replaced
        by the slot's default.
        """
        if len(text) > _READABLE:
            return _failed("schema", "length")
        if slots.unknown(text, self._catalog):
            return _failed("grounding", "unknown_slot")
        if self._grounds.completed(text, request.record.step_id, request.done):
            return _failed("grounding", "completed_step")
        filled = slots.fill(
            text, self._catalog, self._title(request), request.traits, lambda given: self._claims.found(given, request.locale)
        )
        if not SHORTEST <= len(filled) <= self._policy.longest:
            return _failed("schema", "length")
        if redaction.find(filled):
            return _failed("slot_value", "personal_data")
        unclean = hygiene.unclean(filled, self._policy.emoji)
        if unclean:
            return _failed("slot_value", unclean)
        passed = (CheckResult("schema"), CheckResult("grounding"), CheckResult("slot_value"))
        return CheckedText(passed, filled)

    def presentable(self, raw: str) -> str:
        """The text of a refused answer for the author of the prompt; where it could not be parsed, the shortened answer. Never raises.

        Empty where the text looks private, whichever check refused it.
        """
        proposal = parse(raw)
        text = (raw if isinstance(proposal, CheckResult) else proposal.text)[: _PRESENTED + redaction.MARGIN]
        text = text.encode("utf-8", "replace").decode()  # half of a character pair cannot be printed
        return "" if redaction.find(slots.TOKEN.sub("it", text)) else text[:_PRESENTED]  # looked through before the cut

    def _schema(self, proposal: Proposal, request: WordingRequest) -> str:
        record, text = request.record, proposal.text
        if proposal.ui_component != record.ui_component:
            return "component"
        if proposal.deep_link != record.deep_link or not self._catalog.allows_link(proposal.deep_link):
            return "deep_link"
        if proposal.language != request.locale or request.locale not in self._policy.languages:
            return "language"
        title = self._title(request)
        if slots.longest(text, self._catalog, title) > self._policy.longest or slots.shortest(text, self._catalog, title) < SHORTEST:
            return "length"
        return "" if language.looks_like(self._grounds.plain(text), request.locale) else "language"

    def _grounding(self, proposal: Proposal, request: WordingRequest) -> str:
        text, step, grounds = proposal.text, request.record.step_id, self._grounds
        known = self._steps.get(step)
        if slots.unknown(text, self._catalog):
            return "unknown_slot"
        if known is None or not set(proposal.facts) <= set(known.facts):
            return "unknown_fact"
        if grounds.address(text):
            return "url"
        if grounds.digits(text, step, request.locale):
            return "digits"
        if grounds.completed(text, step, request.done):
            return "completed_step"
        if grounds.name(text, request.locale):
            return "proper_noun"
        spoken = slots.TOKEN.sub(" it ", text)
        if self._claims.found(spoken, request.locale):
            return "forbidden_claim"
        if self._claims.prompt_talk(spoken) or self._relevance.repeats_prompt(text):
            return "prompt_talk"
        if request.locale != self._policy.languages[0]:  # only texts in the catalog's own language can be compared with its words
            return ""
        return "" if self._relevance.on_topic(text, step, request.record.trigger, request.record.arm) else "off_topic"

    def _privacy(self, proposal: Proposal, _: WordingRequest) -> str:
        found = redaction.find(slots.TOKEN.sub("it", proposal.text))
        if not found:
            return ""
        return "secret" if any(span.kind in SECRETS for span in found) else "personal_data"

    def _hygiene(self, proposal: Proposal, request: WordingRequest) -> str:
        text, emoji = proposal.text, self._policy.emoji
        return hygiene.unclean(slots.TOKEN.sub("it", text), emoji) or hygiene.rambling(text, request.locale, emoji)

    def _title(self, request: WordingRequest) -> str:
        step = self._steps.get(request.record.step_id)
        return step.title if step is not None else ""


def _failed(check: str, reason: str) -> CheckedText:
    return CheckedText((CheckResult(check, reason, _DETAILS.get(reason, "")),))


SECRETS: Final = frozenset({"secret", "api_key", "bearer", "url_password"})
"""Kinds of findings of ``redaction.py`` that give access to something, as opposed to personal data."""

_DETAILS: Final[dict[str, str]] = {
    "component": "another component than the one in the request",
    "deep_link": "another link than the one in the request, or one that the catalog does not allow",
    "length": f"shorter than {SHORTEST} characters, or longer than the catalog allows once its slots are filled",
    "language": "declared or written in another language than the one in the request",
    "unknown_slot": "a slot that the catalog does not know, or a stray brace",
    "unknown_fact": "uses a fact that the step does not have",
    "url": "holds an address, or something that reads like one",
    "digits": "holds a number that the catalog does not",
    "completed_step": "names a step that the user has completed",
    "proper_noun": "names something that the catalog does not",
    "forbidden_claim": "makes a claim that is forbidden for any guidance",
    "prompt_talk": "talks about the prompt, or repeats it",
    "off_topic": "has no content word in common with the step, its facts or the template",
    "secret": "holds what looks like a secret",
    "personal_data": "holds what looks like personal data",
    "low_confidence": "the model's confidence is lower than the catalog requires",
    "needs_approval": "texts in this language are shown only after somebody approved them",
    "control": "a control character",
    "invisible": "an invisible character or one that turns the direction of text",
    "newline": "a line break",
    "combining": "several marks on one letter",
    "emoji": "an emoji or symbol that the catalog does not allow",
    "homoglyphs": "letters that look like others",
    "markup": "markup",
    "whitespace": "a run of spaces, or an unusual one",
    "repeated": "the same character, word or phrase over and over",
    "spaced_out": "a word spelled letter by letter",
    "unfinished": "the last sentence is not complete",
}

REASONS: Final = ("not_json", "schema", *_DETAILS)
"""Every reason for which a text is refused."""
