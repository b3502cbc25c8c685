"""Why a call of the model brought nothing, in a sentence for whoever runs it that says what to check; and how often that is logged."""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import urlsplit

from llm.failures import ModelFailure, Reason

_LOG: Final = logging.getLogger(__name__)

SENTENCES: Final[dict[Reason, str]] = {
    "unreachable": "the model server does not answer at its address: check the address, and that the server runs",
    "timeout": "the model gave no whole answer in time; ONRAMP_LLM_TIMEOUT_SECONDS allows it more",
    "denied": "the model server refused us: check the address, ONRAMP_LLM_API_KEY and ONRAMP_LLM_MODEL",
    "rate_limited": "the model server takes no more calls at present",
    "server_error": "the model server failed",
    "garbled": "the model server answers with something that is no chat completion: check the address, which mostly ends in /v1",
    "refused": "the model server did not take the request, or the model declined",
    "truncated": "the answer was cut at the limit on output tokens",
    "no_content": "the model answered with nothing",
}
"""What a call can end in once it is made, by reason code. The other codes mean that nobody was asked."""

AGAIN_SECONDS: Final = 300.0
"""After which a cause that lasts is logged again: soon enough for who looks at the log now, seldom enough for who keeps it."""


class CauseLog:
    """Logs why calls fail, each reason at once and then every ``AGAIN_SECONDS`` at most. Holds neither prompts nor answers."""

    def __init__(self, base_url: str) -> None:
        self._address: Final = masked(base_url)
        self._said: dict[Reason, float] = {}

    def tell(self, failure: ModelFailure, now: float) -> None:
        """Log ``failure`` as a warning, unless its reason was logged of late. ``now`` is in seconds, on a clock that never goes back."""
        reason = failure.reason
        if reason not in SENTENCES or now - self._said.get(reason, float("-inf")) < AGAIN_SECONDS:
            return
        self._said[reason] = now
        detail = f", {failure.detail.partition(';')[0]}" if failure.detail else ""
        _LOG.warning("calls of the model at %s: %s (%s%s); templates stay meanwhile", self._address, SENTENCES[reason], reason, detail)


def masked(url: str) -> str:
    """``url`` without user, password, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
