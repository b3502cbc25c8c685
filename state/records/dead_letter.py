"""A message that was rejected: the reason, its place in the input, and all of its bytes.

The format is one line of JSON (``encode_line``)::

    {
        "reason": "not_json",
        "detail": "…",
        "topic": "onboarding.events",
        "partition": 3,
        "offset": 42,
        "logTime": "2026-11-22T01:02:03.004Z",
        "raw": "…",
    }

``raw`` becomes ``rawBase64`` where the bytes are not UTF-8. ``key`` (or ``keyBase64``) and ``headers`` are present where the message had
them. ``logTime`` is null where the broker gave none.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from state.times import rfc3339_or_none

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JSON = msgspec.json.Encoder()

Header = tuple[str, bytes | None]


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """One rejected message. ``reason`` is a code, ``detail`` a sentence; ``log_time`` is in milliseconds since 1970 UTC.

    ``topic`` is the Kafka topic or the file name, ``offset`` the Kafka offset or the line number.
    """

    reason: str
    detail: str
    raw: bytes
    topic: str
    partition: int
    offset: int
    log_time: int
    key: bytes | None = None
    headers: tuple[Header, ...] = ()
    text: bytes | None = None
    """What ``raw`` says, where it had to be decoded with a schema. A line does not have it."""


def encode_line(letter: DeadLetter) -> bytes:
    """Return the letter as one line of JSON with its newline. ``decode_line`` restores it exactly."""
    line: dict[str, Any] = {
        "reason": letter.reason,
        "detail": letter.detail,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "logTime": rfc3339_or_none(letter.log_time),
        **_text("raw", letter.raw),
    }
    if letter.key is not None:
        line.update(_text("key", letter.key))
    if letter.headers:
        line["headers"] = [{"name": name, **({} if value is None else _text("value", value))} for name, value in letter.headers]
    return _JSON.encode(line) + b"\n"


def decode_line(line: bytes) -> DeadLetter:
    """Decode a line. Raises ``ValueError`` for a line that ``encode_line`` did not write."""
    try:
        fields = msgspec.json.decode(line)
        raw = _bytes("raw", fields)
        if raw is None:
            raise KeyError("raw")
        return DeadLetter(
            reason=fields["reason"],
            detail=fields["detail"],
            raw=raw,
            topic=fields["topic"],
            partition=fields["partition"],
            offset=fields["offset"],
            log_time=_milliseconds(fields["logTime"]),
            key=_bytes("key", fields),
            headers=tuple((header["name"], _bytes("value", header)) for header in fields.get("headers", ())),
        )
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ValueError(f"not a dead letter: {error!r}") from error


def _milliseconds(text: str | None) -> int:
    if text is None:
        return -1
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def _text(name: str, data: bytes) -> dict[str, str]:
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}Base64": base64.b64encode(data).decode()}


def _bytes(name: str, fields: dict[str, Any]) -> bytes | None:
    if name in fields:
        text: str = fields[name]
        return text.encode()
    encoded: str | None = fields.get(f"{name}Base64")
    return None if encoded is None else base64.b64decode(encoded, validate=True)
