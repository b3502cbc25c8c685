"""Decodes and validates messages: an event, or a dead letter with the reason.

The fast path is one ``msgspec`` decode into a struct. A message that fails it is looked at again, slowly: what a sound event may hold and
the decoder refuses is mended (``state/mend_message.py``), and for the rest ``state/event_diagnosis.py`` finds a reason that helps its
sender. Limits and reason codes are in ``state/event_contract.py``. What the fields of a payload mean, and what becomes of values that mean
nothing, is in ``state/event_fields.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from state.event import Event
from state.event_contract import (
    DEFAULT_TENANT,
    HIDDEN,
    MAX_AHEAD,
    MAX_DEPTH,
    MAX_PAYLOAD,
    MIN_TIMESTAMP,
    NOT_IN_TENANT,
    REJECTIONS,
    RejectError,
    wrong_version,
)
from state.event_diagnosis import diagnose
from state.event_fields import CHECKED, REQUIRED, fault_of
from state.event_time import milliseconds, peek_timestamp
from state.mend_message import mend, mend_text
from state.messages import MAX_MESSAGE, Message, Peeked
from state.placeholders import PLACEHOLDER_IDS, TAG_BEGINS, is_placeholder_id
from state.records.dead_letter import DeadLetter, attempts_of
from state.traceparent import read_traceparent
from state.upcast import ABOUT_USERS, NEWEST, UpcastError, upcast, with_traits
from state.vocabulary import KNOWN_TYPES, SWITCHED
from state.wire_event import Sender, WireEvent

_SWITCHED: Final = SWITCHED.encode()


_wire_decoder = msgspec.json.Decoder(WireEvent)
_object_decoder = msgspec.json.Decoder(dict[str, Any])
_person_decoder = msgspec.json.Decoder(Sender)


_NOT_PEEKED: Final = Peeked(None)


def peek(value: bytes) -> Peeked:
    """Event time of a message, and the message for ``decode``. Never raises."""
    try:
        wire = _wire_decoder.decode(value)
        return Peeked(round(wire.timestamp.timestamp() * 1000), wire)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
        return Peeked(peek_timestamp(value))


def may_switch(value: bytes) -> bool:
    """Whether a message may be a switch of guidance: false for certain, true nearly so. Fast; a source ends its batch after such a one."""
    return _SWITCHED in value


def peek_person(value: bytes) -> tuple[str, str] | None:
    """Tenant and id of the sender of a message, or ``None`` where it has none. Fast; validates nothing else.

    The sender is the one that ``decode`` sees: text that it mends is mended, and a blank ``userId`` is nobody.
    """
    try:
        sender = _person_decoder.decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        mended = mend_text(value)
        return None if mended is value else peek_person(mended)
    user = sender.user_id
    if not user or user.isspace():
        user = sender.anonymous_id
    return (sender.tenant_id, user) if user else None


def decode(message: Message) -> Event | DeadLetter:
    """Decode a message to an event, or to a dead letter with the reason. Raises for no message content."""
    try:
        return _decode(message)
    except RejectError as reject:
        # A fault comes with a value that is no event, so that the check costs valid messages nothing.
        return rejected(message, *(message.fault or (reject.reason, reject.detail)))


def rejected(message: Message, reason: str, detail: str) -> DeadLetter:
    """The dead letter of a message that cannot be used, for a ``reason`` of ``REJECTIONS``."""
    return DeadLetter(
        reason=reason,
        detail=detail,
        raw=message.value if message.original is None else message.original,
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        log_time=message.log_time,
        key=message.key,
        headers=message.headers,
        text=None if message.original is None else message.value,
        attempts=attempts_of(message.headers) + 1,
    )


def _decode(message: Message) -> Event:
    value = message.value
    if len(value) > MAX_MESSAGE:
        raise RejectError("too_large")
    try:
        timestamp, wire = message.peeked or _NOT_PEEKED
        if wire is None or timestamp is None:
            wire = _wire_decoder.decode(value)
            timestamp = round(wire.timestamp.timestamp() * 1000)
        raw_payload = bytes(wire.payload)
        known = _payloads.get(raw_payload)
        payload = _read_payload(raw_payload) if known is None else known
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        wire, timestamp, payload = _decode_mended(value, error)
        raw_payload, known = bytes(wire.payload), None
    if wire.schema_version != 1:
        return _decode_newer(message, wire.schema_version)
    if wire.traits and wire.event_type in ABOUT_USERS:
        return _decode(msgspec.structs.replace(message, value=with_traits(mend_text(value)), peeked=None))
    user, event_id, anonymous = wire.user_id, wire.event_id, False
    if user is None or user.strip() in PLACEHOLDER_IDS or (user[0] in TAG_BEGINS and is_placeholder_id(user)):
        user, anonymous = _anonymous_id(wire), True
    if wire.event_type not in KNOWN_TYPES:
        raise RejectError("unknown_event_type", f"{wire.event_type[:64]!r} is not an event type")
    ids = user + event_id
    if not (ids.isascii() and ids.isprintable()) and HIDDEN.search(ids):
        raise RejectError("bad_user_id" if HIDDEN.search(user) else "bad_event_id")
    if event_id in PLACEHOLDER_IDS or event_id.isspace() or (event_id[0] in TAG_BEGINS and is_placeholder_id(event_id)):
        raise _placeholder("eventId", event_id)
    if wire.tenant_id != DEFAULT_TENANT:
        if HIDDEN.search(wire.tenant_id) or NOT_IN_TENANT.search(wire.tenant_id):
            raise RejectError("bad_tenant_id")
        if is_placeholder_id(wire.tenant_id):
            raise _placeholder("tenantId", wire.tenant_id)
    if known is None:
        _take_payload(raw_payload, payload)
    if not MIN_TIMESTAMP <= timestamp <= message.reference + MAX_AHEAD:
        raise RejectError("timestamp_out_of_range")
    needed = REQUIRED.get(wire.event_type)
    if needed is not None:
        given = payload.get(needed)
        if not isinstance(given, str) or not given:
            raise RejectError("bad_payload", f"payload of {wire.event_type} needs {needed}, a non-empty string")
        if needed == "previousId":
            if len(given) > 256 or HIDDEN.search(given):
                raise RejectError("bad_payload", "previousId is not an id")
            if is_placeholder_id(given):
                raise _placeholder("previousId", given)
    elif wire.event_type in CHECKED:
        if fault := fault_of(wire.event_type, payload):
            raise RejectError("bad_payload", f"payload of {wire.event_type}: {fault}")
        if anonymous and wire.event_type == SWITCHED:
            raise RejectError("missing_user", f"{SWITCHED} needs userId, the name of who switches")
    session = wire.session_id
    return Event(
        tenant=wire.tenant_id,
        user=user,
        anonymous=anonymous,
        id=event_id,
        session="" if session is None or session in PLACEHOLDER_IDS else session,
        type=wire.event_type,
        name=wire.name or "",
        payload=payload,
        raw_payload=raw_payload,
        timestamp=timestamp,
        log_time=message.log_time,
        partition=message.partition,
        offset=message.offset,
        seq=message.seq,
        traceparent=read_traceparent(message.traceparent) if message.traceparent else "",
    )


def _decode_newer(message: Message, version: int) -> Event:
    """Decode an event of another version than 1. It is turned into version 1 first, so nothing else knows of it."""
    if not 1 < version <= NEWEST:
        raise wrong_version(version)
    try:
        value = upcast(mend_text(message.value), version)
    except UpcastError as error:
        raise RejectError("bad_payload", str(error)) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise diagnose(message.value, error) from None
    return _decode(msgspec.structs.replace(message, value=value, peeked=None))


def _anonymous_id(wire: WireEvent) -> str:
    """The ``anonymousId`` of an event whose ``userId`` is missing, blank or a placeholder. Only a missing and a blank one mean nobody."""
    if wire.user_id is not None and wire.user_id.strip():
        raise _placeholder("userId", wire.user_id)
    visitor = wire.anonymous_id
    if visitor is None and wire.user_id is None:
        raise RejectError("missing_user")
    if not visitor and not wire.user_id:
        raise RejectError("bad_user_id", f"{REJECTIONS['bad_user_id']}: it is empty")
    if not visitor or is_placeholder_id(visitor):
        raise _placeholder("anonymousId" if visitor else "userId", visitor or wire.user_id or "")
    return visitor


def _placeholder(field: str, text: str) -> RejectError:
    return RejectError("placeholder_id", f"{field} is {text[:64]!r}, which stands for nobody; leave it out until there is an id")


def is_storable(payload: dict[str, Any]) -> bool:
    """Whether snapshots can hold the payload: no nesting beyond ``MAX_DEPTH``, no integer beyond 64 bits."""
    try:
        _check_storable(payload, MAX_DEPTH)
    except RejectError:
        return False
    return True


_LONG_NUMBER: Final = re.compile(rb"\d{19}")
_HARMLESS: Final = bytes(set(range(256)) - set(b"[{0123456789"))
"""Bytes of which neither depth nor large numbers are made. Most payloads have few others, which is the quickest to see."""


_MAX_KNOWN: Final = 4_096
_MAX_KNOWN_BYTES: Final = 512
_payloads: Final[dict[bytes, Mapping[str, Any]]] = {}
"""Payloads that were decoded and found sound. Products send the same few again and again."""


def _read_payload(raw: bytes) -> dict[str, Any]:
    """Decode a payload, or nothing of one that ``_take_payload`` rejects for its size."""
    return _object_decoder.decode(raw) if len(raw) <= MAX_PAYLOAD else {}


def _take_payload(raw: bytes, payload: Mapping[str, Any]) -> None:
    """Check a payload that is not known yet, and remember it where it is short."""
    if len(raw) > MAX_PAYLOAD:
        raise RejectError("payload_too_large", f"payload has {len(raw)} bytes, at most {MAX_PAYLOAD} are allowed")
    if len(raw.translate(None, _HARMLESS)) >= 19 and (_LONG_NUMBER.search(raw) or raw.count(b"[") + raw.count(b"{") > MAX_DEPTH):
        _check_storable(payload, MAX_DEPTH)
    if len(raw) <= _MAX_KNOWN_BYTES:
        if len(_payloads) >= _MAX_KNOWN:
            _payloads.clear()
        _payloads[raw] = payload


def _check_storable(value: object, levels: int) -> None:
    """Reject nesting and integers that MessagePack cannot encode: the next snapshot would fail and stop the job."""
    if isinstance(value, dict | list):
        if not levels:
            raise RejectError("bad_payload", f"payload is nested more than {MAX_DEPTH} levels deep")
        for each in value.values() if isinstance(value, dict) else value:
            _check_storable(each, levels - 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise RejectError("bad_payload", "payload holds an integer beyond 64 bits; send it as a string")


# messages that fail the fast path


def _decode_mended(value: bytes, error: Exception) -> tuple[WireEvent, int, dict[str, Any]]:
    """Decode a message that failed the fast path, or raise the reason why it cannot be decoded."""
    mended, leap = mend(value)
    if mended is value:
        raise diagnose(value, error) from None
    try:
        wire = _wire_decoder.decode(mended)
        return wire, milliseconds(wire.timestamp) + leap, _read_payload(bytes(wire.payload))
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as broken:
        raise diagnose(mended, broken) from None
