"""Logs why calls of the model fail, in a sentence that says what the operator should check."""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import urlsplit

from llm.client.failures import ModelFailure, Reason

_LOG: Final = logging.getLogger(__name__)

SENTENCES: Final[dict[Reason, str]] = {
    "unreachable": "the model server does not answer at its address: check the address, and that the server runs",
    "timeout": "the model gave no complete answer in time; ONRAMP_LLM_TIMEOUT_SECONDS allows it more",
    "denied": "the model server refused us: check the address, ONRAMP_LLM_API_KEY and ONRAMP_LLM_MODEL",
    "rate_limited": "the model server takes no more calls at present",
    "server_error": "the model server failed",
    "garbled": "the model server answers with something that is no chat completion: check the address, which mostly ends in /v1",
    "refused": "the model server did not take the request, or the model declined",
    "truncated": "the answer was cut at the limit on output tokens",
    "no_content": "the model answered with nothing",
}
"""Reason code of a call that was sent → sentence. The other codes mean that no request was sent."""

AGAIN_SECONDS: Final = 300.0
"""Seconds after which a lasting failure is logged again."""


class FailureLog:
    """Logs each reason at once, and then at most every ``AGAIN_SECONDS``. Holds neither prompts nor answers."""

    def __init__(self, base_url: str) -> None:
        self._address: Final = masked(base_url)
        self._logged_at: dict[Reason, float] = {}

    def log(self, failure: ModelFailure, now: float) -> None:
        """Log ``failure`` as a warning, unless its reason was logged recently. ``now`` is in seconds, on a clock that never goes back."""
        reason = failure.reason
        if reason not in SENTENCES or now - self._logged_at.get(reason, float("-inf")) < AGAIN_SECONDS:
            return
        self._logged_at[reason] = now
        detail = f", {failure.detail.partition(';')[0]}" if failure.detail else ""
        _LOG.warning("calls of the model at %s: %s (%s%s); templates stay meanwhile", self._address, SENTENCES[reason], reason, detail)


def masked(url: str) -> str:
    """``url`` without user, password, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
