"""Decodes and validates messages: an event, or a dead letter with the reason.

The fast path is one ``msgspec`` decode into a struct. A message that fails it is parsed a second time, slowly, to find a reason that helps
its sender.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from state.messages import Message
from state.records.dead_letter import DeadLetter
from state.times import YEAR_2000
from state.vocabulary import EVENT_TYPES

MAX_MESSAGE: Final = 1_048_576
MAX_PAYLOAD: Final = 32_768
MAX_DEPTH: Final = 32
"""Levels of lists and objects in a payload, itself included."""
MIN_TIMESTAMP: Final = YEAR_2000
MAX_AHEAD: Final = 86_400_000
"""How far a timestamp may be ahead of the message's time reference, in milliseconds."""

REJECTIONS: Final[dict[str, str]] = {
    "not_json": "the message is not JSON",
    "not_an_object": "the message is JSON, but not an object",
    "too_large": "the message is larger than 1 MiB",
    "bad_encoding": "the message is not UTF-8",
    "missing_event_id": "eventId is missing",
    "bad_event_id": "eventId is not a string of 1 to 128 characters without control characters",
    "missing_user": "neither userId nor anonymousId is there",
    "bad_user_id": "userId or anonymousId is not a string of 1 to 256 characters without control characters",
    "bad_tenant_id": "tenantId is not a string of 1 to 128 characters without control characters, colons and braces",
    "bad_session_id": "sessionId is not a string of at most 256 characters",
    "missing_event_type": "eventType is missing",
    "unknown_event_type": "eventType is not one of the contract's types",
    "bad_name": "name is not a string of at most 256 characters",
    "missing_timestamp": "timestamp is missing",
    "bad_timestamp": "timestamp is not an RFC 3339 date and time with a zone",
    "timestamp_out_of_range": "timestamp is before 2000, or more than 24 hours ahead of its time reference",
    "bad_payload": "payload is not an object, lacks what its event type needs, is nested too deep or has too large an integer",
    "payload_too_large": "payload is larger than 32 KiB",
    "unsupported_schema_version": "schemaVersion is not 1",
    "bad_field": "a field has the wrong type",
}
"""Reason code of a rejected message → its description."""

_REQUIRED: Final[dict[str, str]] = {
    "page_view": "path",
    "button_click": "target",
    "form_submit": "form",
    "error": "code",
    "identity_merged": "previousId",
}
"""Event type → the payload field that it requires, a non-empty string."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_TENANT: Final = re.compile(r"[\x00-\x1f\x7f:{}]")
"""Redis keys separate tenant and user by a colon, and braces are the cluster's hash tag. With them, keys of two tenants could be equal."""


class Event(msgspec.Struct, gc=False):
    """One valid event, with its place in the input.

    ``timestamp`` is event time, ``log_time`` the time of the log that carried it; both in milliseconds. ``raw_payload`` is the payload
    as it was sent. ``seq`` orders the events of one source partition. ``anonymous``: ``user`` is an ``anonymousId``.
    ``from_visitor``: the event was sent and recorded under an anonymous id. That visitor was merged, and the event now counts for the user.
    """

    tenant: str
    user: str
    anonymous: bool
    id: str
    session: str
    type: str
    name: str
    payload: dict[str, Any]
    raw_payload: bytes
    timestamp: int
    log_time: int
    partition: int
    offset: int
    seq: int
    traceparent: str
    from_visitor: bool = False


class _Wire(msgspec.Struct, gc=False, rename="camel"):
    event_id: Annotated[str, Meta(min_length=1, max_length=128)]
    event_type: str
    timestamp: Annotated[datetime, Meta(tz=True)]
    user_id: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    anonymous_id: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    tenant_id: Annotated[str, Meta(min_length=1, max_length=128)] = "default"
    session_id: Annotated[str, Meta(max_length=256)] | None = None
    name: Annotated[str, Meta(max_length=256)] | None = None
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    schema_version: int = 1


class _Timestamp(msgspec.Struct, gc=False):
    timestamp: Annotated[datetime, Meta(tz=True)]


_wire_decoder = msgspec.json.Decoder(_Wire)
_object_decoder = msgspec.json.Decoder(dict[str, Any])
_timestamp_decoder = msgspec.json.Decoder(_Timestamp)


class _RejectError(Exception):
    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail or REJECTIONS[reason]


def peek_timestamp(value: bytes) -> int | None:
    """Event time of a message in milliseconds, or ``None`` where it has none. Fast; validates nothing else."""
    try:
        return round(_timestamp_decoder.decode(value).timestamp.timestamp() * 1000)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
        return None


def decode(message: Message) -> Event | DeadLetter:
    """Decode a message to an event, or to a dead letter with the reason. Raises for no message content."""
    try:
        return _decode(message)
    except _RejectError as reject:
        return DeadLetter(
            reason=reject.reason,
            detail=reject.detail,
            raw=message.value,
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            log_time=message.log_time,
            key=message.key,
        )


