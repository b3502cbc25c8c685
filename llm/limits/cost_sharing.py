"""Divides the cost of a call among the requests that share it: the first waiter to finish is charged. A cancelled waiter is charged only
if it is the last one.

The cost is known from the moment the call is sent, as the estimate that the budget reserves. So the row of a cancelled request states what
the provider may bill, without waiting for the call.
"""

from __future__ import annotations

import threading
import time
from typing import Final

import msgspec

from llm.answer import Answer, Exchange, Usage
from state.decision.wording_request import WordingRequest


class SharedCall:
    """One call. ``usage`` is None until the call is sent, at the monotonic second ``sent_at``; ``exchange`` also where none is kept."""

    def __init__(self, key: str) -> None:
        self.key: Final = key
        self.usage: Usage | None = None
        self.exchange: Exchange | None = None
        self.sent_at = 0.0
        self.waiters: set[Waiter] = set()
        self.charged: Waiter | None = None

    def sent(self, estimate: Usage, exchange: Exchange | None) -> None:
        """Record that the call is sent now and may use ``estimate``."""
        self.usage, self.exchange, self.sent_at = estimate, exchange, time.monotonic()


class Waiter(msgspec.Struct, frozen=True, eq=False):
    """One request that waits for a call."""

    call: SharedCall


class CostSharing:
    """The running calls and the requests that wait for them. ``cancel`` may be called from any thread, the rest from the event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[str, SharedCall] = {}
        self._waiters: dict[tuple[str, str], Waiter] = {}

    def join(self, key: str, request: WordingRequest, *, running: bool) -> Waiter:
        """Add ``request`` to the waiters of the call ``key``. ``running``: that call has begun already."""
        with self._lock:
            call = self._calls.get(key) if running else None
            if call is None:
                call = self._calls[key] = SharedCall(key)
            waiter = self._waiters[_name(request)] = Waiter(call)
            call.waiters.add(waiter)
        return waiter

    def is_charged(self, waiter: Waiter) -> bool:
        """Whether this waiter, whose call has ended, is charged for it."""
        with self._lock:
            call = waiter.call
            if call.charged is None and waiter in call.waiters:
                call.charged = waiter
            return call.charged is waiter

    def cancel(self, request: WordingRequest) -> Answer | None:
        """Take ``request`` off its call and return the cost to record for it, in an answer without a reason.

        None where nothing was sent yet. The usage is zero where the call goes on for others. Cancel the request right after this.
        """
        with self._lock:
            waiter = self._waiters.get(_name(request))
            if waiter is None:
                return None
            call = waiter.call
            call.waiters.discard(waiter)
            if call.usage is None:
                return None
            if call.charged is None and not call.waiters:
                call.charged = waiter
            charged, usage, exchange = call.charged is waiter, call.usage, call.exchange
            took = round((time.monotonic() - call.sent_at) * 1000)
        if not charged:
            return Answer(source="coalesced", usage=Usage(latency_ms=took))
        return Answer(source="call", usage=msgspec.structs.replace(usage, model="", latency_ms=took), exchange=exchange)

    def leave(self, request: WordingRequest, waiter: Waiter) -> None:
        """Forget a request that has ended, and its call with the last of them."""
        with self._lock:
            call = waiter.call
            call.waiters.discard(waiter)
            if self._waiters.get(_name(request)) is waiter:
                del self._waiters[_name(request)]
            if not call.waiters and self._calls.get(call.key) is call:
                del self._calls[call.key]

    def __len__(self) -> int:
        """How many requests wait for a call."""
        return len(self._waiters)


def _name(request: WordingRequest) -> tuple[str, str]:
    return request.record.tenant_id, request.record.decision_id
