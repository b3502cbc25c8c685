"""Decodes and validates messages: an event, or a dead letter with the reason.

The fast path is one ``msgspec`` decode into a struct. A message that fails it is looked at again, slowly: what a sound event may hold and
the decoder refuses is mended (``state/mend_message.py``), and for the rest a reason is found that helps its sender. What the fields of a
payload mean, and what becomes of values that mean nothing, is in ``state/event_fields.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from state.event_fields import CHECKED, REQUIRED, fault_of
from state.lenient_json import out_of_range, parse_leniently
from state.mend_message import mend, mend_text
from state.messages import MAX_MESSAGE, Message, Peeked
from state.placeholders import PLACEHOLDER_IDS, TAG_BEGINS, is_placeholder_id
from state.records.dead_letter import DeadLetter, attempts_of
from state.times import YEAR_2000
from state.traceparent import read_traceparent
from state.upcast import ABOUT_USERS, NEWEST, UpcastError, upcast, with_traits
from state.vocabulary import KNOWN_TYPES, SWITCHED

MAX_PAYLOAD: Final = 32_768
MAX_DEPTH: Final = 32
"""Levels of lists and objects in a payload, itself included."""
MIN_TIMESTAMP: Final = YEAR_2000
MAX_AHEAD: Final = 86_400_000
"""How far a timestamp may be ahead of the message's time reference, in milliseconds."""

_SWITCHED: Final = SWITCHED.encode()
_HIDDEN_IN_WORDS: Final = "control, invisible and bidirectional-control characters"

_LAST_VERSION: Final = 1_000  # of the contract that there will ever be; a larger number is something else

SCHEMA_PREFIX: Final = 5
"""Bytes of the framing that serialisers of a schema registry put before a message: a zero and the schema's number."""

DEFAULT_TENANT: Final = "default"
"""The tenant of an event that leaves ``tenantId`` out."""
MAX_TENANT: Final = 128
UNKNOWN_TENANT: Final = "unknown_tenant"

REJECTIONS: Final[dict[str, str]] = {
    "not_json": "the message is not JSON, or nested too deep to be read",
    "not_an_object": "the message is JSON, but not an object",
    "too_large": "the message is larger than 1 MiB",
    "bad_encoding": "the message is not UTF-8",
    "missing_event_id": "eventId is missing",
    "bad_event_id": f"eventId is not a string of 1 to 128 characters without {_HIDDEN_IN_WORDS}",
    "missing_user": "neither userId nor anonymousId is there",
    "bad_user_id": f"userId or anonymousId is not a string of 1 to 256 characters without {_HIDDEN_IN_WORDS}",
    "placeholder_id": "an id is blank or a text like undefined or null, which stands for many people or events",
    "bad_tenant_id": f"tenantId is not a string of 1 to 128 characters without colons, braces, {_HIDDEN_IN_WORDS}",
    UNKNOWN_TENANT: "no catalog is for the tenant; name it under tenants in a catalog, restart the job, then replay the message",
    "bad_session_id": "sessionId is not a string of at most 256 characters",
    "missing_event_type": "eventType is missing",
    "unknown_event_type": "eventType is not one of the contract's types",
    "bad_name": "name is not a string of at most 256 characters",
    "missing_timestamp": "timestamp is missing",
    "bad_timestamp": "timestamp is not an RFC 3339 date and time with a zone",
    "timestamp_out_of_range": "timestamp is before 2000, or more than 24 hours ahead of its time reference",
    "bad_payload": "payload is not an object, lacks what its event type needs, has a value that cannot be read, or is nested too deep",
    "payload_too_large": "payload is larger than 32 KiB",
    "unsupported_schema_version": f"schemaVersion is not an integer from 1 to {NEWEST}",
    "future_schema_version": f"schemaVersion is newer than {NEWEST}; upgrade Onramp, then replay the message",
    "bad_field": "a field has the wrong type",
    "rejected_by_gateway": "the gateway refused what the message wraps, and told its sender why",
    "schema_registry_framing": "the message has the framing of a schema registry and cannot be decoded",
    "unreadable": "the message is damaged: Kafka delivered a position, but no content that can be read",
}
"""Reason code of a rejected message → its description."""

HIDDEN: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # control characters
    r"\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\U000e0000-\U000e007f"
    r"\ufff9-\ufffd]"  # U+FFFD replaced something else: two ids that were damaged so could be one
)
"""Two ids that differ in such a character look the same. Joiners (U+200C, U+200D) belong to scripts and emoji."""
NOT_IN_TENANT: Final = re.compile(r"[:{}]")
"""Redis keys separate tenant and user by a colon, and braces are the cluster's hash tag. With them, keys of two tenants could be equal."""


