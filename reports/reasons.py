"""Reason codes in words: why guidance was withdrawn, why nothing was decided, why a decision kept its template."""

from __future__ import annotations

from typing import Final

from state.vocabulary import REASONS, WORDING_REASONS

_WITHDRAWN: Final = {"step_completed": "the step was completed", "path_changed": "the user moved to another path"}

_MODEL: Final = {
    # the call (llm/client/failures.py, llm/service.py, operators/async_map.py)
    "timeout": "the model did not finish its answer in time",
    "unreachable": "the model server could not be reached",
    "rate_limited": "the model server refused more calls for now",
    "server_error": "the model server failed",
    "garbled": "the answer of the model server was not a chat completion",
    "denied": "the model server rejected the key, the model's name or the address",
    "no_credit": "the account at the model's provider had no credit left, or its quota was used up",
    "refused": "the model server rejected the request",
    "too_long": "the request was too long for the model",
    "declined": "the model declined, or a filter of the model server did",
    "truncated": "the answer was cut at the limit on output tokens",
    "no_content": "the answer of the model was empty",
    "breaker_open": "the model server failed too often, so calls to it are paused",
    "over_rate": "the rate limit for calls was reached",
    "over_budget": "the tenant's budget of the day was spent",
    "budget_unknown": "the budget could not be checked, so nothing was spent",
    "blocked": "answers for this step and arm were rejected repeatedly, so calls for them are paused",
    "approval_pending": "a text for this step and arm waits for a review, so no other one is requested",
    "rejected_by_person": "a reviewer had rejected this text before",
    "expired": "the guidance had expired before a model could be asked",
    "catalog_changed": "the catalog was replaced before a model was asked",
    "drained": "the input ended before the answer came",
    "cancelled": "the job ended before the answer came",
    "internal": "answering failed inside Onramp; the log says how",
    # what a prompt may hold (llm/guardrails/input_guardrails.py)
    "redaction_failed": "personal data could not be removed from the text of the user",
    "injection_suspected": "the text of the user reads like instructions to the model",
    # the text (llm/guardrails/output_guardrails.py)
    "not_json": "the model's answer was not one JSON object",
    "schema": "the model's answer did not match the schema",
    "component": "the model chose another component than the one asked for",
    "deep_link": "the model chose another link than the one asked for",
    "language": "the user's language is not among the catalog's `languages`, or the model wrote in another one",
    "length": "the model's text was too short or too long",
    "unknown_slot": "the model's text used a placeholder that the catalog does not know",
    "unknown_fact": "the model's text used a fact that the step does not have",
    "url": "the model's text contained an address",
    "digits": "the model's text contained a number that the catalog does not",
    "completed_step": "the model's text named a step that the user had completed",
    "proper_noun": "the model's text named something that the catalog does not",
    "forbidden_claim": "the model's text made a claim that the catalog forbids",
    "prompt_talk": "the model's text talked about its prompt",
    "off_topic": "the model's text shared no important word with the step",
    "secret": "the model's text contained what looks like a secret",
    "personal_data": "the model's text contained what looks like personal data",
    "control": "the model's text contained a control character",
    "invisible": "the model's text contained an invisible character",
    "newline": "the model's text contained a line break",
    "combining": "the model's text contained several marks on one letter",
    "emoji": "the model's text contained an emoji that the catalog does not allow",
    "homoglyphs": "the model's text contained letters that look like others",
    "markup": "the model's text contained markup",
    "whitespace": "the model's text contained repeated spaces, or an unusual one",
    "repeated": "the model's text repeated itself",
    "spaced_out": "the model's text spelled a word letter by letter",
    "unfinished": "the model's text ended in the middle",
    "low_confidence": "the model was less sure of its text than the catalog asks, so it waits for a review",
    "needs_approval": "texts in this language are shown only after somebody approved them",
}
"""Reason codes of a model's call and of the checks. ``language`` is one of those that were decided before anybody is asked as well."""

_ERROR: Final = "error:"
"""Begins the code of a call that broke, followed by the name of the exception."""


def why_withdrawn(reason: str | None) -> str:
    """Why guidance was withdrawn."""
    return _WITHDRAWN.get(reason or "") or REASONS.get(reason or "") or reason or "it became stale"


def why_not(reason: str) -> str:
    """Why a consideration ended without a decision."""
    return REASONS.get(reason, reason)


def why_template(reason: str) -> str:
    """Why a decision kept its template, or the code itself where it is unknown."""
    if reason.startswith(_ERROR):
        return _MODEL["internal"]
    return _MODEL.get(reason) or WORDING_REASONS.get(reason) or reason
