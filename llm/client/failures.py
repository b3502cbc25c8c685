"""What can go wrong with a call of the model. One exception with a reason code, because callers treat all of them alike: the template
stays, and the reason is counted.

ModelFailure
├── the server is at fault, another try may help (``retryable``, ``server_at_fault``)
│   ├── timeout           no whole answer before the deadline; it may have been billed. Not retried: no time is left
│   ├── unreachable       no connection, or it broke before the answer was whole
│   ├── rate_limited      429; ``retry_after`` where the server said when
│   ├── server_error      5xx, 408, 409, 425
│   └── garbled           200 with a body that is no chat completion
├── the settings are at fault (``server_at_fault``: no calls until a person has repaired them)
│   └── denied            401, 403, 404, a redirect: key, model name or address
├── this prompt or its answer is at fault: another request may succeed
│   ├── refused           any other 4xx, or the model declined or was filtered
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
    "denied",
    "refused", "truncated", "no_content",
    "breaker_open", "over_rate", "over_budget", "budget_unknown",
]  # fmt: skip

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
"""Every reason code, in the order of the tree."""

_RETRYABLE: Final = frozenset({"unreachable", "rate_limited", "server_error", "garbled", "no_content"})
_SERVER_AT_FAULT: Final = frozenset({"timeout", "unreachable", "rate_limited", "server_error", "garbled", "denied"})


class ModelFailure(Exception):  # noqa: N818 -- an expected outcome with a reason, handled by every caller
    """A call without a completion. ``detail`` is for people; it quotes neither the prompt, the answer nor the key.

    ``retry_after`` is in seconds from now, None where it is unknown. ``usage`` holds the tokens that the server counted, 0 where it counted
    none; after ``timeout`` it may bill more.
    """

    def __init__(self, reason: Reason, detail: str = "", retry_after: float | None = None, *, usage: Usage = Usage()) -> None:  # noqa: B008
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: Reason = reason
        self.detail = detail
        self.retry_after = retry_after
        self.usage = usage

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.reason in _RETRYABLE

    @property
    def server_at_fault(self) -> bool:
        """Whether the failure is the server's, so that the circuit breaker counts it."""
        return self.reason in _SERVER_AT_FAULT