def is_tenant_id(text: str) -> bool:
    """Whether an event can have this ``tenantId``: the decoder rejects it with another one."""
    hidden = HIDDEN.search(text) or NOT_IN_TENANT.search(text)
    return 0 < len(text) <= MAX_TENANT and not hidden and not is_placeholder_id(text)


class Event(msgspec.Struct, gc=False):
    """One valid event, with its place in the input.

    ``timestamp`` is event time, ``log_time`` the time of the log that carried it; both in milliseconds. ``raw_payload`` is the payload
    as it was sent; events with the same one may share their ``payload``. ``seq`` orders the events of one source partition.
    ``anonymous``: ``user`` is an ``anonymousId``. ``from_visitor``: the event was sent and recorded under an anonymous id. That visitor was
    merged, and the event now counts for the user. ``visitor_seen`` is then the time of that visitor's first event, 0 where it is not known.
    ``recorded_as``: the id of its row where that is not ``user``'s: a merged visitor sent it, with a time from before the merge.
    """

    tenant: str
    user: str
    anonymous: bool
    id: str
    session: str
    type: str
    name: str
    payload: Mapping[str, Any]
    raw_payload: bytes
    timestamp: int
    log_time: int
    partition: int
    offset: int
    seq: int
    traceparent: str
    from_visitor: bool = False
    visitor_seen: int = 0
    recorded_as: str = ""


class _Wire(msgspec.Struct, gc=False, rename="camel"):
    event_id: Annotated[str, Meta(min_length=1, max_length=128)]
    event_type: str
    timestamp: Annotated[datetime, Meta(tz=True)]
    user_id: Annotated[str, Meta(max_length=256)] | None = None
    anonymous_id: Annotated[str, Meta(max_length=256)] | None = None
    tenant_id: Annotated[str, Meta(min_length=1, max_length=MAX_TENANT)] = DEFAULT_TENANT
    session_id: Annotated[str, Meta(max_length=256)] | None = None
    name: Annotated[str, Meta(max_length=256)] | None = None
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    traits: msgspec.Raw = msgspec.Raw()
    schema_version: int = 1


class _Timestamp(msgspec.Struct, gc=False):
    timestamp: Annotated[datetime, Meta(tz=True)]


class _Person(msgspec.Struct, gc=False, rename="camel"):
    user_id: str | None = None
    anonymous_id: str | None = None
    tenant_id: str = DEFAULT_TENANT


_wire_decoder = msgspec.json.Decoder(_Wire)
_object_decoder = msgspec.json.Decoder(dict[str, Any])
_raw_decoder = msgspec.json.Decoder(msgspec.Raw)
_raw_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_timestamp_decoder = msgspec.json.Decoder(_Timestamp)
_person_decoder = msgspec.json.Decoder(_Person)


_NOT_PEEKED: Final = Peeked(None)


class _RejectError(Exception):
    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail or REJECTIONS[reason]


def peek(value: bytes) -> Peeked:
    """Event time of a message, and the message for ``decode``. Never raises."""
    try:
        wire = _wire_decoder.decode(value)
        return Peeked(round(wire.timestamp.timestamp() * 1000), wire)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
        return Peeked(peek_timestamp(value))


def peek_timestamp(value: bytes) -> int | None:
    """Event time of a message in milliseconds, or ``None`` where it has none. Validates nothing else."""
    try:
        return milliseconds(_timestamp_decoder.decode(value).timestamp)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
        pass
    mended, leap = mend(value)
    if mended is value:
        return None
    try:
        return milliseconds(_timestamp_decoder.decode(mended).timestamp) + leap
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
        return None


def may_switch(value: bytes) -> bool:
    """Whether a message may be a switch of guidance: false for certain, true nearly so. Fast; a source ends its batch after such a one."""
    return _SWITCHED in value


