"""What can go wrong with a call of the model. One exception with a reason code, because callers treat all of them alike: the template
stays, and the reason is counted. Which status and error code means which reason stands in ``error_table.py``.

ModelFailure
├── the server is at fault, another try may help (``retryable``, ``server_at_fault``)
│   ├── timeout           no whole answer before the deadline; it may have been billed. Not retried: no time is left
│   ├── unreachable       no connection, or it broke before the answer was whole
│   ├── rate_limited      too many calls; ``retry_after`` where the server said when
│   ├── server_error      the server failed, is overloaded, or broke a stream off
│   └── garbled           an answer that is no chat completion
├── the settings or the account are at fault (``server_at_fault``: no calls until a person has repaired them)
│   ├── denied            key, rights, model name or address
│   └── no_credit         the account has no credit left, or its quota is used up
├── this prompt or its answer is at fault: another request may succeed
│   ├── refused           the server did not take the request
│   ├── too_long          the request is too long for the model
│   ├── declined          the model declined, or a filter did
│   ├── truncated         the answer is longer than the limit on output tokens
│   └── no_content        no choice, or an empty text; retryable
└── no request was sent
    ├── breaker_open      too many of the last calls failed (``llm/limits/circuit_breaker.py``)
    ├── over_rate         the rate limit has no turn soon enough (``llm/limits/rate_limit.py``)
    ├── over_budget       the tenant's budget of the day is used up (``llm/limits/daily_budget.py``)
    └── budget_unknown    Redis does not answer, so the budget cannot be checked
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from llm.answer import Usage

Reason = Literal[
    "timeout", "unreachable", "rate_limited", "server_error", "garbled",
    "denied", "no_credit",
    "refused", "too_long", "declined", "truncated", "no_content",
    "breaker_open", "over_rate", "over_budget", "budget_unknown",
]  # fmt: skip

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
"""Every reason code, in the order of the tree."""

SENTENCES: Final[dict[Reason, str]] = {
    "timeout": "the model gave no complete answer in time; ONRAMP_LLM_TIMEOUT_SECONDS allows it more",
    "unreachable": "the model server does not answer at its address: check the address, and that the server runs",
    "rate_limited": "the model server takes no more calls at present",
    "server_error": "the model server failed",
    "garbled": "the model server answers with something that is no chat completion: check the address, which mostly ends in /v1",
    "denied": "the model server refused us: check the address, ONRAMP_LLM_API_KEY and ONRAMP_LLM_MODEL",
    "no_credit": "the account at the model's provider has no credit left or its quota is used up: add credit or raise the quota there",
    "refused": "the model server did not take the request",
    "too_long": "the request is too long for the model: take a model with a larger context, or shorten the prompt and the step's facts",
    "declined": "the model declined, or a filter of the model server did",
    "truncated": "the answer was cut at the limit on output tokens; ONRAMP_LLM_MAX_OUTPUT_TOKENS allows it more",
    "no_content": "the model answered with nothing",
}
"""Reason code of a call that was sent → sentence that says what to check. The other codes mean that no request was sent."""

_RETRYABLE: Final = frozenset({"unreachable", "rate_limited", "server_error", "garbled", "no_content"})
_SERVER_AT_FAULT: Final = frozenset({"timeout", "unreachable", "rate_limited", "server_error", "garbled", "denied", "no_credit"})


class ModelFailure(Exception):  # noqa: N818 -- an expected outcome with a reason, handled by every caller
    """A call without a completion. ``detail`` is for people; it quotes neither the prompt, the answer nor the key.

    ``advice`` says what to check. ``retry_after`` is in seconds from now, None where it is unknown. ``usage`` holds the tokens that the
    server counted, estimated where it must have billed some and said nothing; after ``timeout`` it may bill more.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        retry_after: float | None = None,
        *,
        advice: str = "",
        usage: Usage = Usage(),  # noqa: B008
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: Reason = reason
        self.detail = detail
        self.retry_after = retry_after
        self.advice = advice or SENTENCES.get(reason, "")
        self.usage = usage

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.reason in _RETRYABLE

    @property
    def server_at_fault(self) -> bool:
        """Whether the failure is the server's, so that the circuit breaker counts it."""
        return self.reason in _SERVER_AT_FAULT