def _decode(message: Message) -> Event:
    value = message.value
    if len(value) > MAX_MESSAGE:
        raise _RejectError("too_large")
    try:
        wire = _wire_decoder.decode(value)
        timestamp = round(wire.timestamp.timestamp() * 1000)
        payload = _object_decoder.decode(wire.payload)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise _diagnose(value, error) from None
    user = wire.user_id or wire.anonymous_id
    if user is None:
        raise _RejectError("missing_user")
    if wire.event_type not in EVENT_TYPES:
        raise _RejectError("unknown_event_type", f"{wire.event_type[:64]!r} is not an event type")
    if wire.schema_version != 1:
        raise _RejectError("unsupported_schema_version", f"schemaVersion {wire.schema_version} is not supported; send 1")
    if _CONTROL.search(user + wire.event_id):
        raise _RejectError("bad_user_id" if _CONTROL.search(user) else "bad_event_id")
    if wire.tenant_id != "default" and _NOT_IN_TENANT.search(wire.tenant_id):
        raise _RejectError("bad_tenant_id")
    if len(wire.payload) > MAX_PAYLOAD:
        raise _RejectError("payload_too_large", f"payload has {len(wire.payload)} bytes, at most {MAX_PAYLOAD} are allowed")
    raw_payload = bytes(wire.payload)
    if _LONG_NUMBER.search(raw_payload) or raw_payload.count(b"[") + raw_payload.count(b"{") > MAX_DEPTH:
        _check_storable(payload, MAX_DEPTH)
    if not MIN_TIMESTAMP <= timestamp <= message.reference + MAX_AHEAD:
        raise _RejectError("timestamp_out_of_range")
    needed = _REQUIRED.get(wire.event_type)
    if needed is not None:
        given = payload.get(needed)
        if not isinstance(given, str) or not given:
            raise _RejectError("bad_payload", f"payload of {wire.event_type} needs {needed}, a non-empty string")
        if needed == "previousId" and (len(given) > 256 or _CONTROL.search(given)):
            raise _RejectError("bad_payload", "previousId is not an id")
    return Event(
        tenant=wire.tenant_id,
        user=user,
        anonymous=wire.user_id is None,
        id=wire.event_id,
        session=wire.session_id or "",
        type=wire.event_type,
        name=wire.name or "",
        payload=payload,
        raw_payload=raw_payload,
        timestamp=timestamp,
        log_time=message.log_time,
        partition=message.partition,
        offset=message.offset,
        seq=message.seq,
        traceparent=message.traceparent,
    )


_LONG_NUMBER: Final = re.compile(rb"\d{19}")


def _check_storable(value: object, levels: int) -> None:
    """Reject nesting and integers that MessagePack cannot encode: the next snapshot would fail and stop the job."""
    if isinstance(value, dict | list):
        if not levels:
            raise _RejectError("bad_payload", f"payload is nested more than {MAX_DEPTH} levels deep")
        for each in value.values() if isinstance(value, dict) else value:
            _check_storable(each, levels - 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise _RejectError("bad_payload", "payload holds an integer beyond 64 bits; send it as a string")


_STRINGS: Final[tuple[tuple[str, str | None, str, int, int], ...]] = (
    # field, reason when missing, reason when wrong, least and greatest length
    ("eventId", "missing_event_id", "bad_event_id", 1, 128),
    ("userId", None, "bad_user_id", 1, 256),
    ("anonymousId", None, "bad_user_id", 1, 256),
    ("tenantId", None, "bad_tenant_id", 1, 128),
    ("sessionId", None, "bad_session_id", 0, 256),
    ("eventType", "missing_event_type", "unknown_event_type", 1, 64),
    ("name", None, "bad_name", 0, 256),
    ("timestamp", "missing_timestamp", "bad_timestamp", 1, 64),
)


def _diagnose(value: bytes, error: Exception) -> _RejectError:
    """Find the reason why the fast path failed."""
    try:
        value.decode()
    except UnicodeDecodeError as broken:
        return _RejectError("bad_encoding", f"the message is not UTF-8 at byte {broken.start}")
    try:
        data = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError) as broken:
        return _RejectError("not_json", f"the message is not JSON: {str(broken)[:200]}")
    if not isinstance(data, dict):
        return _RejectError("not_an_object")
    for field, missing, wrong, least, most in _STRINGS:
        given = data.get(field)
        if given is None and (missing is None or field not in data):
            if missing is not None:
                return _RejectError(missing)
        elif not isinstance(given, str) or not least <= len(given) <= most:
            return _RejectError(wrong)
    if data.get("userId") is None and data.get("anonymousId") is None:
        return _RejectError("missing_user")
    if data["eventType"] not in EVENT_TYPES:
        return _RejectError("unknown_event_type", f"{data['eventType'][:64]!r} is not an event type")
    if peek_timestamp(value) is None:
        return _RejectError("bad_timestamp", f"timestamp {data['timestamp']!r} is not an RFC 3339 date and time with a zone (Z or +01:00)")
    if not isinstance(data.get("payload", {}), dict):
        return _RejectError("bad_payload", "payload is not an object")
    if data.get("schemaVersion", 1) != 1 or isinstance(data.get("schemaVersion"), bool | float):
        return _RejectError("unsupported_schema_version")
    for field in ("tenantId",):
        if field in data and data[field] is None:
            return _RejectError("bad_tenant_id")
    return _RejectError("bad_field", str(error)[:200])
