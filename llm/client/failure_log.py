"""Logs why calls of the model fail, in a sentence that says what the operator should check."""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import urlsplit

from llm.client.failures import ModelFailure

_LOG: Final = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 300.0
"""Seconds after which a lasting failure is logged again."""


class FailureLog:
    """Logs each advice at once, and then at most every ``AGAIN_SECONDS``. Holds neither prompts nor answers."""

    def __init__(self, base_url: str, what: str = "the model") -> None:
        """``what`` names the model in the sentence."""
        self._what, self._address = what, masked(base_url)
        self._logged_at: dict[str, float] = {}

    def log(self, failure: ModelFailure, now: float) -> None:
        """Log ``failure`` as a warning, unless its advice was logged recently. ``now`` is in seconds, on a clock that never goes back.

        A failure without advice sent no request and is not logged.
        """
        advice = failure.advice
        if not advice or now - self._logged_at.get(advice, float("-inf")) < AGAIN_SECONDS:
            return
        self._logged_at[advice] = now
        detail = f", {failure.detail}" if failure.detail else ""
        _LOG.warning("calls of %s at %s: %s (%s%s); templates stay meanwhile", self._what, self._address, advice, failure.reason, detail)


def masked(url: str) -> str:
    """``url`` without user, password, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
