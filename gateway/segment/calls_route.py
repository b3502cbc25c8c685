"""``POST /v1/track`` and its kin, ``/v1/batch``, and Segment's webhook destination.

SDKs decide by the status alone what to send again: 200 when the log has everything, 429 and 503 for later, and 400 for never. That is also
the answer to a body that is too large, because some send after a 413 for ever. A call of a batch that is not valid goes into the log too,
so that it ends among the dead letters of the job.
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.authentication import Authenticator
from gateway.body import BodyReader
from gateway.caller import Caller, Fault
from gateway.errors import RefusedError, json_response, not_json, too_large, unauthorized
from gateway.ingest import Ingest, Rejected, check_count, headers_of
from gateway.log import Record
from gateway.segment.mapping import Mapped, TrackNames, UnmappableError, milliseconds, to_events
from gateway.segment.write_key import LONGEST_KEY, find_write_key
from gateway.split_json import split_array, split_object
from gateway.validation import read_mended

MOST_EVENT: Final = 32_768
MOST_BATCH: Final = 512_000
"""Bytes of a call, and of a batch, after decompression: the limits of Segment's API (32 KB and 500 KB)."""
_TOO_LARGE: Final = 413

_objects: Final = msgspec.json.Decoder(dict[str, Any])
_anything: Final = msgspec.json.Decoder()


