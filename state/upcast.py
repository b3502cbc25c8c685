"""Turns events of later versions of the contract into version 1, which everything else reads. Pure: bytes to bytes.

Version 2 differs in one place. What an app knows about a user is in ``traits`` beside ``payload``, not inside of it, so that the
payload belongs to the app alone::

    1   {…, "eventType": "signup", "payload": {"traits": {"persona": "analyst"}}}
    2   {…, "eventType": "signup", "traits": {"persona": "analyst"}, "payload": {}, "schemaVersion": 2}

An event of version 1 whose sender mixed the two up is read as it was meant (``with_traits``).

To add a version: write one function that turns it into the version before, and enter it in ``_STEPS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

Fields = dict[str, msgspec.Raw]

ABOUT_USERS: Final = frozenset({"signup", "identify"})
"""Event types whose ``traits`` are read."""

_fields = msgspec.json.Decoder(Fields)
_text = msgspec.json.Decoder(str)


class UpcastError(Exception):
    """The event does not fit its version. The text is a part of a sentence: the field at fault, and what to send."""


def upcast(value: bytes, version: int) -> bytes:
    """Return an event of ``version``, one of ``VERSIONS``, as version 1. Fields that do not change are left for the decoder to check.

    Raises ``UpcastError`` for a value that would mean something else in version 1, and ``msgspec.DecodeError`` for what is not a JSON
    object.
    """
    fields = _fields.decode(value)
    for step in _STEPS[version - 2 :: -1] if version > 1 else ():
        step(fields)
    fields.pop("schemaVersion", None)
    return msgspec.json.encode(fields)


def with_traits(value: bytes) -> bytes:
    """Return an event of version 1 with ``traits`` beside its payload as if they were in it. Those in the payload come first.

    What is no object is left out. Raises ``msgspec.DecodeError`` for what is not a JSON object.
    """
    fields = _fields.decode(value)
    traits, payload = fields.pop("traits"), _fields.decode(fields.get("payload", msgspec.Raw(b"{}")))
    if bytes(traits).strip()[:1] == b"{":
        fields["payload"] = msgspec.Raw(msgspec.json.encode({"traits": traits, **payload}))
    return msgspec.json.encode(fields)


def _from_2(fields: Fields) -> None:
    """Put ``traits`` back into the payload."""
    if "eventType" not in fields or _text.decode(fields["eventType"]) not in ABOUT_USERS:
        return
    payload = _fields.decode(fields.get("payload", msgspec.Raw(b"{}")))
    if "traits" in payload:
        raise UpcastError("payload has traits; in schemaVersion 2 they stand beside the payload")
    traits = fields.pop("traits", None)
    if traits is not None:
        if bytes(traits).strip()[:1] not in (b"{", b"n"):
            raise UpcastError("traits is not an object; send an object, or null for none")
        payload["traits"] = traits
    fields["payload"] = msgspec.Raw(msgspec.json.encode(payload))


_STEPS: Final[tuple[Callable[[Fields], None], ...]] = (_from_2,)
"""The steps from version 2 to 1, from 3 to 2, and so on."""
VERSIONS: Final = tuple(range(1, len(_STEPS) + 2))
"""The versions of the contract that are read."""
NEWEST: Final = VERSIONS[-1]
