"""Messages that cannot become events, each with the reason it must be given; and odd ones that can."""

from __future__ import annotations

import json
from typing import Any, Final

MOMENT: Final = "2026-01-06T12:00:00Z"
"""When each of them happened, where nothing is wrong with that."""


def _event(**changes: Any) -> bytes:
    """A good event with ``changes``; ``None`` takes a field away."""
    event = {"eventId": "bad", "userId": "u-0", "eventType": "page_view", "timestamp": MOMENT, "payload": {"path": "/"}}
    return json.dumps({name: value for name, value in {**event, **changes}.items() if value is not None}).encode()


BAD: Final[dict[str, tuple[bytes, str]]] = {
    "not JSON": (b"hello", "not_json"),
    "half an object": (b'{"eventId": "x", "userId"', "not_json"),
    "not a number": (_event(payload=None)[:-1] + b', "payload": {"path": "/", "n": NaN}}', "not_json"),
    "two objects": (b"{} {}", "not_json"),
    "nested without end": (b"[" * 100_000, "not_json"),
    "bytes": (b"\x80\x81\x82", "bad_encoding"),
    "UTF-16": ('{"eventId": "x"}'.encode("utf-16"), "bad_encoding"),
    "a surrogate in UTF-8": (b'{"eventId": "\xed\xa0\x80"}', "bad_encoding"),
    "NUL bytes": (b"\x00" * 64, "not_json"),
    "an array": (b"[1, 2, 3]", "not_an_object"),
    "null": (b"null", "not_an_object"),
    "a number": (b"42", "not_an_object"),
    "nothing in it": (b"{}", "missing_event_id"),
    "no event id": (_event(eventId=None), "missing_event_id"),
    "event id a number": (_event(eventId=7), "bad_event_id"),
    "event id empty": (_event(eventId=""), "bad_event_id"),
    "event id too long": (_event(eventId="x" * 129), "bad_event_id"),
    "event id with NUL": (_event(eventId="a\x00b"), "bad_event_id"),
    "nobody": (_event(userId=None), "missing_user"),
    "user id a list": (_event(userId=["u"]), "bad_user_id"),
    "user id empty": (_event(userId=""), "bad_user_id"),
    "user id too long": (_event(userId="x" * 257), "bad_user_id"),
    "user id with NUL": (_event(userId="a\x00"), "bad_user_id"),
    "user id with a line break": (_event(userId="a\nb"), "bad_user_id"),
    "tenant a number": (_event(tenantId=1), "bad_tenant_id"),
    "tenant empty": (_event(tenantId=""), "bad_tenant_id"),
    "tenant with braces": (_event(tenantId="t{1}"), "bad_tenant_id"),
    "a number beyond 64 bits": (_event(payload={"path": "/", "n": 10**30}), "bad_payload"),
    "session an object": (_event(sessionId={}), "bad_session_id"),
    "name a number": (_event(name=3), "bad_name"),
    "no type": (_event(eventType=None), "missing_event_type"),
    "unknown type": (_event(eventType="page_viewed"), "unknown_event_type"),
    "no time": (_event(timestamp=None), "missing_timestamp"),
    "time a number": (_event(timestamp=1_767_700_000), "bad_timestamp"),
    "time without zone": (_event(timestamp="2026-01-06T12:00:00"), "bad_timestamp"),
    "no such day": (_event(timestamp="2026-02-30T12:00:00Z"), "bad_timestamp"),
    "time is words": (_event(timestamp="yesterday"), "bad_timestamp"),
    "the year 0": (_event(timestamp="0000-01-01T00:00:00Z"), "bad_timestamp"),
    "before the year 1": (_event(timestamp="0001-01-01T00:00:00+14:00"), "timestamp_out_of_range"),
    "the year 1970": (_event(timestamp="1970-01-01T00:00:00Z"), "timestamp_out_of_range"),
    "the last year before 2000": (_event(timestamp="1999-12-31T23:59:59.999Z"), "timestamp_out_of_range"),
    "the year 9999": (_event(timestamp="9999-12-31T23:59:59Z"), "timestamp_out_of_range"),
    "the end of 9999, in the west": (_event(timestamp="9999-12-31T23:59:59.999999-14:00"), "timestamp_out_of_range"),
    "payload a list": (_event(payload=[1]), "bad_payload"),
    "payload a text": (_event(payload="{}"), "bad_payload"),
    "payload lacks what the type needs": (_event(payload={}), "bad_payload"),
    "payload has the wrong type": (_event(payload={"path": 3}), "bad_payload"),
    "payload of 1 MB": (_event(payload={"path": "/", "x": "y" * 1_000_000}), "payload_too_large"),
    "message over 1 MiB": (_event(payload={"path": "/", "x": "y" * 1_100_000}), "too_large"),
    "another schema": (_event(schemaVersion=0), "unsupported_schema_version"),
    "a later schema": (_event(schemaVersion=3), "future_schema_version"),
    "a lone surrogate in an id": (_event(userId="u-\ud800"), "bad_user_id"),
    "a number beyond floats": (_event().replace(b'"/"', b'"/", "n": 1e400'), "bad_payload"),
    "a C1 control": (_event(userId="a\x85"), "bad_user_id"),
    "a sign that turns the direction": (_event(userId="a\u202eb"), "bad_user_id"),
    "user undefined": (_event(userId="undefined"), "placeholder_id"),
    "visitor of blanks": (_event(userId=None, anonymousId="  "), "placeholder_id"),
    "merged with null": (_event(eventType="identity_merged", payload={"previousId": "null"}), "placeholder_id"),
    "guidance maybe": (_event(eventType="preferences_changed", payload={"guidance": "maybe"}), "bad_payload"),
    "guidance null": (_event(eventType="preferences_changed", payload={"guidance": None}), "bad_payload"),
    "hours no clock shows": (_event(eventType="preferences_changed", payload={"quietHours": {"start": "25:00"}}), "bad_payload"),
    "traits a list": (_event(eventType="identify", payload={"traits": []}), "bad_payload"),
}
"""What is wrong → (message, reason)."""