class CallsRoute:
    """One call (``kind``), or a batch of them (``kind`` None). An ASGI endpoint."""

    def __init__(self, authenticator: Authenticator, ingest: Ingest, names: TrackNames, bodies: BodyReader, kind: str | None) -> None:
        """``names`` says what the names of track calls mean for each tenant."""
        self._authenticator = authenticator
        self._ingest = ingest
        self._names = names
        self._bodies = bodies
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer when the log has the events. Raises ``RefusedError``."""
        with _never_again():
            response = await self._answer(scope, receive)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        named = any(name == b"authorization" for name, _ in scope["headers"])
        caller = self._authenticator.authenticate(scope) if named else None
        body = await self._bodies.read(scope, receive, caller, limit=MOST_EVENT if self._kind is not None else MOST_BATCH)
        if caller is None:  # nothing else of the body is read for a sender who is not known
            caller = self._authenticator.write_key(scope, find_write_key(body, self._authenticator.knows_write_key))
        sent = _decode(body) if self._kind is not None else _decode_batch(body)
        if self._kind is not None:
            one, kept = [(sent, self._kind)], headers_of(scope)
            return await store_calls(one, sent, caller, self._ingest, self._names, kept, size=len(body), single=True)
        batch = sent.get("batch")
        if not isinstance(batch, list):
            raise RefusedError(400, "bad_batch", "the body has no batch, a list of calls")
        calls = [_typed(call) for call in batch]
        return await store_calls(calls, sent, caller, self._ingest, self._names, headers_of(scope), size=len(body), single=False)


class WebhookRoute:
    """Segment's webhook destination: its customers add it, and change nothing in their apps."""

    def __init__(self, authenticator: Authenticator, ingest: Ingest, names: TrackNames, bodies: BodyReader) -> None:
        """``names`` says what the names of track calls mean for each tenant."""
        self._authenticator = authenticator
        self._ingest = ingest
        self._names = names
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check secret and signature, and answer when the log has the events. Raises ``RefusedError``.

        The secret comes in a header, because in a batch the signature covers the first event only.
        """
        with _never_again():
            response = await self._answer(scope, receive)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get(b"authorization", "")
        scheme, _, rest = given.partition(" ")
        secret = rest.strip() if scheme.lower() == "bearer" else given.strip()
        caller = self._authenticator.webhook(scope, secret[:LONGEST_KEY])
        body = await self._bodies.read(scope, receive, caller, limit=MOST_BATCH)
        several = body.lstrip()[:1] == b"["
        parts = split_array(body) if several else [body]
        if parts is None:
            raise not_json()
        expected = hmac.new(secret.encode(), parts[0] if parts else b"", "sha1").hexdigest()
        if not hmac.compare_digest(expected.encode(), headers.get(b"x-signature", "").strip().lower().encode()):
            raise unauthorized("x-signature is not the HMAC-SHA1 of the body with the webhook's secret")
        calls = [_typed(_read(part)) for part in parts] if several else [_typed(_decode(body))]
        # Segment has corrected the clock already, so that `sentAt` must not do it again.
        return await store_calls(calls, {}, caller, self._ingest, self._names, headers_of(scope), size=len(body), single=False)


async def store_calls(
    calls: Sequence[tuple[object, str]],
    envelope: Mapping[str, Any],
    caller: Caller,
    ingest: Ingest,
    names: TrackNames,
    headers: tuple[tuple[str, bytes], ...],
    *,
    size: int,
    single: bool,
) -> Response:
    """Store the events of ``calls``, and return the answer. ``single``: a fault is answered with 400; else it becomes a dead letter.

    A call comes with its type; bytes stand for one that cannot be read. ``size``: bytes of the request, for the rate.
    """
    check_count(len(calls))
    received = ingest.clock()
    values: list[bytes] = []
    owners: list[int] = []
    rejected: list[Rejected] = []
    for index, (call, kind) in enumerate(calls):
        try:
            events = _events_of(call, kind, envelope, names=names.of(caller.tenant), received=received, merges=caller.kind == "server")
        except UnmappableError as error:
            value = call if isinstance(call, bytes) else msgspec.json.encode(call)
            rejected.append(Rejected(index=index, event_id=None, faults=[Fault("", error.code, str(error))], value=value))
            continue
        values += (msgspec.json.encode(event) for event in events)
        owners += [index] * len(events)
    await ingest.take(caller, len(values) + len(rejected), size=size)  # what is stored of them: a call may become two events
    _, records, faulty = ingest.sort(values, caller, headers)
    for each in faulty:
        each.index = owners[each.index]
    rejected += faulty
    if single and rejected:
        first = rejected[0]
        status, code = (403, "forbidden") if first.forbidden else (400, "invalid_event")
        message = "; ".join(fault.message for fault in first.faults)
        raise RefusedError(status, code, message, success=False, rejected=[each.as_json() for each in rejected])
    letters = [_dead_letter(each, caller, headers) for each in rejected]
    if await ingest.store([*records, *letters], caller):
        raise too_large("a call is larger than the event log takes; the others are stored")
    told = {"rejected": [each.as_json() for each in rejected]} if rejected else {}
    return json_response(200, {"success": True, **told})


def _events_of(
    call: object, kind: str, envelope: Mapping[str, Any], *, names: Mapping[str, str], received: int, merges: bool
) -> list[Mapped]:
    """Return the events of one call. Raises ``UnmappableError``."""
    if isinstance(call, bytes):
        raise UnmappableError("not_json", "the call is not JSON, or has a number that is too large")
    if not isinstance(call, dict):
        raise UnmappableError("unknown_type", "the call is not an object")
    # A call of a batch may have a `sentAt` of its own.
    sent = milliseconds(envelope.get("sentAt")) or milliseconds(call.get("sentAt")) if envelope else None
    return to_events(call, kind, names=names, received=received, sent=sent, new_id=lambda: uuid.uuid4().hex, merges=merges)


def _dead_letter(each: Rejected, caller: Caller, headers: tuple[tuple[str, bytes], ...]) -> Record:
    """Return a message that the job rejects as well.

    What a server sent goes as it is, so that the job finds the same reason. Of other senders it is wrapped: nothing of it may count,
    whatever it looks like in a moment, when a timestamp that is too far ahead no longer is. A call that is not JSON makes the whole message
    one that is not: it keeps its bytes, in which a deletion finds the ids of users.
    """
    reason = each.faults[0].code if each.faults else ""
    if caller.kind != "server" or reason in {"forbidden", "timestamp_out_of_range"} or not each.faults[0].field:
        faults = [{"field": fault.field, "code": fault.code, "message": fault.message} for fault in each.faults]
        value = msgspec.json.encode({"rejectedByGateway": faults, "tenantId": caller.tenant, "message": msgspec.Raw(each.value)})
    else:
        value = each.value
    return Record((each.event_id or caller.key_id).encode(), value, headers)


@contextmanager
def _never_again() -> Iterator[None]:
    """Answer 400 for what is too large: some SDKs send the same again after a 413."""
    try:
        yield
    except RefusedError as error:
        if error.status != _TOO_LARGE:
            raise
        raise RefusedError(400, error.code, str(error)) from error


def _typed(call: object) -> tuple[object, str]:
    """Return a call and its type, which only an object has."""
    return call, str(call.get("type")) if isinstance(call, dict) else ""


def _read(part: bytes) -> object:
    """Return what ``part`` says, or itself where it cannot be read."""
    found = read_mended(_anything, part)
    return part if found is None and part != b"null" else found


def _decode(body: bytes) -> dict[str, Any]:
    found = read_mended(_objects, body)
    if found is None:
        raise not_json()
    return found


def _decode_batch(body: bytes) -> dict[str, Any]:
    """Decode a batch. A call in it that cannot be read stands for itself, as bytes, so that it costs no other."""
    found = read_mended(_objects, body)
    if found is not None:
        return found
    fields = split_object(body) or {}
    calls = split_array(fields.pop("batch", b""))
    if calls is None:
        raise not_json()
    return {**{name: _read(value) for name, value in fields.items()}, "batch": [_read(call) for call in calls]}
