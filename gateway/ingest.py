"""Takes events in: completes them, checks them, applies the sender's rights and rate, and stores those that pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, Final

from starlette.types import Scope

from gateway.byte_budget import ByteBudget
from gateway.caller import Caller, Fault, SenderRules
from gateway.errors import RefusedError, too_many, unavailable
from gateway.headers import headers_in
from gateway.log import Log, OversizeError, Record, UnavailableError
from gateway.plain_events import read_plain
from gateway.quota import Quota
from gateway.rate_limit import RateLimiter
from gateway.split_json import MOST_EVENTS
from gateway.validation import check, complete, faults_of, first_fault, id_of, needs_completion
from state.event import Event
from state.mend_message import mend_text
from state.messages import MAX_MESSAGE
from state.records.subject import is_deletion
from state.traceparent import read_traceparent

MOST_DETAILED: Final = 100
"""Rejected events of one request whose every fault is listed; of the others only the first. It bounds what a hostile batch costs."""
MOST_LOOKED_AT: Final = MAX_MESSAGE
"""Bytes that are decoded again to find further faults, of all events of one request. A large event may have many faults."""
_SEVERAL: Final = 5
"""Events from which on one look at all of them costs less than the decoder for each."""
_NONE: Final[frozenset[bytes]] = frozenset()


TOO_LARGE: Final = Fault("", "too_large", "the event is larger than the event log takes; make it smaller, or raise the limit of the topic")


class Rejected:
    """An event of a request that was not stored."""

    __slots__ = ("event_id", "faults", "index", "value")

    def __init__(self, *, index: int, event_id: str | None, faults: list[Fault], value: bytes) -> None:
        self.index = index
        self.event_id = event_id
        self.faults = faults
        self.value = value

    @property
    def forbidden(self) -> bool:
        """Whether the event is valid, and only this sender may not send it."""
        return all(fault.code == "forbidden" for fault in self.faults)

    @property
    def too_large(self) -> bool:
        """Whether the event is valid, and the log does not take its size."""
        return all(fault.code == TOO_LARGE.code for fault in self.faults)

    def as_json(self) -> dict[str, Any]:
        """Return the part of the answer about this event."""
        faults = [{"field": fault.field, "code": fault.code, "message": fault.message} for fault in self.faults]
        return {"index": self.index, **({"eventId": self.event_id} if self.event_id is not None else {}), "faults": faults}


class Ingest:
    """The way into the log, shared by all routes that take events."""

    def __init__(
        self,
        log: Log,
        rules: SenderRules,
        limits: RateLimiter,
        user_limits: RateLimiter,
        clock: Callable[[], int],
        quota: Quota,
    ) -> None:
        """``limits`` are those of keys, ``user_limits`` those of one user's tokens, ``quota`` that of each tenant.

        ``clock`` is in milliseconds since 1970 UTC.
        """
        self._log = log
        self._rules = rules
        self._limits = limits
        self._user_limits = user_limits
        self._quota = quota
        self.clock = clock

    async def take(self, caller: Caller, events: int, *, size: int, values: Sequence[bytes] = ()) -> None:
        """Count a request of ``events`` and ``size`` bytes against the rate of the caller. Raises ``RefusedError`` (429).

        That is also raised where the events would exceed the quota of the tenant, which counts those that ``store`` stores.
        Not where all ``values`` are deletions that a server sends: a quota delays none.

        Each KiB counts as an event where that is more: few large events must not fill the log, so that retention deletes what nobody read.
        """
        limits = self._limits if caller.user is None else self._user_limits
        wait = limits.take(caller.account, max(events, size >> 10))
        if wait:
            raise too_many(wait)
        try:
            await self._quota.check(caller.tenant, events, pages=caller.kind != "server")
        except RefusedError:
            if caller.kind != "server" or not values or not all(map(is_deletion, values)):
                raise

    def sort(
        self, values: Sequence[bytes], caller: Caller, headers: tuple[tuple[str, bytes], ...]
    ) -> tuple[list[str], list[Record], list[Rejected]]:
        """Return the ids and the records of the events to store, and those that are rejected."""
        now = self.clock()
        ids: list[str] = []
        records: list[Record] = []
        rejected: list[Rejected] = []
        if needs_completion(caller):
            values = [complete(value, caller) for value in values]
        plain = read_plain(values, now) if len(values) >= _SEVERAL else None
        if plain is not None and self._rules.allow(plain, caller):
            keys = map(str.encode, plain.users)
            return plain.ids, list(map(Record, keys, values, repeat(headers))), []
        looks = ByteBudget(MOST_LOOKED_AT)
        for index, value in enumerate(values):
            event = check(value, now)
            if type(event) is Event:
                fault = self._rules.fault_of(event, caller)
                if fault is None:
                    ids.append(event.id)
                    records.append(Record(event.user.encode(), value, headers))
                else:
                    rejected.append(Rejected(index=index, event_id=event.id, faults=[fault], value=value))
            else:
                assert not isinstance(event, Event)
                mended = mend_text(value)
                faults = faults_of(event, mended, now, looks) if len(rejected) < MOST_DETAILED else [first_fault(event)]
                rejected.append(Rejected(index=index, event_id=id_of(mended), faults=faults, value=value))
        return ids, records, rejected

    async def store(self, records: Sequence[Record], caller: Caller) -> frozenset[bytes]:
        """Return when the log has the records; the values of those that are larger than it ever takes. Raises ``RefusedError`` (503)."""
        counted = self._quota.count(
            caller.tenant, len(records), pages=caller.kind != "server"
        )  # before they are stored: requests that come meanwhile must know
        try:
            await self._log.append(records)
        except OversizeError as error:
            self._quota.take_back(counted, sum(record.value in error.values for record in records))
            return error.values
        except UnavailableError as error:
            self._quota.take_back(counted, len(records))
            raise unavailable(f"{error}; nothing was acknowledged, send the same events again", error.retry_after) from error
        return _NONE


def headers_of(scope: Scope) -> tuple[tuple[str, bytes], ...]:
    """Return the message headers that an HTTP request carries: a valid ``traceparent``, and ``x-api-version``."""
    headers = headers_in(scope)
    trace, version = headers.get(b"traceparent"), headers.get(b"x-api-version")
    if trace is None and version is None:
        return ()
    found: list[tuple[str, bytes]] = []
    if trace is not None and (read := read_traceparent(trace.decode("latin-1"))):
        found.append(("traceparent", read.encode()))
    if version is not None and len(version) <= 64:
        found.append(("x-api-version", version))
    return tuple(found)


def check_count(events: int) -> None:
    """Raise ``RefusedError`` for more events than one request may have."""
    if events > MOST_EVENTS:
        raise RefusedError(413, "too_large", f"the request has more than {MOST_EVENTS:,} events; send smaller batches")
