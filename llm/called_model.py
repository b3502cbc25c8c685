"""A model that is called: its client, and the limits that hold for it alone. A job has one, or a second one for shared texts."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from llm.answer import Completion, Prompt
from llm.client.failure_log import FailureLog
from llm.client.failures import ModelFailure
from llm.client.model_client import ModelClient
from llm.limits.circuit_breaker import Breaker
from llm.limits.rate_limit import RateLimit

_LOG: Final = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class CalledModel:
    """Use it on one event loop. ``what`` names it in logs.

    ``setting_names``: a setting of the first model, as the advice about a failure names it, and the setting that this one has instead.
    """

    client: ModelClient
    breaker: Breaker
    rate_limit: RateLimit
    what: str = "the model"
    setting_names: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        self._failure_log = FailureLog(self.client.settings.base_url, self.what)

    @property
    def name(self) -> str:
        """The name under which its server knows it."""
        return self.client.settings.model

    async def ask(self, prompt: Prompt) -> Completion:
        """Make a call that no breaker counts. Raises ``ModelFailure``."""
        try:
            return await self.client.complete(prompt)
        except ModelFailure as failure:
            for first, own in self.setting_names:
                failure.advice = failure.advice.replace(first, own)
            raise

    async def ask_through_breaker(self, prompt: Prompt) -> Completion:
        """Make a call that the breaker has allowed, and report to it how the call ended. Raises ``ModelFailure``."""
        loop, breaker = asyncio.get_running_loop(), self.breaker
        try:
            completion = await self.ask(prompt)
        except ModelFailure as failure:
            self._failure_log.log(failure, loop.time())
            (breaker.failed if failure.server_at_fault else breaker.succeeded)(loop.time())
            raise
        except BaseException:
            breaker.abandoned(loop.time())
            raise
        else:
            breaker.succeeded(loop.time())
        finally:
            for change in breaker.take_changes():
                _LOG.warning("calls of %s: breaker %s, was %s (%s)", self.what, change.after, change.before, change.why)
        return completion