def milliseconds(moment: datetime) -> int:
    """Return milliseconds since 1970 UTC. Raises ``OverflowError`` for a moment that has none."""
    return round(moment.timestamp() * 1000)


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
    except _RejectError as reject:
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
        raise _RejectError("too_large")
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
        raise _RejectError("unknown_event_type", f"{wire.event_type[:64]!r} is not an event type")
    ids = user + event_id
    if not (ids.isascii() and ids.isprintable()) and HIDDEN.search(ids):
        raise _RejectError("bad_user_id" if HIDDEN.search(user) else "bad_event_id")
    if event_id in PLACEHOLDER_IDS or event_id.isspace() or (event_id[0] in TAG_BEGINS and is_placeholder_id(event_id)):
        raise _placeholder("eventId", event_id)
    if wire.tenant_id != DEFAULT_TENANT:
        if HIDDEN.search(wire.tenant_id) or NOT_IN_TENANT.search(wire.tenant_id):
            raise _RejectError("bad_tenant_id")
        if is_placeholder_id(wire.tenant_id):
            raise _placeholder("tenantId", wire.tenant_id)
    if known is None:
        _take_payload(raw_payload, payload)
    if not MIN_TIMESTAMP <= timestamp <= message.reference + MAX_AHEAD:
        raise _RejectError("timestamp_out_of_range")
    needed = REQUIRED.get(wire.event_type)
    if needed is not None:
        given = payload.get(needed)
        if not isinstance(given, str) or not given:
            raise _RejectError("bad_payload", f"payload of {wire.event_type} needs {needed}, a non-empty string")
        if needed == "previousId":
            if len(given) > 256 or HIDDEN.search(given):
                raise _RejectError("bad_payload", "previousId is not an id")
            if is_placeholder_id(given):
                raise _placeholder("previousId", given)
    elif wire.event_type in CHECKED:
        if fault := fault_of(wire.event_type, payload):
            raise _RejectError("bad_payload", f"payload of {wire.event_type}: {fault}")
        if anonymous and wire.event_type == SWITCHED:
            raise _RejectError("missing_user", f"{SWITCHED} needs userId, the name of who switches")
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
        raise _wrong_version(version)
    try:
        value = upcast(mend_text(message.value), version)
    except UpcastError as error:
        raise _RejectError("bad_payload", str(error)) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _diagnose(message.value, error) from None
    return _decode(msgspec.structs.replace(message, value=value, peeked=None))


def _is_future(version: object) -> bool:
    return type(version) is int and NEWEST < version <= _LAST_VERSION


def _wrong_version(version: object) -> _RejectError:
    if _is_future(version):
        return _RejectError("future_schema_version", f"schemaVersion {version} is newer than this version of Onramp reads ({NEWEST})")
    return _RejectError("unsupported_schema_version", f"{REJECTIONS['unsupported_schema_version']}: it is {repr(version)[:40]}")


def _anonymous_id(wire: _Wire) -> str:
    """The ``anonymousId`` of an event whose ``userId`` is missing, blank or a placeholder. Only a missing and a blank one mean nobody."""
    if wire.user_id is not None and wire.user_id.strip():
        raise _placeholder("userId", wire.user_id)
    visitor = wire.anonymous_id
    if visitor is None and wire.user_id is None:
        raise _RejectError("missing_user")
    if not visitor and not wire.user_id:
        raise _RejectError("bad_user_id", f"{REJECTIONS['bad_user_id']}: it is empty")
    if not visitor or is_placeholder_id(visitor):
        raise _placeholder("anonymousId" if visitor else "userId", visitor or wire.user_id or "")
    return visitor


def _placeholder(field: str, text: str) -> _RejectError:
    return _RejectError("placeholder_id", f"{field} is {text[:64]!r}, which stands for nobody; leave it out until there is an id")