ODD: Final[dict[str, bytes]] = {
    "emoji": _event(eventId="odd-emoji", userId="👩‍🚀 ünï", payload={"path": "/🍳", "title": "日本語"}),
    "NUL in a payload": _event(eventId="odd-nul", payload={"path": "/", "title": "a\x00b"}),
    "unknown fields": _event(eventId="odd-fields", colour="red", nested={"deep": [1, {"a": None}]}),
    "the offset +14:00": _event(eventId="odd-east", timestamp="2026-01-07T02:00:00+14:00"),
    "nanoseconds": _event(eventId="odd-nano", timestamp="2026-01-06T12:00:00.123456789Z"),
    "big numbers": _event(eventId="odd-big", payload={"path": "/", "n": 2**63 - 1, "x": 1e300, "least": -(2**63)}),
    "almost too large": _event(eventId="odd-large", payload={"path": "/", "x": "y" * 32_700}),
    "quotes and SQL": _event(eventId="odd-sql", userId="'; DROP TABLE events; --", payload={"path": "/\\'\"{x:String}"}),
    "braces of a key": _event(eventId="odd-braces", userId="}{user}:rec"),
    "a byte order mark": b"\xef\xbb\xbf" + _event(eventId="odd-mark"),
    "a lone surrogate": _event(eventId="odd-surrogate", payload={"path": "/", "title": "x\ud83d"}),
    "a leap second": _event(eventId="odd-leap", timestamp="2026-01-06T23:59:60Z"),
    "an empty user beside a visitor": _event(eventId="odd-empty", userId="", anonymousId="cookie"),
    "blanks around": b"  \t" + _event(eventId="odd-blanks") + b"  ",
    "a carriage return": _event(eventId="odd-cr") + b"\r",
}
"""What is odd about messages that are good."""
