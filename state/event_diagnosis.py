"""Finds the reason why a message cannot be decoded, in words that help its sender. Slow: only for messages that failed the fast path."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from state.event_contract import MAX_PAYLOAD, MAX_TENANT, REJECTIONS, RejectError, is_future, wrong_version
from state.event_time import peek_timestamp
from state.lenient_json import out_of_range, parse_leniently
from state.upcast import NEWEST
from state.vocabulary import KNOWN_TYPES

SCHEMA_PREFIX: Final = 5
"""Bytes of the framing that serialisers of a schema registry put before a message: a zero and the schema's number."""

_raw_decoder = msgspec.json.Decoder(msgspec.Raw)
_raw_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])

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
    """Parse the fields that ``diagnose`` looks at, without the content of lists and objects that are larger than a payload may be.

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


def diagnose(value: bytes, error: Exception) -> RejectError:
    """Find the reason why the fast path failed."""
    if value[:1] == b"\x00" and len(value) > SCHEMA_PREFIX and value.strip(b"\x00"):  # only zeros: a hole in a file after a crash
        schema = int.from_bytes(value[1:SCHEMA_PREFIX], "big")
        return RejectError(
            "schema_registry_framing",
            f"the message begins with the framing of a schema registry (schema {schema}); set ONRAMP_SCHEMA_REGISTRY_URL to decode it",
        )
    try:
        value.decode()
    except UnicodeDecodeError as broken:
        return RejectError("bad_encoding", f"the message is not UTF-8 at byte {broken.start}")
    try:
        data = parse_leniently(value) if len(value) <= 2 * MAX_PAYLOAD else _parse_large(value)
    except (msgspec.DecodeError, RecursionError) as broken:
        return RejectError("not_json", f"the message is not JSON: {str(broken)[:200]}")
    if not isinstance(data, dict):
        return RejectError("not_an_object")
    if "rejectedByGateway" in data and (refused := _refused_by_gateway(data["rejectedByGateway"])) is not None:
        return refused
    version = data.get("schemaVersion", 1)
    if is_future(version):  # its other fields may mean something else
        return wrong_version(version)
    for field, missing, wrong, least, most in _STRINGS:
        given = data.get(field)
        if given is None and (missing is None or field not in data):
            if missing is not None:
                return RejectError(missing)
        elif not isinstance(given, str) or not least <= len(given) <= most:
            what = f"has {len(given):,} characters" if isinstance(given, str) else f"is {_kind(given)}"
            return RejectError(wrong, f"{REJECTIONS[wrong]}: {field} {what}")
    if data.get("userId") is None and data.get("anonymousId") is None:
        return RejectError("missing_user")
    if data["eventType"] not in KNOWN_TYPES:
        return RejectError("unknown_event_type", f"{data['eventType'][:64]!r} is not an event type")
    if peek_timestamp(value) is None:
        return RejectError("bad_timestamp", f"timestamp {data['timestamp']!r} is not an RFC 3339 date and time with a zone (Z or +01:00)")
    if not isinstance(data.get("payload", {}), dict):
        return RejectError("bad_payload", "payload is not an object")
    if (number := out_of_range(data.get("payload"))) is not None:
        return RejectError("bad_payload", f"payload holds a number beyond 64 bits, {number.text}; send it as a string")
    if type(version) is not int or not 1 <= version <= NEWEST:
        return wrong_version(version)
    if data.get("tenantId", "") is None:
        return RejectError("bad_tenant_id")
    return RejectError("bad_field", str(error)[:200])


def _refused_by_gateway(faults: object) -> RejectError | None:
    """What the sender of a wrapped call was told (``gateway/segment/calls_route.py``). None for a field that the gateway did not write."""
    match faults:
        case [{"code": str(code), "message": str(sentence)}, *_]:
            return RejectError("rejected_by_gateway", f"{code}: {sentence}"[:200])
    return None


def _kind(value: object) -> str:
    if isinstance(value, int | float):
        return "true or false" if isinstance(value, bool) else "a number"
    return "null" if value is None else "a list" if isinstance(value, list) else "an object"
