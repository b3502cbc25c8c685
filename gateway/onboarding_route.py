"""``POST /v1/onboarding/start`` and ``POST /v1/onboarding/step/complete``: store one event, and answer with the progress that follows.

The first writes a ``signup``, the second a ``step_completed``. The job publishes the progress after each of them, whether it changed or
not, and announces it on the channel that the streams follow too: one subscriber for the process wakes the request of that user. So the
answer tells what the job made of the event, or, after a second, where to look.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.authentication import Authenticator
from gateway.body import BodyReader
from gateway.caller import Caller, Fault
from gateway.errors import RefusedError, json_response
from gateway.events_route import partly
from gateway.ingest import TOO_LARGE, Ingest, Rejected, headers_of
from gateway.log import Record
from gateway.records import Records, Stored
from gateway.updates import Updates
from gateway.validation import read_mended
from state.catalog.by_tenant import Plans
from state.catalog.plan import Plan
from state.event_contract import MAX_PAYLOAD
from state.times import rfc3339

WAIT_SECONDS: Final = 1.0
"""How long a request waits for the job once its event is stored."""
MOST_WAITING: Final = 1_000
"""Requests that wait at a time; beyond, the answer is where to look."""
MOST_BODY: Final = 2 * MAX_PAYLOAD

_SENT: Final = ("eventId", "userId", "tenantId", "sessionId", "timestamp")
"""Fields of a request that go into the event as they are. The version of the contract is that in which the gateway writes the event."""

Fields = dict[str, Any]
_object: Final = msgspec.json.Decoder(Fields)


class _Head(msgspec.Struct):
    id: str
    status: str


class _Steps(msgspec.Struct):
    steps: list[_Head] = []


_steps: Final = msgspec.json.Decoder(_Steps)


class _Awaited(NamedTuple):
    """The step whose completion a request waits for."""

    step: str
    required: tuple[str, ...]

    def is_done(self, record: Stored) -> bool:
        """Whether the record shows the step as done."""
        return self._status(record).get(self.step) == "done"

    def is_settled(self, record: Stored) -> bool:
        """Whether there is nothing to wait for: the step is done, not on the path, or not to be done before another one."""
        status = self._status(record)
        return status.get(self.step) in {None, "done"} or any(status.get(each) != "done" for each in self.required)

    @staticmethod
    def _status(record: Stored) -> dict[str, str]:
        try:
            return {each.id: each.status for each in _steps.decode(record.data).steps}
        except ValueError:
            return {}


class _Known(NamedTuple):
    """Progress, as far as it is known. ``follows``: the job has published it after the event.

    Else it is from before, as far as anybody can tell. The job publishes nothing for an event that is sent again.
    """

    progress: Stored | None
    follows: bool


_UNKNOWN: Final = _Known(None, follows=False)


class OnboardingRoute:
    """The two routes. A user token may do both for its own user, a server key for every user of its tenant."""

    def __init__(
        self,
        authenticator: Authenticator,
        ingest: Ingest,
        records: Records,
        updates: Updates,
        plans: Plans,
        bodies: BodyReader,
    ) -> None:
        """Users of a tenant without a catalog in ``plans`` may name any step."""
        self._authenticator = authenticator
        self._ingest = ingest
        self._records = records
        self._updates = updates
        self._plans = plans
        self._bodies = bodies
        self._waiting = 0

    async def start(self, request: Request) -> Response:
        """Store a ``signup``. Answer 200 with the progress after it, or 202 with what is known in time. Raises ``RefusedError``."""
        return await self._answer(request, "signup", "traits")

    async def complete(self, request: Request) -> Response:
        """Store a ``step_completed``. Answer 200 with the progress after it, or 202 with what is known in time. Raises ``RefusedError``."""
        return await self._answer(request, "step_completed", "step")

    async def _answer(self, request: Request, kind: str, field: str) -> Response:
        caller = self._authenticator.authenticate(request.scope)
        self._authenticator.reader(request.scope, caller.user or "")  # who may not read the progress is refused before anything is stored
        body = await self._bodies.read(request.scope, request.receive, caller, limit=MOST_BODY)
        sent = read_mended(_object, body)
        if sent is None:
            raise RefusedError(400, "not_json", "the body is not a JSON object; nothing was stored")
        await self._ingest.take(caller, 1, size=len(body))
        value = msgspec.json.encode(self._event(sent, kind, field))
        ids, records, rejected = self._ingest.sort([value], caller, headers_of(request.scope))
        plan = self._plans.find(caller.tenant)
        if not rejected and field == "step" and plan is not None and sent[field] not in plan.steps:
            sentence = "the catalog has no such step; the progress of a user lists the steps of their path"
            rejected = [Rejected(index=0, event_id=ids[0], faults=[Fault("step", "unknown_step", sentence)], value=value)]
        if rejected:
            return _refused(rejected)
        user = records[0].key.decode()
        step = _awaited(plan, sent[field]) if field == "step" else None
        found = await self._store_and_wait(caller, user, records, step)
        if isinstance(found, Rejected):
            return _refused([found])
        progress = None if found.progress is None else msgspec.Raw(found.progress.data)
        if found.follows:
            return json_response(200, {"stored": ids, "progress": progress})
        address = f"/v1/users/{quote(user, safe='')}/progress"
        return json_response(202, {"stored": ids, "progress": progress, "progressUrl": address}, {"location": address})

    def _event(self, sent: Fields, kind: str, field: str) -> Fields:
        given: Fields = {name: sent[name] for name in _SENT if name in sent}
        payload: Fields = {field: sent[field]} if field in sent else {}
        return {"eventId": str(uuid.uuid4()), "timestamp": rfc3339(self._ingest.clock()), **given, "eventType": kind, "payload": payload}

    async def _store_and_wait(self, caller: Caller, user: str, records: list[Record], step: _Awaited | None) -> _Known | Rejected:
        """Return the progress after the event, or what is known of it in time. Raises ``RefusedError`` if the event is not stored."""
        if self._waiting >= MOST_WAITING:
            return await self._store(records, caller) or _UNKNOWN
        changed = asyncio.Event()
        self._waiting += 1
        self._updates.follow(caller.tenant, user, changed)
        reading = asyncio.create_task(self._read(caller, user))
        reading.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody asks for it if the event is not stored
        try:
            # If it is read after the event is stored, it may already be what the job made of the event. A Redis that takes longer than this
            # limit costs the answer its progress, but not the app its time.
            await asyncio.wait((reading,), timeout=WAIT_SECONDS / 4)
            return await self._store(records, caller) or await self._wait(caller, user, reading, changed, step)
        finally:
            reading.cancel()
            self._updates.unfollow(caller.tenant, user, changed)
            self._waiting -= 1

    async def _store(self, records: list[Record], caller: Caller) -> Rejected | None:
        if await self._ingest.store(records, caller):
            return Rejected(index=0, event_id=None, faults=[TOO_LARGE], value=records[0].value)
        return None

    async def _wait(
        self, caller: Caller, user: str, reading: asyncio.Task[Stored | None], changed: asyncio.Event, step: _Awaited | None
    ) -> _Known:
        before: Stored | None = None
        found: Stored | None = None
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                before = found = await reading
                if step is not None and before is not None and step.is_done(before):  # perhaps by this event, sent before
                    return _Known(before, follows=True)
                while not _is_news(found, before, step):
                    await changed.wait()
                    changed.clear()
                    found = await self._read(caller, user)
        except RefusedError:  # Redis is away
            return _Known(found, follows=False)
        except TimeoutError:
            if not self._updates.connected:  # nobody told of changes, so look once
                with suppress(RefusedError, TimeoutError):
                    async with asyncio.timeout(WAIT_SECONDS / 4):
                        found = await self._read(caller, user)
        return _Known(found, follows=_is_news(found, before, step))

    async def _read(self, caller: Caller, user: str) -> Stored | None:
        found = await self._records.progress(caller.tenant, user)
        return None if found is None or found.deleted else found


def _awaited(plan: Plan | None, step: str) -> _Awaited:
    return _Awaited(step, tuple(plan.steps[step].requires) if plan is not None else ())


def _is_news(found: Stored | None, before: Stored | None, step: _Awaited | None) -> bool:
    """Whether ``found`` was published after ``before``, and is what the request waits for."""
    changed = found is not None and (before is None or found.data != before.data)
    return changed and found is not None and (step is None or step.is_settled(found))


def _refused(rejected: list[Rejected]) -> Response:
    """Return the answer for an event that was not stored; its fields are named as the request has them."""
    for each in rejected:
        each.faults = [fault._replace(field=fault.field.removeprefix("payload.")) for fault in each.faults]
    return partly([], rejected, total=1)
