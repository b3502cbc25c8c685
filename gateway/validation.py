"""Checks events with the decoder of the job, so that the two never disagree, and names every field at fault."""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

from gateway.byte_budget import ByteBudget
from gateway.caller import Caller, Fault
from gateway.split_json import split_array
from state.decode import decode
from state.event import Event
from state.event_fields import REQUIRED
from state.mend_message import mend_text
from state.messages import Message
from state.records.dead_letter import DeadLetter
from state.times import rfc3339

_MOST_FAULTS: Final = 12
"""Faults that are looked for in one event: it has ten fields."""

_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "missing_event_id": ("eventId",),
    "bad_event_id": ("eventId",),
    "missing_user": ("userId",),
    "bad_user_id": ("userId", "anonymousId"),
    "bad_tenant_id": ("tenantId",),
    "bad_session_id": ("sessionId",),
    "missing_event_type": ("eventType",),
    "unknown_event_type": ("eventType",),
    "bad_name": ("name",),
    "missing_timestamp": ("timestamp",),
    "bad_timestamp": ("timestamp",),
    "timestamp_out_of_range": ("timestamp",),
    "bad_payload": ("payload",),
    "payload_too_large": ("payload",),
    "unsupported_schema_version": ("schemaVersion",),
    "future_schema_version": ("schemaVersion",),
}
"""Reason of the decoder → the fields that it may mean."""

_NAMED: Final = re.compile(
    r"(?:^|: |`\$\.)(eventId|userId|anonymousId|tenantId|sessionId|eventType|name|timestamp|payload|schemaVersion)\b"
)
_OF_PAYLOAD: Final = re.compile(r"^payload of \w+(?: needs (?P<needed>\w+)|: (?P<named>[A-Za-z]+) )")

_raw_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text: Final = msgspec.json.Decoder(str)

T = TypeVar("T")


def read_mended(decoder: msgspec.json.Decoder[T], value: bytes) -> T | None:
    """Decode ``value``, with its text mended as the job mends it where the decoder refuses it. None for what is refused then too."""
    try:
        return decoder.decode(value)
    except (ValueError, RecursionError):  # a DecodeError is a ValueError; so is what is raised for bytes that are not UTF-8
        mended = mend_text(value)
        return None if mended is value else read_mended(decoder, mended)


def split_batch(body: bytes) -> list[bytes] | None:
    """Return the events of a body: one object, or an array of them. None if the body is an array whose elements cannot be told apart.

    An event that is not valid JSON by itself is returned as it is; ``check`` rejects it.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    return split_array(body) if body.lstrip()[:1] == b"[" else [body]


def needs_completion(caller: Caller) -> bool:
    """Whether the credential knows something that an event may leave out."""
    return caller.user is not None or caller.tenant != "default"


def complete(value: bytes, caller: Caller) -> bytes:
    """Fill in what the credential knows: the tenant, and the user of a user token. A value that is not an object is returned unchanged."""
    fields = read_mended(_raw_fields, value)
    if fields is None:
        return value
    fields.setdefault("tenantId", _raw(caller.tenant))
    if caller.user is not None:
        fields.setdefault("userId", _raw(caller.user))
    return msgspec.json.encode(fields)


def check(value: bytes, now: int) -> Event | DeadLetter:
    """Decode ``value`` as the job will. ``now`` is in milliseconds since 1970 UTC."""
    return decode(Message(value=value, key=None, topic="http", partition=0, offset=0, log_time=now, reference=now, seq=0))


def id_of(value: bytes) -> str | None:
    """Return the ``eventId`` of an event that is not valid, if it has a readable one. ``value`` is mended."""
    fields = read_mended(_raw_fields, value)
    event_id = None if fields is None else _text_in(fields, "eventId")
    return None if event_id is None else event_id[:128]


def faults_of(letter: DeadLetter, value: bytes, now: int, looks: ByteBudget) -> list[Fault]:
    """Return every fault of a rejected event, as far as ``looks`` lasts. ``value`` is its message, mended.

    The decoder reports the first one. Each field at fault is replaced by a sound value, and the decoder asked again, until it is content.
    What it is asked to read is taken from ``looks``.
    """
    faults = [first_fault(letter)]
    fields = read_mended(_raw_fields, value)
    if fields is None:
        return faults
    mended: set[str] = set()
    while len(faults) < _MOST_FAULTS:
        candidates = [each for each in _candidates(letter) if each not in mended]
        present = [each for each in candidates if each in fields]
        if not candidates:
            break
        field = (present or candidates)[0]
        faults[-1] = faults[-1]._replace(field=_precise(letter, field))
        mended.add(field)
        fields[field] = _sound_value(field, fields, now)
        changed = msgspec.json.encode(fields)
        if not looks.take(len(changed)):
            break
        found = check(changed, now)
        if isinstance(found, Event):
            break
        letter = found
        faults.append(first_fault(letter))
    return faults


def first_fault(letter: DeadLetter) -> Fault:
    """Return the fault that the decoder reports, without looking for others."""
    candidates = _candidates(letter)
    return Fault(_precise(letter, candidates[0]) if candidates else "", letter.reason, letter.detail)


def _candidates(letter: DeadLetter) -> tuple[str, ...]:
    if letter.detail.startswith("traits "):  # of version 2
        return ("traits",)
    named: list[str] = _NAMED.findall(letter.detail)
    if letter.reason in _FIELDS:
        known = _FIELDS[letter.reason]
        return tuple(sorted(known, key=lambda field: field not in named[-1:]))
    if letter.detail.startswith("previousId"):
        return ("payload",)
    return tuple(named[:1])


def _precise(letter: DeadLetter, field: str) -> str:
    if field != "payload":
        return field
    if letter.detail.startswith("previousId"):
        return "payload.previousId"
    found = _OF_PAYLOAD.match(letter.detail)
    return f"payload.{found['needed'] or found['named']}" if found is not None else field


def _sound_value(field: str, fields: dict[str, msgspec.Raw], now: int) -> msgspec.Raw:
    if field == "timestamp":
        return _raw(rfc3339(now))
    if field == "payload":
        needed = REQUIRED.get(_text_in(fields, "eventType") or "")
        return _raw({needed: "x"} if needed else {})
    if field == "schemaVersion":
        return _raw(1)
    return _raw({"eventType": "track", "name": "", "traits": {}}.get(field, "x"))


def _text_in(fields: dict[str, msgspec.Raw], name: str) -> str | None:
    return read_mended(_text, bytes(fields.get(name, b"")))


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