def is_storable(payload: dict[str, Any]) -> bool:
    """Whether snapshots can hold the payload: no nesting beyond ``MAX_DEPTH``, no integer beyond 64 bits."""
    try:
        _check_storable(payload, MAX_DEPTH)
    except _RejectError:
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
        raise _RejectError("payload_too_large", f"payload has {len(raw)} bytes, at most {MAX_PAYLOAD} are allowed")
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
            raise _RejectError("bad_payload", f"payload is nested more than {MAX_DEPTH} levels deep")
        for each in value.values() if isinstance(value, dict) else value:
            _check_storable(each, levels - 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise _RejectError("bad_payload", "payload holds an integer beyond 64 bits; send it as a string")


# messages that fail the fast path

_NUMBER_RANGE: Final = "holds a number beyond 64 bits"


def _decode_mended(value: bytes, error: Exception) -> tuple[_Wire, int, dict[str, Any]]:
    """Decode a message that failed the fast path, or raise the reason why it cannot be decoded."""
    mended, leap = mend(value)
    if mended is value:
        raise _diagnose(value, error) from None
    try:
        wire = _wire_decoder.decode(mended)
        return wire, milliseconds(wire.timestamp) + leap, _read_payload(bytes(wire.payload))
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as broken:
        raise _diagnose(mended, broken) from None


_STRINGS: Final[tuple[tuple[str, str | None, str, int, int], ...]] = (
    # field, reason when missing, reason when wrong, least and greatest length
    ("eventId", "missing_event_id", "bad_event_id", 1, 128),
    ("userId", None, "bad_user_id", 0, 256),
    ("anonymousId", None, "bad_user_id", 0, 256),
    ("tenantId", None, "bad_tenant_id", 1, MAX_TENANT),
    ("sessionId", None, "bad_session_id", 0, 256),
    ("eventType", "missing_event_type", "unknown_event_type", 1, 64),
    ("name", None, "bad_name", 0, 256),
    ("timestamp", "missing_timestamp", "bad_timestamp", 1, 64),
)
_DIAGNOSED: Final = frozenset({"payload", "schemaVersion", "rejectedByGateway", *(field for field, *_ in _STRINGS)})


def _parse_large(value: bytes) -> dict[str, Any] | None:
    """Parse the fields that ``_diagnose`` looks at, without the content of lists and objects that are larger than a payload may be.

    Anybody may send a message of a million small values, each of which costs far more than its bytes. Returns None for what is no object.
    Raises like ``parse_leniently``.
    """
    if not bytes(_raw_decoder.decode(value)).startswith(b"{"):
        return None
    return {name: _outline(bytes(each)) for name, each in _raw_fields.decode(value).items() if name in _DIAGNOSED}


def _outline(raw: bytes) -> Any:
    if len(raw) <= MAX_PAYLOAD or raw[:1] not in b"[{":
        return parse_leniently(raw)
    return [] if raw[:1] == b"[" else {}


def _diagnose(value: bytes, error: Exception) -> _RejectError:
    """Find the reason why the fast path failed."""
    if value[:1] == b"\x00" and len(value) > SCHEMA_PREFIX and value.strip(b"\x00"):  # only zeros: a hole in a file after a crash
        schema = int.from_bytes(value[1:SCHEMA_PREFIX], "big")
        return _RejectError(
            "schema_registry_framing",
            f"the message begins with the framing of a schema registry (schema {schema}); set ONRAMP_SCHEMA_REGISTRY_URL to decode it",
        )
    try:
        value.decode()
    except UnicodeDecodeError as broken:
        return _RejectError("bad_encoding", f"the message is not UTF-8 at byte {broken.start}")
    try:
        data = parse_leniently(value) if len(value) <= 2 * MAX_PAYLOAD else _parse_large(value)
    except (msgspec.DecodeError, RecursionError) as broken:
        return _RejectError("not_json", f"the message is not JSON: {str(broken)[:200]}")
    if not isinstance(data, dict):
        return _RejectError("not_an_object")
    if "rejectedByGateway" in data and (refused := _refused_by_gateway(data["rejectedByGateway"])) is not None:
        return refused
    version = data.get("schemaVersion", 1)
    if _is_future(version):  # its other fields may mean something else
        return _wrong_version(version)
    for field, missing, wrong, least, most in _STRINGS:
        given = data.get(field)
        if given is None and (missing is None or field not in data):
            if missing is not None:
                return _RejectError(missing)
        elif not isinstance(given, str) or not least <= len(given) <= most:
            what = f"has {len(given):,} characters" if isinstance(given, str) else f"is {_kind(given)}"
            return _RejectError(wrong, f"{REJECTIONS[wrong]}: {field} {what}")
    if data.get("userId") is None and data.get("anonymousId") is None:
        return _RejectError("missing_user")
    if data["eventType"] not in KNOWN_TYPES:
        return _RejectError("unknown_event_type", f"{data['eventType'][:64]!r} is not an event type")
    if peek_timestamp(value) is None:
        return _RejectError("bad_timestamp", f"timestamp {data['timestamp']!r} is not an RFC 3339 date and time with a zone (Z or +01:00)")
    if not isinstance(data.get("payload", {}), dict):
        return _RejectError("bad_payload", "payload is not an object")
    if (number := out_of_range(data.get("payload"))) is not None:
        return _RejectError("bad_payload", f"payload {_NUMBER_RANGE}, {number.text}; send it as a string")
    if type(version) is not int or not 1 <= version <= NEWEST:
        return _wrong_version(version)
    if data.get("tenantId", "") is None:
        return _RejectError("bad_tenant_id")
    return _RejectError("bad_field", str(error)[:200])


def _refused_by_gateway(faults: object) -> _RejectError | None:
    """What the sender of a wrapped call was told (``gateway/segment/calls_route.py``). None for a field that the gateway did not write."""
    match faults:
        case [{"code": str(code), "message": str(sentence)}, *_]:
            return _RejectError("rejected_by_gateway", f"{code}: {sentence}"[:200])
    return None


def _kind(value: object) -> str:
    if isinstance(value, int | float):
        return "true or false" if isinstance(value, bool) else "a number"
    return "null" if value is None else "a list" if isinstance(value, list) else "an object"
