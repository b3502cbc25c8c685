"""What can go wrong with a call to the model. One exception, told apart by its reason code, because the caller does one thing with
all: keep the template and count the reason.

ModelFailure
├── the server is at fault, another try may help (``retryable``, ``server_at_fault``)
│   ├── timeout           no whole answer before the deadline; it may have been billed. Not retried: no time is left
│   ├── unreachable       no connection, or it broke before the answer was whole
│   ├── rate_limited      429; ``retry_after`` where the server said when
│   ├── server_error      5xx, 408, 409, 425
│   └── garbled           200 with a body that is no chat completion
├── the settings are at fault (``server_at_fault``: stop asking until a person mended it)
│   └── denied            401, 403, 404, a redirect: key, model name or address
├── this prompt or its answer is at fault: the next wish may fare better
│   ├── refused           any other 4xx, or the model declined or was filtered
│   ├── truncated         the answer is longer than the limit on output tokens
│   └── no_content        no choice, or an empty text; retryable
└── nobody was asked
    ├── breaker_open      the server failed too often of late (``llm/breaker.py``)
    ├── over_rate         the token bucket is empty (``llm/rate.py``)
    ├── busy              no place among the calls in flight came free in time (``llm/semaphore.py``)
    ├── over_budget       the tenant's budget of the day is spent (``llm/budget.py``)
    └── budget_unknown    the budget cannot be checked, and what cannot be checked is not spent
"""

from __future__ import annotations

from typing import Final, Literal, get_args

Reason = Literal[
    "timeout", "unreachable", "rate_limited", "server_error", "garbled",
    "denied",
    "refused", "truncated", "no_content",
    "breaker_open", "over_rate", "busy", "over_budget", "budget_unknown",
]  # fmt: skip

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
"""Every reason code, in the order of the tree."""

_RETRYABLE: Final = frozenset({"unreachable", "rate_limited", "server_error", "garbled", "no_content"})
_SERVER_AT_FAULT: Final = frozenset({"timeout", "unreachable", "rate_limited", "server_error", "garbled", "denied"})


class ModelFailure(Exception):  # noqa: N818 -- an expected outcome with a reason, handled by everybody who asks
    """A call that brought no completion. ``detail`` is a sentence for people; it quotes neither the prompt, the answer nor the key.

    ``retry_after`` is in seconds from now and None where nothing is known. ``input_tokens`` and ``output_tokens`` are what the server said
    it counted, 0 where it said nothing; after ``timeout`` it may have billed without saying so. ``attempts`` counts requests on the wire.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        retry_after: float | None = None,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        attempts: int = 0,
        latency_ms: int = 0,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: Reason = reason
        self.detail = detail
        self.retry_after = retry_after
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self.attempts = attempts
        self.latency_ms = latency_ms

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.reason in _RETRYABLE

    @property
    def server_at_fault(self) -> bool:
        """Whether it says something of the server, for every caller: what a breaker should count."""
        return self.reason in _SERVER_AT_FAULT
