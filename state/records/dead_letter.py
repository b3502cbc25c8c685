"""A message that was rejected: the reason, its place in the input, and all of its bytes.

The format is one line of JSON (``encode_line``)::

    {
        "reason": "not_json",
        "detail": "…",
        "topic": "onboarding.events",
        "partition": 3,
        "offset": 42,
        "logTime": "2026-11-22T01:02:03.004Z",
        "attempts": 1,
        "raw": "…",
    }

``raw`` becomes ``rawBase64`` where the bytes are not UTF-8. ``key`` (or ``keyBase64``) and ``headers`` are present where the message had
them. ``logTime`` is null where the broker gave none. ``attempts`` counts how often the message was rejected: a replay carries the count
in the header ``onramp-attempts``. A line of blanks is a letter that was erased with the user it named.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from state.times import milliseconds_of, rfc3339_or_none

_JSON = msgspec.json.Encoder()

Header = tuple[str, bytes | None]

OWN_PREFIX: Final = "onramp-"
"""Headers that begin so are ours: they say what became of a message, and do not belong to it."""
ATTEMPTS_HEADER: Final = "onramp-attempts"
_MOST_DIGITS: Final = 6
_IDENTIFYING: Final = 65_536  # bytes of a message; as many are left of one that was too large for the topic


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
    attempts: int = 1
    """How often the message was rejected, this time included."""
    whole_bytes: int = 0
    """Size of the message where ``raw`` is only its beginning; 0 where it is whole. A line is always whole."""

    @property
    def id(self) -> str:
        """12 hexadecimal digits of the place in the input and the bytes. A letter that was written twice has one id."""
        place = f"{self.topic}\x1f{self.partition}\x1f{self.offset}\x1f".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(place + self.raw[:_IDENTIFYING], digest_size=6).hexdigest()


def attempts_of(headers: tuple[Header, ...]) -> int:
    """How often a message was rejected before, as the replay that sent it says; 0 for one that comes for the first time."""
    for name, value in headers:
        if name == ATTEMPTS_HEADER and value is not None and value.isdigit() and len(value) <= _MOST_DIGITS:
            return int(value)
    return 0


def headers_for_replay(letter: DeadLetter) -> tuple[Header, ...]:
    """The headers with which a letter is sent again: its own, and how often it was rejected."""
    own = tuple(header for header in letter.headers if not header[0].startswith(OWN_PREFIX))
    return (*own, (ATTEMPTS_HEADER, str(letter.attempts).encode()))


def about_as_json(letter: DeadLetter) -> dict[str, Any]:
    """Why a message was rejected and where it was, without what it says."""
    return {
        "reason": letter.reason,
        "detail": letter.detail,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "logTime": rfc3339_or_none(letter.log_time),
        "attempts": letter.attempts,
    }


def encode_line(letter: DeadLetter) -> bytes:
    """Return the letter as one line of JSON with its newline. ``decode_line`` restores it exactly."""
    return _JSON.encode({**about_as_json(letter), **content_as_json(letter.raw, letter.key, letter.headers)}) + b"\n"


def content_as_json(raw: bytes, key: bytes | None, headers: tuple[Header, ...]) -> dict[str, Any]:
    """The bytes of a message as fields of a JSON object, each as text where it is UTF-8. ``content_of`` restores them exactly."""
    fields: dict[str, Any] = _text("raw", raw)
    if key is not None:
        fields.update(_text("key", key))
    if headers:
        fields["headers"] = [{"name": name, **({} if value is None else _text("value", value))} for name, value in headers]
    return fields


def content_of(fields: Mapping[str, Any]) -> tuple[bytes, bytes | None, tuple[Header, ...]]:
    """Bytes, key and headers that ``content_as_json`` wrote. Raises ``ValueError`` for other fields."""
    try:
        raw = _bytes("raw", fields)
        if raw is None:
            raise KeyError("raw")
        return raw, _bytes("key", fields), tuple((header["name"], _bytes("value", header)) for header in fields.get("headers", ()))
    except (KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ValueError(f"not the content of a message: {error!r}") from error


def decode_line(line: bytes) -> DeadLetter:
    """Decode a line. Raises ``ValueError`` for a line that ``encode_line`` did not write."""
    try:
        fields = msgspec.json.decode(line)
        raw, key, headers = content_of(fields)
        return DeadLetter(
            reason=fields["reason"],
            detail=fields["detail"],
            raw=raw,
            topic=fields["topic"],
            partition=fields["partition"],
            offset=fields["offset"],
            log_time=-1 if fields["logTime"] is None else milliseconds_of(fields["logTime"]),
            key=key,
            headers=headers,
            attempts=fields.get("attempts", 1),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # a DecodeError is a ValueError
        raise ValueError(f"not a dead letter: {error!r}") from error


def _text(name: str, data: bytes) -> dict[str, str]:
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}Base64": base64.b64encode(data).decode()}


def _bytes(name: str, fields: Mapping[str, Any]) -> bytes | None:
    if name in fields:
        text: str = fields[name]
        return text.encode()
    encoded: str | None = fields.get(f"{name}Base64")
    return None if encoded is None else base64.b64decode(encoded, validate=True)
