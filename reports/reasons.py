"""Reason codes in words."""

from __future__ import annotations

from typing import Final

from state.decision.wording_request import REASONS as WORDING
from state.vocabulary import REASONS

_WITHDRAWN: Final = {"step_completed": "the step was completed", "path_changed": "the person moved to another path"}

_MODEL: Final = {
    # the call (llm/client/failures.py, llm/service.py, operators/async_map.py)
    "timeout": "the model gave no whole answer in time",
    "unreachable": "the model server could not be reached",
    "rate_limited": "the model server took no more calls",
    "server_error": "the model server failed",
    "garbled": "the model server answered with something that is no chat completion",
    "denied": "the model server refused us",
    "refused": "the model server did not take the request, or the model declined",
    "truncated": "the answer was cut at the limit on output tokens",
    "no_content": "the model answered with nothing",
    "breaker_open": "the model server had failed too often of late and was left alone",
    "over_rate": "more calls were due than the rate allows",
    "over_budget": "the tenant's budget of the day was spent",
    "budget_unknown": "the budget could not be checked, and what cannot be checked is not spent",
    "blocked": "answers for this place were rejected again and again, so it is left alone for a while",
    "rejected_by_person": "a person had rejected this text before",
    "cancelled": "the job ended before the answer came",
    "internal": "answering failed inside Onramp; the log says how",
    # what a prompt may hold (llm/guardrails/input_guardrails.py)
    "redaction_failed": "what names the person could not be taken out of their words",
    "injection_suspected": "the person's words read like orders to the model",
    # the text (llm/guardrails/output_guardrails.py)
    "not_json": "the model's answer was not one JSON object",
    "schema": "the model's answer was not of the form asked for",
    "component": "the model chose another component than the one asked for",
    "deep_link": "the model chose another link than the one asked for",
    "language": "the person's language is not among the catalog's `languages`, or the model wrote in another one",
    "length": "the model's text was too short or too long",
    "unknown_slot": "the model's text had a slot that the catalog does not know",
    "unknown_fact": "the model's text rested on a fact that the step does not have",
    "url": "the model's text held an address",
    "digits": "the model's text held a number that the catalog does not",
    "completed_step": "the model's text named a step that the person had completed",
    "proper_noun": "the model's text named something that the catalog does not",
    "forbidden_claim": "the model's text said what no guidance may say",
    "prompt_talk": "the model's text talked about its prompt",
    "off_topic": "the model's text shared no word of weight with the step",
    "secret": "the model's text held what looks like a secret",
    "personal_data": "the model's text held what looks like personal data",
    "control": "the model's text held a control character",
    "invisible": "the model's text held an invisible character",
    "newline": "the model's text held a line break",
    "combining": "the model's text held marks heaped upon a letter",
    "emoji": "the model's text held an emoji that the catalog does not allow",
    "homoglyphs": "the model's text held letters that pass for others",
    "markup": "the model's text held markup",
    "whitespace": "the model's text held a run of spaces, or an unusual one",
    "repeated": "the model's text said the same over and over",
    "spaced_out": "the model's text spelled a word letter by letter",
    "unfinished": "the model's text broke off",
    "low_confidence": "the model was less sure of its text than the catalog asks, so it waits for a person",
}
"""Reason codes of a model's call and of the checks. ``language`` is one of those that were decided before anybody is asked as well."""

_ERROR: Final = "error:"
"""Begins the code of a call that broke, followed by the name of the exception."""


def why_withdrawn(reason: str | None) -> str:
    """Why guidance was taken back."""
    return _WITHDRAWN.get(reason or "") or REASONS.get(reason or "") or reason or "it became stale"


def why_not(reason: str) -> str:
    """Why a consideration ended without a decision."""
    return REASONS.get(reason, reason)


def why_template(reason: str) -> str:
    """Why a decision kept its template, by the code where there are no words for it."""
    if reason.startswith(_ERROR):
        return _MODEL["internal"]
    return _MODEL.get(reason) or WORDING.get(reason) or reason
