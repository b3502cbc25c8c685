"""What every event must keep to: its limits, and the reason codes of messages that are rejected."""

from __future__ import annotations

import re
from typing import Final

from state.placeholders import is_placeholder_id
from state.times import YEAR_2000
from state.upcast import NEWEST

MAX_PAYLOAD: Final = 32_768
MAX_DEPTH: Final = 32
"""Levels of lists and objects in a payload, itself included."""
MIN_TIMESTAMP: Final = YEAR_2000
MAX_AHEAD: Final = 86_400_000
"""How far a timestamp may be ahead of the message's time reference, in milliseconds."""
_HIDDEN_IN_WORDS: Final = "control, invisible and bidirectional-control characters"
_LAST_VERSION: Final = 1_000  # of the contract that there will ever be; a larger number is something else

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


class RejectError(Exception):
    """A message is no event, for a ``reason`` of ``REJECTIONS``; ``detail`` is a sentence about this message."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail or REJECTIONS[reason]


def is_future(version: object) -> bool:
    """Whether this is the number of a version of the contract that a later release may read."""
    return type(version) is int and NEWEST < version <= _LAST_VERSION


def wrong_version(version: object) -> RejectError:
    """The rejection of an event whose ``schemaVersion`` is not read here."""
    if is_future(version):
        return RejectError("future_schema_version", f"schemaVersion {version} is newer than this version of Onramp reads ({NEWEST})")
    return RejectError("unsupported_schema_version", f"{REJECTIONS['unsupported_schema_version']}: it is {repr(version)[:40]}")
