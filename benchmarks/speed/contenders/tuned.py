"""What the contenders ``bare loop`` and ``onramp`` share: a typed decoder, and a state that the garbage collector need not walk."""

from __future__ import annotations

from typing import Final

import msgspec


class Payload(msgspec.Struct, gc=False, frozen=True):
    """The one field of the payload that counts here."""

    form: str = ""


class Event(msgspec.Struct, gc=False, rename="camel"):
    """The fields of an event that count here."""

    event_id: str
    event_type: str
    timestamp: str
    user_id: str = ""
    anonymous_id: str = ""
    name: str = ""
    payload: Payload = Payload()


class State(msgspec.Struct, gc=False, array_like=True):
    """A user's state; the fields are those of ``benchmarks.speed.small_fold.Visible``."""

    events: int = 0
    last: int = 0
    sessions: int = 0
    errors: int = 0
    ids: list[str] = []
    steps: list[str] = []


decode_event: Final = msgspec.json.Decoder(Event).decode
encode_state: Final = msgspec.msgpack.Encoder().encode
decode_state: Final = msgspec.msgpack.Decoder(State).decode
